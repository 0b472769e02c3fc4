// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/fields.h"

#include <charconv>
#include <optional>

namespace tandem {
namespace {

// Pieces of `text` between separators.
std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
  std::vector<std::string_view> pieces;
  while (!text.empty()) {
    const size_t at = text.find(separator);
    if (at != 0) pieces.push_back(text.substr(0, at));
    if (at == std::string_view::npos) break;
    text.remove_prefix(at + separator.size());
  }
  return pieces;
}

struct Token {
  std::string_view name;
  bool many = false, ones = false;
  std::optional<int64_t> number;
};

Token token_of(std::string_view text) {
  Token token{text, false, false, std::nullopt};
  int64_t value = 0;
  if (std::from_chars(text.begin(), text.end(), value).ptr == text.end()) token.number = value;
  const size_t dots = text.find("..");
  if (dots == std::string_view::npos) return token;
  token.name = text.substr(0, dots);
  token.many = true;
  token.ones = text.ends_with("=1");
  return token;
}

std::string join(const std::vector<int64_t>& dims) {
  std::string text;
  for (const int64_t dim : dims) text += fmt::format("{}{}", text.empty() ? "" : ",", dim);
  return text;
}

// A product of extents that later arithmetic, in bits, may take for granted.
bool sensible(const TensorView& tensor) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / 128;
  int64_t product = 1;
  for (int axis = 0; axis < tensor.rank; ++axis) {
    const int64_t dim = tensor.dim(axis);
    if (dim < 0 || (dim > 0 && product > kMost / dim)) return false;
    product *= dim > 0 ? dim : 1;
  }
  return true;
}

// The dtypes a row allows, with "=x" resolved; those of absent operands fall away.
std::string allowed_dtypes(const Operand& row, const Names& names) {
  std::string list;
  for (const std::string_view word : split(row.dtypes, " ")) {
    std::string_view dtype = word;
    if (word.front() == '=') {
      const TensorView* other = names.find(word.substr(1));
      if (other == nullptr || !other->present()) continue;
      dtype = dtype_name(other->dtype);
    }
    list += fmt::format("{}{}", list.empty() ? "" : " or ", dtype);
  }
  return list;
}

void check_dtype(Check& check, const Given& given, const Names& names) {
  const TensorView& tensor = *given.tensor;
  if (!tensor.present() || given.row->dtypes.empty() || check.failed()) return;
  const std::string allowed = allowed_dtypes(*given.row, names);
  for (const std::string_view name : split(allowed, " or ")) {
    if (name == dtype_name(tensor.dtype)) return;
  }
  check.that(false, "{} {} has dtype {}, {} wanted", given.row->name, tensor.describe(), dtype_name(tensor.dtype),
             allowed);
}

void check_layout(Check& check, const Given& given) {
  const TensorView& tensor = *given.tensor;
  if (!tensor.present() || given.row->layout == Layout::own || tensor.contiguous()) return;
  check.that(given.row->layout == Layout::copied && tensor.dtype != DType::i4,
             "{} {} has gaps or another order of memory, a contiguous tensor wanted", given.row->name,
             tensor.describe());
}

}  // namespace

const TensorView* Names::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second;
}

bool Names::match_one(std::string_view pattern, const TensorView& tensor) {
  if (pattern.starts_with('=')) {
    const TensorView* other = find(pattern.substr(1));
    return other != nullptr && other->present() && tensor.same_shape(*other);
  }
  const auto tokens = split(pattern, " ");
  auto bound = bound_;
  int fixed = 0;  // dimensions of everything whose length is known
  for (const std::string_view text : tokens) {
    const Token token = token_of(text);
    const auto found = bound.find(token.name);
    fixed += !token.many ? 1 : found == bound.end() ? 0 : static_cast<int>(found->second.size());
  }
  int axis = 0;
  for (const std::string_view text : tokens) {
    const Token token = token_of(text);
    const auto found = bound.find(token.name);
    const bool open = token.many && found == bound.end();
    const int length = open ? tensor.rank - fixed : token.many ? static_cast<int>(found->second.size()) : 1;
    if (length < 0 || axis + length > tensor.rank) return false;
    std::vector<int64_t> dims;
    for (int i = 0; i < length; ++i) dims.push_back(tensor.dim(axis++));
    if (open) fixed += length;
    std::vector<int64_t> wanted = dims;
    if (token.number) wanted = {*token.number};
    if (!token.number && found != bound.end()) wanted = found->second;
    if (token.ones) wanted.assign(wanted.size(), 1);
    if (dims != wanted) return false;
    if (!token.number && !token.ones) bound[token.name] = dims;
  }
  if (axis != tensor.rank) return false;
  bound_ = std::move(bound);
  return true;
}

bool Names::match(std::string_view shape, const TensorView& tensor) {
  if (shape.empty()) return true;
  for (const std::string_view pattern : split(shape, " | ")) {
    if (match_one(pattern, tensor)) return true;
  }
  return false;
}

std::string Names::render_one(std::string_view pattern) const {
  if (pattern.starts_with('=')) {
    const TensorView* other = find(pattern.substr(1));
    const std::string text = other == nullptr ? "" : other->describe();
    return fmt::format("{} as {} has it", text.substr(0, text.find(' ')), pattern.substr(1));
  }
  std::string text;
  for (const std::string_view word : split(pattern, " ")) {
    const Token token = token_of(word);
    const auto found = bound_.find(token.name);
    if (found != bound_.end() && found->second.empty()) continue;
    const std::string dim = found == bound_.end() ? std::string(word)
                            : token.ones          ? join(std::vector<int64_t>(found->second.size(), 1))
                                                  : join(found->second);
    text += fmt::format("{}{}", text.empty() ? "" : ",", dim);
  }
  return "[" + text + "]";
}

std::string Names::render(std::string_view shape) const {
  std::string text;
  for (const std::string_view pattern : split(shape, " | ")) {
    text += fmt::format("{}{}", text.empty() ? "" : " or ", render_one(pattern));
  }
  return text;
}

void check_operands(Check& check, std::span<const Given> given) {
  Names names;
  for (const Given& one : given) {
    names.give(one.row->name, *one.tensor);
    if (is_required(one.row->role)) check.present(one.row->name, *one.tensor);
  }
  for (const Given& one : given) check_dtype(check, one, names);
  for (const Given& one : given) {
    check.that(sensible(*one.tensor), "{} {} has extents below 0 or too large, those of a real tensor wanted",
               one.row->name, one.tensor->describe());
  }
  for (const Given& one : given) {
    if (check.failed() || !one.tensor->present() || names.match(one.row->shape, *one.tensor)) continue;
    check.that(false, "{} is {}, {} wanted", one.row->name, one.tensor->describe(), names.render(one.row->shape));
  }
  for (const Given& one : given) check_layout(check, one);
}

void check_number(Check& check, std::string_view name, double value, const Range& range) {
  check.that(value >= range.low && value <= range.high, "{} is {}, a value in [{}, {}] wanted", name, value, range.low,
             range.high);
}

}  // namespace tandem
