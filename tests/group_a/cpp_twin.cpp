// SPDX-License-Identifier: Apache-2.0
#include "tests/group_a/cpp_twin.h"

#include <fmt/format.h>

#include "tests/group_a/descriptors.h"

namespace tandem::group_a {
namespace {

DType dtype_of(aclDataType type) {
  for (const char* name : {"f32", "f16", "bf16", "i4", "i8", "u8", "i32", "i64", "u64"}) {
    if (acl_dtype(name) == type) return dtype_from_name(name);
  }
  return DType::none;
}

TensorView view_of(const Case& test, const std::string& name) {
  static char memory[64];  // plan() reads nothing
  if (test.null.contains(name)) return {};
  const Descriptor d = describe(test, name);
  TensorView view = make_tensor(memory, dtype_of(d.dtype), d.dims.data(), static_cast<int>(d.dims.size()));
  std::copy(d.strides.begin(), d.strides.end(), view.stride.begin());
  return view;
}

TensorView chosen(const Case& test, const std::string& name) {
  return test.has(name) ? view_of(test, name) : TensorView{};
}

MmAllReduce call_of(const Case& test, const std::string& group) {
  MmAllReduce op;
  op.x1 = view_of(test, "x1");
  op.x2 = view_of(test, "x2");
  op.bias = chosen(test, "bias");
  op.x3 = chosen(test, "x3");
  op.y = view_of(test, "y");
  op.group = group;
  op.reduction = test.reduce_op;
  if (test.form.starts_with("int8"))
    op.quant = Int8Scale{view_of(test, "scale"), chosen(test, "token")};
  else if (test.form.starts_with("weight"))
    op.quant = WeightScale{view_of(test, "scale"), chosen(test, "offset"), test.group_size};
  if (test.has("first")) op.wire = Int8Wire{view_of(test, "first"), view_of(test, "second")};
  return op;
}

}  // namespace

std::string CppTwin::same_bits(const Case& test, const std::vector<fused::RankData>& data,
                               const std::vector<std::vector<Snapshot>>& seen) {
  const auto results = groups_.run(test.problem, data);
  if (!results) return "through C++: " + results.error().message;
  for (size_t rank = 0; rank < seen.size(); ++rank) {
    if (!seen[rank].empty() && seen[rank].front().y != (*results)[rank].y)
      return fmt::format("rank {}: C++ gives other bits than the vendor's interface", rank);
  }
  return {};
}

std::string CppTwin::run(const Case& test, const std::string& group, const std::vector<fused::RankData>& data,
                         const std::vector<std::vector<Snapshot>>& seen) {
  if (has_tail(test.form) || test.cpp == "none") return {};
  if (test.status == 0 && test.cpp.empty()) return same_bits(test, data, seen);
  const auto planned = plan(call_of(test, group), **Device::get(0));
  if (planned.has_value() == (test.cpp == "accepts")) return {};
  return planned ? "C++ does not refuse it" : "C++ refuses it: " + planned.error().message;
}

}  // namespace tandem::group_a
