// SPDX-License-Identifier: Apache-2.0
#include "tandem/check/case.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "tandem/base/half.h"
#include "tandem/base/int4.h"

namespace tandem::check {
namespace {

using nlohmann::json;

template <class T>
T read_as(const std::byte* bytes, int64_t index) {
  T value;
  std::memcpy(&value, bytes + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

template <class T>
void write_as(std::byte* bytes, int64_t index, T value) {
  std::memcpy(bytes + index * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
}

double load(DType dtype, const std::byte* bytes, int64_t index) {
  switch (dtype) {
    case DType::f32: return static_cast<double>(read_as<float>(bytes, index));
    case DType::f16: return static_cast<double>(to_float(read_as<f16>(bytes, index)));
    case DType::bf16: return static_cast<double>(to_float(read_as<bf16>(bytes, index)));
    case DType::i4: return int4_get(reinterpret_cast<const uint8_t*>(bytes), index);
    case DType::i8: return read_as<int8_t>(bytes, index);
    case DType::u8: return read_as<uint8_t>(bytes, index);
    case DType::f64: return read_as<double>(bytes, index);
    case DType::i16: return read_as<int16_t>(bytes, index);
    case DType::u16: return read_as<uint16_t>(bytes, index);
    case DType::u32: return read_as<uint32_t>(bytes, index);
    case DType::i32: return read_as<int32_t>(bytes, index);
    case DType::i64: return static_cast<double>(read_as<int64_t>(bytes, index));
    case DType::u64: return static_cast<double>(read_as<uint64_t>(bytes, index));
    default: return 0;
  }
}

void store(DType dtype, std::byte* bytes, int64_t index, double value) {
  switch (dtype) {
    case DType::f32: return write_as(bytes, index, static_cast<float>(value));
    case DType::f16: return write_as(bytes, index, to_f16(static_cast<float>(value)));
    case DType::bf16: return write_as(bytes, index, to_bf16(static_cast<float>(value)));
    case DType::i4: return int4_set(reinterpret_cast<uint8_t*>(bytes), index, static_cast<int>(value));
    case DType::i8: return write_as(bytes, index, static_cast<int8_t>(value));
    case DType::u8: return write_as(bytes, index, static_cast<uint8_t>(value));
    case DType::f64: return write_as(bytes, index, value);
    case DType::i16: return write_as(bytes, index, static_cast<int16_t>(value));
    case DType::u16: return write_as(bytes, index, static_cast<uint16_t>(value));
    case DType::u32: return write_as(bytes, index, static_cast<uint32_t>(value));
    case DType::i32: return write_as(bytes, index, static_cast<int32_t>(value));
    case DType::i64: return write_as(bytes, index, static_cast<int64_t>(value));
    case DType::u64: return write_as(bytes, index, static_cast<uint64_t>(value));
    default: return;
  }
}

// "nan", "inf", "-inf", "0x.." (an integer), "bits 1.5" (the bits of a float).
double parse_number(const json& value) {
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (value.is_number()) return value.get<double>();
  const auto text = value.get<std::string>();
  if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (text.ends_with("inf")) return text[0] == '-' ? -HUGE_VAL : HUGE_VAL;
  if (text.starts_with("bits ")) return std::bit_cast<uint32_t>(std::stof(text.substr(5)));
  return static_cast<double>(std::stoull(text, nullptr, 0));
}

// A number of [0, 1) from a name and an index.
double random_of(const std::string& name, int64_t index) {
  uint64_t z = std::hash<std::string>()(name) + static_cast<uint64_t>(index) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

double wild_value(double chance) {
  constexpr double kValues[] = {std::numeric_limits<double>::quiet_NaN(), HUGE_VAL, -HUGE_VAL, -0.0, 0x1p-140};
  return kValues[static_cast<size_t>(chance * 5)];
}

double default_value(DType dtype, const json& spec, const std::string& name, int64_t index) {
  const bool integer = !is_float(dtype);
  double low = dtype == DType::i4 ? -8 : integer ? -128 : -1, high = dtype == DType::i4 ? 8 : integer ? 128 : 1;
  if (spec.contains("range")) low = spec.at("range").at(0), high = spec.at("range").at(1);
  const double value = low + (high - low) * random_of(name, index);
  if (spec.value("wild", false) && random_of(name + " wild", index) < 0.01)
    return wild_value(random_of(name + " which", index));
  return integer ? std::floor(value) : value;
}

std::vector<int64_t> row_major(const std::vector<int64_t>& dims) {
  std::vector<int64_t> strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return strides;
}

int64_t extent(const Operand& o) {
  int64_t last = 0;
  for (size_t i = 0; i < o.dims.size(); ++i) {
    if (o.dims[i] == 0) return 0;
    last += (o.dims[i] - 1) * o.strides[i];
  }
  return last + 1;
}

int64_t place(const Operand& o, int64_t index) {
  int64_t offset = 0;
  for (size_t i = o.dims.size(); i-- > 0;) {
    offset += index % o.dims[i] * o.strides[i];
    index /= o.dims[i];
  }
  return offset;
}

Operand parse_operand(const json& spec, const std::string& name, const Case& c) {
  constexpr auto kPoison = std::byte{0xee};
  Operand o;
  if (spec.contains("like")) o = c.operand(spec.at("like"));
  o.dtype = dtype_from_name(spec.value("dtype", std::string(dtype_name(o.dtype))));
  o.dims = spec.value("dims", o.dims);
  o.strides = spec.value("strides", row_major(o.dims));
  o.vendor_dtype = spec.value("packed", false) ? 3 : 0;
  const bool sane = std::all_of(o.dims.begin(), o.dims.end(), [](int64_t d) { return d >= 0 && d < (1 << 24); });
  o.bytes.assign(sane ? dtype_bytes(o.dtype, extent(o)) : 0, kPoison);
  if (spec.value("output", false) || !sane) return o;
  const json values = spec.value("values", json::array());
  for (int64_t i = 0; i < o.elements(); ++i) {
    const double value = values.empty() ? default_value(o.dtype, spec, c.id + name, i)
                                        : parse_number(values.at(static_cast<size_t>(i) % values.size()));
    store(o.dtype, o.bytes.data(), place(o, i), value);
  }
  return o;
}

}  // namespace

TensorView Operand::view(void* data) const {
  TensorView view = make_tensor(data, dtype, dims.data(), static_cast<int>(dims.size()));
  std::copy(strides.begin(), strides.end(), view.stride.begin());
  return view;
}

int64_t Operand::elements() const { return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>()); }

double Operand::at(int64_t index) const { return load(dtype, bytes.data(), place(*this, index)); }

std::vector<double> Operand::values() const {
  std::vector<double> all;
  for (int64_t i = 0; i < elements(); ++i) all.push_back(at(i));
  return all;
}

Case parse_case(const std::string& family, const json& spec) {
  Case c;
  c.id = family + "/" + spec.at("name").get<std::string>();
  c.line = spec.value("line", "");
  c.op = spec.at("op");
  c.forms = spec.value("aclnn", std::vector<std::string>{});
  c.spec = spec;
  c.status = spec.value("status", 0);
  c.cpp_status = spec.value("cpp_status", c.status);
  c.says = spec.value("says", "");
  c.cpp_says = spec.value("cpp_says", c.says);
  const json tensors = spec.value("tensors", json::object());
  // "like" may name any operand, so those without it come first.
  for (const bool likes : {false, true}) {
    for (const auto& [name, value] : tensors.items()) {
      const json list = value.is_array() ? value : json::array({value});
      if (std::any_of(list.begin(), list.end(), [](const json& one) { return one.contains("like"); }) != likes)
        continue;
      for (size_t i = 0; i < list.size(); ++i) {
        const std::string salt = i == 0 ? name : name + std::to_string(i);
        c.operands[name].push_back(parse_operand(list[i], salt, c));
      }
    }
  }
  const json numbers = spec.value("numbers", json::object());
  for (const auto& [name, value] : numbers.items()) c.numbers[name] = parse_number(value);
  const json words = spec.value("words", json::object());
  for (const auto& [name, value] : words.items()) c.words[name] = value;
  return c;
}

}  // namespace tandem::check
