// SPDX-License-Identifier: Apache-2.0
#include "tests/group_a/descriptors.h"

#include <algorithm>
#include <cctype>

namespace tandem::group_a {
namespace {

using fused::Problem;

std::vector<int64_t> natural_dims(const Problem& p, const std::string& name) {
  if (name == "x1") return {p.m, p.k};
  if (name == "x2") return {p.k, p.n};
  if (name == "bias" || name == "gamma" || name == "first" || name == "second") return {p.n};
  if (name == "token") return {p.m};
  if (name == "x3" || (name == "y" && !p.tail)) return {p.m, p.n};
  if (name != "scale" && name != "offset") return {1, p.m, p.n};
  if (p.scales == "group") return {p.groups(), p.n};
  return {p.scales == "tensor" ? 1 : p.n};
}

DType natural_dtype(const Problem& p, const std::string& name) {
  if (name == "x1") return p.dtype;
  if (name == "x2") return p.weight;
  if (name == "bias" && p.integer()) return DType::i32;
  if (name == "token") return DType::f32;
  return name == "scale" && p.scale_dtype != DType::none ? p.scale_dtype : p.output;
}

// y and norm follow residual unless they are overridden themselves.
const Override* find_override(const Case& test, const std::string& name) {
  const auto own = test.tensors.find(name);
  if (own != test.tensors.end()) return &own->second;
  if (name != "y" && name != "norm") return nullptr;
  const auto residual = test.tensors.find("residual");
  return residual != test.tensors.end() && residual->second.reshape_only() ? &residual->second : nullptr;
}

bool stored_transposed(const Problem& p, const std::string& name) {
  if (name == "x2") return p.transposed;
  return (name == "scale" || name == "offset") && p.scale_transposed && p.groups() > 1;
}

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

bool word_at(const std::string& text, size_t begin, size_t end) {
  const auto letter = [&](size_t i) {
    return i < text.size() && std::isalnum(static_cast<unsigned char>(text[i])) != 0;
  };
  return !(begin > 0 && letter(begin - 1)) && !letter(end);
}

}  // namespace

Descriptor describe(const Case& test, const std::string& name) {
  const Problem& p = test.problem;
  Descriptor d;
  d.dims = natural_dims(p, name);
  d.strides = row_major(d.dims);
  d.storage = d.dims;
  std::string dtype{dtype_name(natural_dtype(p, name))};
  if (stored_transposed(p, name)) {
    d.strides = {1, d.dims[0]};
    d.storage = {d.dims[1], d.dims[0]};
  }
  if (const Override* other = find_override(test, name); other != nullptr) {
    if (other->dims) d.dims = d.storage = *other->dims, d.strides = row_major(d.dims);
    if (other->strides) d.strides = *other->strides;
    if (other->storage) d.storage = *other->storage;
    if (!other->dtype.empty()) dtype = other->dtype;
    if (other->format == "NZ") d.format = ACL_FORMAT_FRACTAL_NZ;
  }
  d.dtype = acl_dtype(dtype);
  return d;
}

bool mentions(const std::string& message, const std::string& word) {
  std::string text = message, wanted = word;
  std::transform(text.begin(), text.end(), text.begin(), lower);
  std::transform(wanted.begin(), wanted.end(), wanted.begin(), lower);
  for (size_t at = text.find(wanted); at != std::string::npos; at = text.find(wanted, at + 1)) {
    if (wanted.size() > 2 || word_at(text, at, at + wanted.size())) return true;
  }
  return false;
}

}  // namespace tandem::group_a
