// SPDX-License-Identifier: Apache-2.0
#ifndef TANDEM_ACLNN_FP16_T_H
#define TANDEM_ACLNN_FP16_T_H
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace op {

// IEEE half precision. A const uint16_t& is taken as raw bits, every other number by value (nearest even).
struct fp16_t {
  uint16_t val;

  fp16_t() : val(0) {}
  fp16_t(const uint16_t& bits) : val(bits) {}
  template <class T,
            typename std::enable_if<std::is_arithmetic<T>::value && !std::is_same<T, uint16_t>::value, int>::type = 0>
  fp16_t(const T& value) : val(encode(static_cast<double>(value))) {}

  template <class T, typename std::enable_if<std::is_arithmetic<T>::value, int>::type = 0>
  fp16_t& operator=(const T& value) {
    val = encode(static_cast<double>(value));
    return *this;
  }

  operator float() const { return toFloat(); }
  operator double() const { return toDouble(); }
  explicit operator bool() const { return (val & 0x7fffU) != 0; }
  operator int8_t() const { return toInt8(); }
  operator uint8_t() const { return toUInt8(); }
  operator int16_t() const { return toInt16(); }
  operator uint16_t() const { return toUInt16(); }
  operator int32_t() const { return toInt32(); }
  operator uint32_t() const { return toUInt32(); }
  operator int64_t() const { return static_cast<int64_t>(toRounded(-65504.0, 65504.0)); }
  operator uint64_t() const { return static_cast<uint64_t>(toRounded(0.0, 65504.0)); }

  double toDouble() const {
    const int exponent = (val >> 10) & 31;
    const int mantissa = val & 1023;
    double value = 0;
    if (exponent == 31) {
      value = mantissa == 0 ? static_cast<double>(INFINITY) : static_cast<double>(NAN);
    } else if (exponent == 0) {
      value = std::ldexp(static_cast<double>(mantissa), -24);
    } else {
      value = std::ldexp(static_cast<double>(mantissa + 1024), exponent - 25);
    }
    return (val & 0x8000U) != 0 ? -value : value;
  }
  float toFloat() const { return static_cast<float>(toDouble()); }
  // To integers: rounded to nearest even and clamped; NaN gives 0.
  int8_t toInt8() const { return static_cast<int8_t>(toRounded(-128.0, 127.0)); }
  uint8_t toUInt8() const { return static_cast<uint8_t>(toRounded(0.0, 255.0)); }
  int16_t toInt16() const { return static_cast<int16_t>(toRounded(-32768.0, 32767.0)); }
  uint16_t toUInt16() const { return static_cast<uint16_t>(toRounded(0.0, 65535.0)); }
  int32_t toInt32() const { return static_cast<int32_t>(toRounded(-65504.0, 65504.0)); }
  uint32_t toUInt32() const { return static_cast<uint32_t>(toRounded(0.0, 65504.0)); }

  // 0 finite or NaN, 1 or -1 infinite with that sign.
  int IsInf() const {
    if ((val & 0x7fffU) != 0x7c00U) return 0;
    return (val & 0x8000U) != 0 ? -1 : 1;
  }

  fp16_t& operator+=(const fp16_t& other) { return *this = toFloat() + other.toFloat(); }
  fp16_t& operator-=(const fp16_t& other) { return *this = toFloat() - other.toFloat(); }
  fp16_t& operator*=(const fp16_t& other) { return *this = toFloat() * other.toFloat(); }
  fp16_t& operator/=(const fp16_t& other) { return *this = toFloat() / other.toFloat(); }

  static uint16_t encode(double value) {
    uint64_t wide = 0;
    std::memcpy(&wide, &value, sizeof(wide));
    const uint32_t sign = static_cast<uint32_t>(wide >> 48) & 0x8000U;
    const double magnitude = std::fabs(value);
    if (magnitude != magnitude) return static_cast<uint16_t>(0x7e00U);
    if (magnitude >= 65520.0) return static_cast<uint16_t>(sign | 0x7c00U);
    int exponent = 0;
    std::frexp(magnitude, &exponent);
    if (magnitude == 0 || exponent < -13) exponent = -13;
    // Units of the last place; a carry out of the mantissa moves into the exponent by itself.
    const double units = std::nearbyint(std::ldexp(magnitude, 11 - exponent));
    const uint32_t base = static_cast<uint32_t>(exponent + 13) << 10;
    return static_cast<uint16_t>(sign | (base + static_cast<uint32_t>(units)));
  }

 private:
  double toRounded(double low, double high) const {
    const double value = toDouble();
    if (value != value) return 0;
    const double rounded = std::nearbyint(value);
    return rounded < low ? low : (rounded > high ? high : rounded);
  }
};

inline fp16_t operator+(const fp16_t& a, const fp16_t& b) { return fp16_t(a.toFloat() + b.toFloat()); }
inline fp16_t operator-(const fp16_t& a, const fp16_t& b) { return fp16_t(a.toFloat() - b.toFloat()); }
inline fp16_t operator*(const fp16_t& a, const fp16_t& b) { return fp16_t(a.toFloat() * b.toFloat()); }
inline fp16_t operator/(const fp16_t& a, const fp16_t& b) { return fp16_t(a.toFloat() / b.toFloat()); }
inline bool operator==(const fp16_t& a, const fp16_t& b) { return a.toFloat() == b.toFloat(); }
inline bool operator!=(const fp16_t& a, const fp16_t& b) { return a.toFloat() != b.toFloat(); }
inline bool operator<(const fp16_t& a, const fp16_t& b) { return a.toFloat() < b.toFloat(); }
inline bool operator<=(const fp16_t& a, const fp16_t& b) { return a.toFloat() <= b.toFloat(); }
inline bool operator>(const fp16_t& a, const fp16_t& b) { return a.toFloat() > b.toFloat(); }
inline bool operator>=(const fp16_t& a, const fp16_t& b) { return a.toFloat() >= b.toFloat(); }

}  // namespace op
#endif
