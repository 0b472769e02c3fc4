// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "atb/context.h"
#include "atb/svector.h"
#include "atb/types.h"

#pragma GCC visibility push(default)
namespace atb {

// An operation with its parameters. Setup() checks tensors, says how much workspace Execute() wants and, between ranks,
// meets the others; Execute() enqueues on the context's stream and returns.
class Operation {
 public:
  Operation() = default;
  virtual ~Operation() = default;

  virtual std::string GetName() const = 0;
  virtual Status InferShape(const SVector<TensorDesc>& inTensorDescs, SVector<TensorDesc>& outTensorDescs) const = 0;
  virtual uint32_t GetInputNum() const = 0;
  virtual uint32_t GetOutputNum() const = 0;
  virtual Status Setup(const VariantPack& variantPack, uint64_t& workspaceSize, Context* context) = 0;
  virtual Status Execute(const VariantPack& variantPack, uint8_t* workspace, uint64_t workspaceSize,
                         Context* context) = 0;
};

// Defined in the library for every parameter struct and for GraphParam. *operation is null after a refusal.
template <typename OpParam>
Status CreateOperation(const OpParam& opParam, Operation** operation);
Status DestroyOperation(Operation* operation);
template <typename OpParam>
Status CloneOperationParam(const Operation* operation, OpParam& opParam);
// The next Setup() sees the new parameters.
template <typename OpParam>
Status UpdateOperationParam(Operation* operation, const OpParam& opParam);

Status SetExecuteStreamId(Operation* operation, uint32_t streamId);
uint32_t GetExecuteStreamId(Operation* operation);

}  // namespace atb
#pragma GCC visibility pop
