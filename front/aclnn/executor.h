// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "front/acl/handles.h"
#include "front/aclnn/objects.h"
#include "tandem/exec/device.h"
#include "tandem/ops/plan.h"

namespace tandem::front {

// What the first phase leaves for the second: the operator's own copy of its operands, and its plan.
class Executor {
 public:
  // An operand whose address may be changed later; `view` is null for an absent one.
  struct Operand {
    TensorView* view = nullptr;
    int64_t offset = 0;
  };

  explicit Executor(Device& where) : device(where) {}
  virtual ~Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Plans again from the operands; called once by the first phase and after an address changed.
  virtual Expected<Plan> make_plan() const = 0;

  Device& device;
  std::vector<Operand> inputs, outputs;

  // Guards what follows. An empty problem never has a plan.
  std::mutex mutex;
  bool empty = false;
  bool without_workspace = false;  // asks for none although there is work
  bool repeatable = false;
  bool consumed = false;
  bool moved = false;
  size_t workspace_bytes = 0;
  std::optional<Plan> plan;
};

HandleTable<Executor>& executors();

// Copies the view of an operand into its place and lists it under the index aclSetInputTensorAddr and its like use.
void bind(std::vector<Executor::Operand>& operands, TensorView& place, const aclTensor* tensor);

}  // namespace tandem::front
