// SPDX-License-Identifier: Apache-2.0
#include "front/atb/constant.h"

#include <cstring>

namespace tandem::atbfront {
namespace {

struct Written final : Plan::Body {
  TensorView place;
  float value = 0;

  size_t workspace_bytes() const override { return 0; }
  std::string_view name() const override { return "constant"; }
  std::string describe() const override { return place.describe(); }
  Status execute(std::span<std::byte>, Lane&) const override {
    std::memset(place.data, 0, place.bytes());
    if (value != 0) std::memcpy(place.data, &value, sizeof(value));
    return {};
  }
};

}  // namespace

TensorView constant(Run& run, DType dtype, float value) {
  auto body = std::make_shared<Written>();
  body->place = run.scratch(dtype, {1});
  body->value = value;
  run.plans.push_back(Plan(body));
  return body->place;
}

void clear(Run& run, const TensorView& place) {
  if (place.elements() == 0) return;
  auto body = std::make_shared<Written>();
  body->place = place;
  run.plans.push_back(Plan(body));
}

}  // namespace tandem::atbfront
