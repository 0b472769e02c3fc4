// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "front/aclnn/translate.h"
#include "tandem/ops/fields.h"

// Operators one behind the other as one call. What only a later one reads lies in the workspace.
namespace tandem::front {

class Chain {
 public:
  // Moves an intermediate of the workspace to where the workspace is.
  class Places {
   public:
    Places(std::byte* base, size_t bytes) : base_(base), bytes_(bytes) {}
    void settle(TensorView& view) const;

   private:
    std::byte* base_;
    size_t bytes_;
  };
  using Step = std::function<Expected<Plan>(Device&, const Places&)>;

  // A dense intermediate of the workspace.
  TensorView temporary(DType dtype, const std::vector<int64_t>& dims);
  TensorView temporary_like(const TensorView& view, DType dtype);
  // One value that lives as long as the plan.
  TensorView constant(float value);

  template <class Op>
  void then(const Op& op) {
    steps_.push_back([op](Device& device, const Places& places) {
      Op placed = op;
      for (const Field<Op>& field : table_of<Op>().fields)
        field.each(placed, [&](TensorView& view) { places.settle(view); });
      return plan_of(placed, device);
    });
  }

  // Checks every step. With `own_memory` no workspace is asked for: its bytes come from the stream's own scratch.
  Expected<Plan> finish(std::string_view name, Device& device, bool own_memory) const;

 private:
  size_t bytes_ = 0;
  std::vector<Step> steps_;
  std::shared_ptr<std::deque<float>> constants_ = std::make_shared<std::deque<float>>();
};

// What a call passes to translate() for a chain: its operands, and how the chain is made of them.
struct Steps {
  std::deque<TensorView> views;
  std::function<void(Chain&)> build;
  std::string_view name;
};

template <>
class Call<Steps> : public Arguments {
 public:
  Call(Device& where, std::string_view operation) : Arguments(where, operation) { op.name = operation; }
  Expected<Plan> make_plan() const override;

  // Operands; the references live as long as the call. `need` and `result` refuse null.
  TensorView& given(std::string_view name, const aclTensor* tensor);
  TensorView& needed(std::string_view name, const aclTensor* tensor);
  TensorView& result(std::string_view name, const aclTensor* tensor);
  TensorView& optional_result(std::string_view name, const aclTensor* tensor);
  // A weight that may be FRACTAL_NZ.
  TensorView& weight_of(std::string_view name, const aclTensor* tensor, int64_t& panel);

  Steps op;
};

// The view with its dimensions in another order.
TensorView permuted(const TensorView& view, const std::vector<int64_t>& order);
// A dense view with other dimensions of as many elements.
TensorView reshaped(const TensorView& view, const std::vector<int64_t>& dims);
// Whether `order` names each dimension of a tensor of that rank once.
void check_order(Check& check, std::string_view name, const aclIntArray* order, int rank);

}  // namespace tandem::front
