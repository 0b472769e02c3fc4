// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "atb/context.h"
#include "atb/operation.h"

#pragma GCC visibility push(default)
namespace atb {

class OperationImpl;

// What an operation of a program's own is derived from.
class OperationInfra : public Operation {
 public:
  OperationInfra();
  OperationInfra(const OperationInfra& other);
  OperationInfra& operator=(const OperationInfra& other);
  ~OperationInfra() override;

  void SetExecuteStreamId(uint32_t streamId);
  uint32_t GetExecuteStreamId() const;
  // The stream of that number in the context.
  aclrtStream GetExecuteStream(Context* context);

 private:
  std::unique_ptr<OperationImpl> impl_;
};

}  // namespace atb
#pragma GCC visibility pop
