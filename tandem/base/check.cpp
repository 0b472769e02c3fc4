// SPDX-License-Identifier: Apache-2.0
#include "tandem/base/check.h"

#include <algorithm>

namespace tandem {

void Check::set(ErrorCode code, std::string_view text) {
  failed_ = true;
  error_ = {code, fmt::format("{}: {}", operation_, text)};
}

Status Check::status() const {
  if (failed_) return fail(error_);
  return {};
}

Check& Check::present(std::string_view name, bool is_present) {
  if (!failed() && !is_present) set(ErrorCode::null_argument, fmt::format("{} is null, a value wanted", name));
  return *this;
}

Check& Check::present(std::string_view name, const TensorView& tensor) { return present(name, tensor.present()); }

Check& Check::rank(std::string_view name, const TensorView& tensor, int low, int high) {
  if (!tensor.present()) return *this;
  const std::string wanted = low == high ? fmt::format("{}", low) : fmt::format("{} to {}", low, high);
  return that(tensor.rank >= low && tensor.rank <= high, "{} {} has {} dimensions, {} wanted", name,
              tensor.describe(), tensor.rank, wanted);
}

Check& Check::dtype(std::string_view name, const TensorView& tensor, std::initializer_list<DType> wanted) {
  if (!tensor.present() || std::find(wanted.begin(), wanted.end(), tensor.dtype) != wanted.end()) return *this;
  std::string list;
  for (const DType type : wanted) list += fmt::format("{}{}", list.empty() ? "" : " or ", dtype_name(type));
  return that(false, "{} {} has dtype {}, {} wanted", name, tensor.describe(), dtype_name(tensor.dtype), list);
}

Check& Check::same_dtype(std::string_view name, const TensorView& tensor, std::string_view of, DType wanted) {
  if (!tensor.present()) return *this;
  return that(tensor.dtype == wanted, "{} {} has dtype {}, {} wanted (that of {})", name, tensor.describe(),
              dtype_name(tensor.dtype), dtype_name(wanted), of);
}

Check& Check::dim(std::string_view name, const TensorView& tensor, int axis, int64_t wanted, std::string_view of) {
  if (!tensor.present() || failed()) return *this;
  const int index = axis < 0 ? axis + tensor.rank : axis;
  if (index < 0 || index >= tensor.rank) return that(false, "{} {} has no dimension {}", name, tensor.describe(), axis);
  return that(tensor.dim(index) == wanted, "{} {} has {} in dimension {}, {} wanted ({})", name, tensor.describe(),
              tensor.dim(index), index, wanted, of);
}

Check& Check::contiguous(std::string_view name, const TensorView& tensor) {
  if (!tensor.present()) return *this;
  return that(tensor.contiguous(), "{} {} is not contiguous, a contiguous tensor wanted", name, tensor.describe());
}

Check& Check::same_shape(std::string_view name, const TensorView& tensor, std::string_view of,
                         const TensorView& wanted) {
  if (!tensor.present()) return *this;
  return that(tensor.same_shape(wanted), "{} is {}, the shape of {} {} wanted", name, tensor.describe(), of,
              wanted.describe());
}

Check& Check::range(std::string_view name, int64_t value, int64_t low, int64_t high) {
  return that(value >= low && value <= high, "{} is {}, a value in [{}, {}] wanted", name, value, low, high);
}

}  // namespace tandem
