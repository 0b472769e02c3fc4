// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>

#include "atb/operation.h"

#pragma GCC visibility push(default)
namespace atb {

// A graph written with names of tensors instead of numbers. Build() ends the description and makes the operation.
class GraphOpBuilder {
 public:
  GraphOpBuilder();
  virtual ~GraphOpBuilder();

  virtual Status Init(const std::string& opName, const InferShapeFunc& inferShapeFunc,
                      const SVector<std::string>& inTensorNames, const SVector<std::string>& outTensorNames) = 0;
  // viewTensorName: srcTensorName seen with another shape of as many elements.
  virtual Status Reshape(const std::string& srcTensorName, const ReshapeFunc& reshapeFunc,
                         const std::string& viewTensorName) = 0;
  // The graph owns the operation once this has succeeded.
  virtual Status AddOperation(Operation* operation, const SVector<std::string>& inTensorNames,
                              const SVector<std::string>& outTensorNames) = 0;
  virtual Operation* Build() = 0;

  template <class OpParam>
  Status AddOperation(const OpParam& opParam, const SVector<std::string>& inTensorNames,
                      const SVector<std::string>& outTensorNames) {
    Operation* operation = nullptr;
    const Status created = CreateOperation(opParam, &operation);
    if (created != NO_ERROR) return created;
    const Status added = AddOperation(operation, inTensorNames, outTensorNames);
    if (added != NO_ERROR) DestroyOperation(operation);
    return added;
  }
};

Status CreateGraphOpBuilder(GraphOpBuilder** builder);
Status DestroyGraphOpBuilder(GraphOpBuilder* builder);

}  // namespace atb
#pragma GCC visibility pop
