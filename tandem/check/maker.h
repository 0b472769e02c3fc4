// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

namespace tandem::check {

using Dims = std::vector<int64_t>;

// Draws the parts of a random case; the same seed gives the same case with every C++ library.
class Maker {
 public:
  explicit Maker(uint64_t seed) : random_(seed) {}

  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random_() % static_cast<uint64_t>(high - low + 1));
  }
  bool chance(int percent) { return between(1, 100) <= percent; }
  const char* one_of(std::initializer_list<const char*> words) {
    return words.begin()[between(0, static_cast<int64_t>(words.size()) - 1)];
  }
  const char* float_type() { return one_of({"f32", "f16", "bf16"}); }
  // Up to eight dimensions, the last of them `n`; sometimes empty.
  Dims dims(int64_t n, int least = 1);
  int64_t size() { return chance(20) ? between(1, 4) : chance(80) ? between(5, 70) : between(200, 700); }

  // Now and then with gaps, or with the order of memory turned round, or around the subnormals.
  nlohmann::json input(const std::string& type, const Dims& dims, double low = -3, double high = 3);
  // The same, now and then with NaN, infinities and zeros of both signs among the values.
  nlohmann::json wild(const std::string& type, const Dims& dims, double low = -3, double high = 3);
  nlohmann::json plain(const std::string& type, const Dims& dims, double low, double high);
  nlohmann::json output(const std::string& type, const Dims& dims);
  // An output that has to be dense.
  nlohmann::json dense(const std::string& type, const Dims& dims);

 private:
  Dims strides(const Dims& dims);
  std::mt19937_64 random_;
};

// What a random case of each operator is: the "op", "tensors", "numbers" and "words" of a case.
struct Family {
  const char* name;
  nlohmann::json (*make)(Maker&);
};
std::vector<Family> norm_families();
std::vector<Family> quantizer_families();
std::vector<Family> elementwise_families();
std::vector<Family> movement_families();
std::vector<Family> product_families();
std::vector<Family> attention_families();
std::vector<Family> moe_families();
std::vector<Family> all_families();

}  // namespace tandem::check
