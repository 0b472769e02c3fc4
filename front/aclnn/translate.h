// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "front/aclnn/executor.h"
#include "front/aclnn/status.h"
#include "front/aclnn/two_phase.h"
#include "tandem/base/check.h"

// First phases of single-device operators: the vendor's arguments into the fields of an operator's struct.
namespace tandem::front {

// Copies descriptors into places of the operator and keeps the first thing that is wrong with one of them.
class Arguments : public Executor {
 public:
  Arguments(Device& where, std::string_view operation) : Executor(where), check(operation) {}

  // An operand the operator's own table knows as required or optional.
  Arguments& in(std::string_view name, TensorView& place, const aclTensor* tensor);
  Arguments& out(std::string_view name, TensorView& place, const aclTensor* tensor);
  // One this interface asks for although the operator does not.
  Arguments& need(std::string_view name, TensorView& place, const aclTensor* tensor);
  Arguments& in(std::string_view name, std::vector<TensorView>& places, const aclTensorList* tensors);
  Arguments& out(std::string_view name, std::vector<TensorView>& places, const aclTensorList* tensors);
  // A weight that may be FRACTAL_NZ; `panel` says how the operator has to read it.
  Arguments& weight(std::string_view name, TensorView& place, int64_t& panel, const aclTensor* tensor);
  // One this library has no use for.
  Arguments& absent(std::string_view name, const void* argument);

  Check check;
  std::string group;  // name of the communicator, for an operator that keeps a view of it

 private:
  void look_at(std::string_view name, const aclTensor* tensor);
  void fill(std::string_view name, std::vector<Operand>& operands, std::vector<TensorView>& places,
            const aclTensorList* tensors);
};

// Executor::plan hides the function of that name.
template <class Op>
Expected<Plan> plan_of(const Op& op, Device& device) {
  return plan(op, device);
}

template <class Op>
class Call : public Arguments {
 public:
  using Arguments::Arguments;
  Expected<Plan> make_plan() const override { return plan_of(op, device); }

  Op op;
};

// The text of a vendor string; null is `absent`.
std::string_view text_of(const char* text, std::string_view absent);
// FRACTAL_NZ memory as this library lays it out: panels of so many columns, 0: rows as they are. The extents decide, so
// that a program may describe one memory again and again.
int64_t panel_of(const TensorView& view);
void want_packed(Check& check, std::string_view name, const aclTensor* tensor);
// 0 for null.
double value_of(const aclScalar* scalar);
// int32 words of eight int4 become int4: the contiguous axis grows eightfold. Others stay.
void unpack_words(TensorView& view);
// A view of the last two axes swapped where `wanted` and there are two.
void transpose_if(bool wanted, TensorView& view);

// A whole first phase; fill(call) sets the fields of call.op.
template <class Op, class Fill>
aclnnStatus translate(std::string_view name, uint64_t* workspace_size, aclOpExecutor** executor, Fill&& fill) noexcept {
  return aclnn_call([&]() -> aclnnStatus {
    Check results(name);
    results.present("workspaceSize", workspace_size != nullptr).present("executor", executor != nullptr);
    if (results.failed()) return report_aclnn(results.status().error());
    const auto device = current_device();
    if (!device) return report_aclnn(device.error());
    auto call = std::make_shared<Call<Op>>(**device, name);
    fill(*call);
    if (call->check.failed()) return report_aclnn(call->check.status().error());
    return publish(std::move(call), workspace_size, executor);
  });
}

}  // namespace tandem::front
