// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "tests/group_a/vendor.h"
#include "tests/ops/case.h"

namespace tandem::ops_test {

// A case's operands as a caller of the vendor's interface holds them.
class VendorOperands {
 public:
  explicit VendorOperands(const Case& c);
  ~VendorOperands();
  VendorOperands(const VendorOperands&) = delete;
  VendorOperands& operator=(const VendorOperands&) = delete;

  // Null where the case has no such operand.
  aclTensor* tensor(const std::string& name) const;
  aclTensorList* list(const std::string& name);
  aclScalar* scalar(const std::string& name, double absent);
  aclIntArray* integers(const std::string& name);
  double number(const std::string& name, double absent = 0) const { return case_.number(name, absent); }
  int64_t integer(const std::string& name, int64_t absent = 0) const {
    return static_cast<int64_t>(case_.number(name, static_cast<double>(absent)));
  }
  const char* word(const std::string& name) const;
  // The bytes of every operand, and "" or what is wrong with the memory around them.
  Results download() const;
  std::string damage() const;

  uint64_t size = 0;
  aclOpExecutor* executor = nullptr;

 private:
  struct Held {
    group_a::DeviceBuffer buffer;
    group_a::Tensor tensor;
  };
  const Case& case_;
  std::map<std::string, std::vector<Held>> held_;
  std::vector<aclTensorList*> lists_;
  std::vector<aclScalar*> scalars_;
  std::vector<aclIntArray*> arrays_;
};

// One vendor function.
struct Form {
  std::string name;
  std::function<aclnnStatus(VendorOperands&)> plan;
  aclnnStatus (*run)(void*, uint64_t, aclOpExecutor*, aclrtStream);
};
const std::vector<Form>& forms();
std::vector<Form> attention_forms();  // a part of forms()

// Plans and runs the case through one function; results hold every operand.
Outcome call_aclnn(const Case& c, const Form& form);

}  // namespace tandem::ops_test
