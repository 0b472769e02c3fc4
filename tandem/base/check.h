// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "tandem/base/status.h"
#include "tandem/base/tensor.h"

#pragma GCC visibility push(default)
namespace tandem {

// Fluent argument checker; the first failure wins and later checks do nothing.
// Every text reads "<operator>: <argument> <given>, <wanted> wanted".
class Check {
 public:
  explicit Check(std::string_view operation) : operation_(operation) {}

  Check& present(std::string_view name, const TensorView& tensor);
  Check& present(std::string_view name, bool is_present);
  Check& rank(std::string_view name, const TensorView& tensor, int low, int high);
  Check& dtype(std::string_view name, const TensorView& tensor, std::initializer_list<DType> wanted);
  Check& same_dtype(std::string_view name, const TensorView& tensor, std::string_view of, DType wanted);
  Check& dim(std::string_view name, const TensorView& tensor, int axis, int64_t wanted, std::string_view of);
  Check& contiguous(std::string_view name, const TensorView& tensor);
  Check& same_shape(std::string_view name, const TensorView& tensor, std::string_view of, const TensorView& wanted);
  Check& range(std::string_view name, int64_t value, int64_t low, int64_t high);

  // Free form: fails with invalid_argument when `holds` is false.
  template <class... Args>
  Check& that(bool holds, fmt::format_string<Args...> format, Args&&... args) {
    if (!failed() && !holds) set(ErrorCode::invalid_argument, fmt::format(format, std::forward<Args>(args)...));
    return *this;
  }

  bool failed() const { return failed_; }
  Status status() const;

 private:
  void set(ErrorCode code, std::string_view text);

  std::string operation_;
  bool failed_ = false;
  Error error_;
};

}  // namespace tandem
#pragma GCC visibility pop
