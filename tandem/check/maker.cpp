// SPDX-License-Identifier: Apache-2.0
#include "tandem/check/maker.h"

#include <utility>

namespace tandem::check {

using nlohmann::json;

Dims Maker::dims(int64_t n, int least) {
  Dims all;
  for (int64_t rank = between(least, 8); rank > 1; --rank)
    all.push_back(chance(80) ? between(1, 2) : chance(10) ? 0 : 3);
  all.push_back(n);
  return all;
}

json Maker::input(const std::string& type, const Dims& dims, double low, double high) {
  json spec{{"dtype", type}, {"dims", dims}, {"range", {low, high}}};
  if (type != "i4" && chance(25)) spec["strides"] = strides(dims);
  if (low < 0 && type[0] != 'i' && chance(8)) spec["range"] = {-1e-6, 1e-6};
  return spec;
}

json Maker::wild(const std::string& type, const Dims& dims, double low, double high) {
  json spec = input(type, dims, low, high);
  if (chance(10)) spec["wild"] = true;
  return spec;
}

json Maker::plain(const std::string& type, const Dims& dims, double low, double high) {
  return {{"dtype", type}, {"dims", dims}, {"range", {low, high}}};
}

json Maker::output(const std::string& type, const Dims& dims) {
  json spec = dense(type, dims);
  if (type != "i4" && chance(15)) spec["strides"] = strides(dims);
  return spec;
}

json Maker::dense(const std::string& type, const Dims& dims) {
  return {{"dtype", type}, {"dims", dims}, {"output", true}};
}

Dims Maker::strides(const Dims& dims) {
  Dims order(dims.size()), result(dims.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  if (chance(50)) {
    for (size_t i = order.size(); i > 1; --i)
      std::swap(order[i - 1], order[static_cast<size_t>(between(0, static_cast<int64_t>(i) - 1))]);
  }
  int64_t step = 1;
  for (size_t i = order.size(); i-- > 0;) {
    const auto axis = static_cast<size_t>(order[i]);
    result[axis] = step;
    step *= std::max<int64_t>(1, dims[axis]) + (chance(30) ? between(0, 3) : 0);
  }
  return result;
}

std::vector<Family> all_families() {
  std::vector<Family> all;
  for (const auto& part : {norm_families(), quantizer_families(), elementwise_families(), movement_families(),
                           product_families(), attention_families(), moe_families()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace tandem::check
