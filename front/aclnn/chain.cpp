// SPDX-License-Identifier: Apache-2.0
#include "front/aclnn/chain.h"

#include <algorithm>

#include "tandem/exec/memory.h"

namespace tandem::front {
namespace {

constexpr size_t kAlign = 512;
// Where intermediates are while nobody knows the workspace: no address a program can have.
constexpr uintptr_t kNowhere = uintptr_t{1} << 62;

size_t aligned(size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

struct ChainBody final : Plan::Body {
  size_t workspace_bytes() const override { return own_memory || step_bytes == 0 ? 0 : bytes + step_bytes; }
  std::string_view name() const override { return operation; }
  std::string describe() const override { return fmt::format("{} steps", steps.size()); }

  Status execute(std::span<std::byte> workspace, Lane& lane) const override {
    if (step_bytes == 0) return {};
    const Scratch::Mark mark(*lane.scratch);
    if (own_memory) {
      auto* memory = static_cast<std::byte*>(lane.scratch->take(bytes + step_bytes));
      if (memory == nullptr) return fail(ErrorCode::out_of_memory, fmt::format("{}: scratch was refused", operation));
      workspace = {memory, bytes + step_bytes};
    }
    const Chain::Places places(workspace.data(), bytes);
    for (const Chain::Step& step : steps) {
      const auto plan = step(*device, places);
      if (!plan) return fail(plan.error());
      if (auto status = plan->execute(workspace.subspan(bytes), lane); !status) return status;
    }
    return {};
  }

  std::string_view operation;
  Device* device = nullptr;
  size_t bytes = 0, step_bytes = 0;
  bool own_memory = false;
  std::vector<Chain::Step> steps;
  std::shared_ptr<const void> kept;
};

}  // namespace

void Chain::Places::settle(TensorView& view) const {
  const auto address = reinterpret_cast<uintptr_t>(view.data);
  if (base_ == nullptr || address < kNowhere || address - kNowhere > bytes_) return;
  view.data = base_ + (address - kNowhere);
}

TensorView Chain::temporary(DType dtype, const std::vector<int64_t>& dims) {
  TensorView view = make_tensor(reinterpret_cast<void*>(kNowhere + bytes_), dtype, dims.data(),
                                static_cast<int>(std::min<size_t>(dims.size(), TensorView::kMaxRank)));
  bytes_ += aligned(view.bytes());
  return view;
}

TensorView Chain::temporary_like(const TensorView& view, DType dtype) {
  return temporary(dtype, {view.shape.begin(), view.shape.begin() + view.rank});
}

TensorView Chain::constant(float value) { return make_tensor(&constants_->emplace_back(value), DType::f32, {1}); }

Expected<Plan> Chain::finish(std::string_view name, Device& device, bool own_memory) const {
  auto body = std::make_shared<ChainBody>();
  for (const Step& step : steps_) {
    const auto plan = step(device, Places(nullptr, 0));
    if (!plan) return fail(plan.error());
    body->step_bytes = std::max(body->step_bytes, aligned(plan->workspace_bytes()));
  }
  body->operation = name;
  body->device = &device;
  body->bytes = bytes_;
  body->own_memory = own_memory;
  body->steps = steps_;
  body->kept = constants_;
  return Plan(std::move(body));
}

Expected<Plan> Call<Steps>::make_plan() const {
  Chain chain;
  op.build(chain);
  return chain.finish(op.name, device, without_workspace);
}

TensorView& Call<Steps>::given(std::string_view name, const aclTensor* tensor) {
  TensorView& view = op.views.emplace_back();
  in(name, view, tensor);
  return view;
}

TensorView& Call<Steps>::needed(std::string_view name, const aclTensor* tensor) {
  check.present(name, tensor != nullptr);
  return given(name, tensor);
}

TensorView& Call<Steps>::optional_result(std::string_view name, const aclTensor* tensor) {
  TensorView& view = op.views.emplace_back();
  out(name, view, tensor);
  return view;
}

TensorView& Call<Steps>::result(std::string_view name, const aclTensor* tensor) {
  check.present(name, tensor != nullptr);
  return optional_result(name, tensor);
}

TensorView& Call<Steps>::weight_of(std::string_view name, const aclTensor* tensor, int64_t& panel) {
  check.present(name, tensor != nullptr);
  TensorView& view = op.views.emplace_back();
  weight(name, view, panel, tensor);
  return view;
}

TensorView permuted(const TensorView& view, const std::vector<int64_t>& order) {
  TensorView turned = view;
  for (size_t axis = 0; axis < order.size(); ++axis) {
    turned.shape[axis] = view.dim(static_cast<int>(order[axis]));
    turned.stride[axis] = view.step(static_cast<int>(order[axis]));
  }
  return turned;
}

TensorView reshaped(const TensorView& view, const std::vector<int64_t>& dims) {
  return make_tensor(view.data, view.dtype, dims.data(), static_cast<int>(dims.size()));
}

void check_order(Check& check, std::string_view name, const aclIntArray* order, int rank) {
  check.present(name, order != nullptr);
  if (check.failed()) return;
  uint64_t seen = 0;
  check.that(order->values.size() == static_cast<size_t>(rank), "{} has {} dimensions, {} wanted", name,
             order->values.size(), rank);
  for (const int64_t axis : order->values) {
    check.that(axis >= -rank && axis < rank, "{} names dimension {}, {} to {} wanted", name, axis, -rank, rank - 1);
    if (check.failed()) return;
    const uint64_t bit = uint64_t{1} << (axis < 0 ? axis + rank : axis);
    check.that((seen & bit) == 0, "{} names dimension {} twice, each dimension once wanted", name, axis);
    seen |= bit;
  }
}

}  // namespace tandem::front
