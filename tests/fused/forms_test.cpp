// SPDX-License-Identifier: Apache-2.0
// Forms of the fused product beside the plain one: norms that are quantised at once, strided operands, packed weights,
// placements of ranks, and what is refused.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "tandem/ops/all_gather_mm.h"
#include "tandem/ops/mm_reduce_scatter.h"
#include "tandem/ops/pack_weights.h"
#include "tandem/ops/quantize.h"
#include "tandem/ops/transdata.h"
#include "tests/fused/checks.h"

namespace tandem::fused {
namespace {

using Bytes = std::vector<std::byte>;

template <class Op>
void run_alone(const Op& op) {
  Device& device = **Device::get(0);
  const auto planned = plan(op, device);
  ASSERT_TRUE(planned) << planned.error().message;
  auto stream = std::move(*Stream::create(device));
  Bytes workspace(planned->workspace_bytes());
  ASSERT_TRUE(planned->run(workspace, *stream));
  ASSERT_TRUE(stream->synchronize());
}

Problem with(const char* fields) { return parse_problem(nlohmann::json::parse(fields)); }

std::vector<Outputs> run(const Problem& p, const CppGroup::Adjust& adjust = {}) {
  static Groups groups;
  auto results = groups.run(p, make_ranks(p), adjust);
  EXPECT_TRUE(results) << p.describe() << ": " << results.error().message;
  return results ? *results : std::vector<Outputs>(static_cast<size_t>(p.ranks));
}

std::string refusal(const Problem& p, const CppGroup::Adjust& adjust = {}) {
  static Groups groups;
  const auto results = groups.run(p, make_ranks(p), adjust);
  return results ? "accepted" : results.error().message;
}

// The chain of operators gives the same: the norm as it was rounded, then quantize or dynamic_quant.
TEST(QuantisedNorm, HasTheBitsOfTheChain) {
  for (const char* quant : {"static", "dynamic"}) {
    Problem p = with(R"({"ranks": 2, "m": 7, "k": 96, "n": 70, "dtype": "bf16"})");
    p.quant = quant;
    const RankData data = make_rank(p, 0);
    Outputs got = run(p).front();
    Bytes y(got.quantised.size()), scale(got.row_scale.size());
    const TensorView norm = make_tensor(got.norm.data(), p.output, {p.m, p.n});
    const TensorView out = make_tensor(y.data(), DType::i8, {p.m, p.n});
    if (p.quant == "static") {
      Quantize op;
      op.x = norm;
      op.scale = operand(data, "qscale").view({p.n});
      op.offset = operand(data, "qoffset").view({p.n});
      op.y = out;
      run_alone(op);
    } else {
      DynamicQuant op;
      op.x = norm;
      op.smooth = operand(data, "smooth").view({p.n});
      op.y = out;
      op.scale = make_tensor(scale.data(), DType::f32, {p.m});
      run_alone(op);
    }
    EXPECT_EQ(got.quantised, y) << quant;
    EXPECT_EQ(got.row_scale, scale) << quant;
  }
}

TEST(QuantisedNorm, NeedsNoNorm) {
  for (const bool replicated : {false, true}) {
    Problem p = with(R"({"ranks": 2, "m": 40, "k": 64, "n": 1000, "quant": "static"})");
    p.replicated = replicated;
    const auto whole = run(p);
    const auto alone = run(p, [](int, MmAllReduce& op) { op.then->norm = {}; });
    for (size_t rank = 0; rank < whole.size(); ++rank) {
      EXPECT_EQ(whole[rank].quantised, alone[rank].quantised);
      EXPECT_EQ(whole[rank].y, alone[rank].y);
    }
  }
}

TEST(QuantisedNorm, IsRefusedWhereItDoesNotFit) {
  Problem p = with(R"({"ranks": 2, "quant": "static"})");
  const auto says = [&](const std::function<void(NormQuant&)>& change, const char* words) {
    const std::string text = refusal(p, [&](int, MmAllReduce& op) { change(*op.then->quant); });
    EXPECT_NE(text.find(words), std::string::npos) << text;
  };
  says([](NormQuant& q) { q.scale = {}; }, "quant scale is absent and row_scale absent");
  says([](NormQuant& q) { q.y.dtype = DType::i32; }, "quant y");
  says([](NormQuant& q) { q.row_scale = q.scale; }, "one of them wanted");
  says([](NormQuant& q) { q.scale.shape[0] = 31; }, "quant scale");
  says([](NormQuant& q) { q.offset.dtype = DType::f32; }, "quant offset");
  says([](NormQuant& q) { q.smooth = q.scale; }, "quant smooth");
  p.quant = "dynamic";
  says([](NormQuant& q) { q.row_scale.shape[0] = 15; }, "quant row_scale");
}

// The same values with gaps between rows and between elements.
class Strided {
 public:
  TensorView of(const TensorView& view) {
    if (!view.present() || view.elements() == 0) return view;
    const auto size = static_cast<size_t>(dtype_bits(view.dtype) / 8);
    const int64_t columns = view.dim(-1), rows = view.elements() / columns, pitch = 3 * columns + 5;
    Bytes& memory = memory_.emplace_back(static_cast<size_t>(rows * pitch) * size, std::byte{0x7f});
    TensorView result = view;
    result.data = memory.data();
    for (int axis = view.rank - 1; axis >= 0; --axis) {
      const auto a = static_cast<size_t>(axis);
      result.stride[a] = axis == view.rank - 1   ? 3
                         : axis == view.rank - 2 ? pitch
                                                 : result.stride[a + 1] * view.dim(axis + 1);
    }
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < columns; ++column) {
        const int64_t from = view.rank == 2 ? row * view.step(0) + column * view.step(1) : row * columns + column;
        std::memcpy(memory.data() + static_cast<size_t>(row * pitch + 3 * column) * size,
                    view.as<const std::byte>() + static_cast<size_t>(from) * size, size);
      }
    }
    return result;
  }

 private:
  std::vector<Bytes> memory_;
};

TEST(StridedOperands, GiveTheBitsOfDenseOnes) {
  for (
      const char* fields :
      {R"({"ranks": 2, "m": 6, "k": 40, "n": 33, "weight": "f16", "scales": "none", "x3": "all", "quant": "static"})",
       R"({"ranks": 3, "m": 6, "k": 40, "n": 33, "dtype": "bf16", "weight": "i8", "x3": "all", "quant": "dynamic"})",
       R"({"ranks": 2, "m": 6, "k": 64, "n": 34, "dtype": "f32", "weight": "i4", "scales": "group", "group_size": 32})",
       R"({"ranks": 2, "m": 6, "k": 40, "n": 33, "x1_dtype": "i8", "scale_dtype": "f32", "token": true, "offset": false,
            "wire": true, "tail": false})",
       R"({"ranks": 1, "m": 6, "k": 40, "n": 33, "x1_dtype": "i8", "scale_dtype": "i64", "offset": false})"}) {
    const Problem p = with(fields);
    std::vector<Strided> memory(static_cast<size_t>(p.ranks));
    const auto got = run(p, [&](int rank, MmAllReduce& op) {
      Strided& strided = memory[static_cast<size_t>(rank)];
      std::vector<TensorView*> views{&op.x1, &op.bias, &op.x3};
      if (p.weight != DType::i4) views.push_back(&op.x2);
      if (op.then) views.insert(views.end(), {&op.then->residual, &op.then->gamma});
      if (op.then && op.then->quant)
        views.insert(views.end(), {&op.then->quant->scale, &op.then->quant->offset, &op.then->quant->smooth});
      if (op.wire) views.insert(views.end(), {&op.wire->first, &op.wire->second});
      if (auto* scale = std::get_if<Int8Scale>(&op.quant)) views.insert(views.end(), {&scale->channel, &scale->token});
      if (auto* scale = std::get_if<WeightScale>(&op.quant)) views.insert(views.end(), {&scale->scale, &scale->offset});
      for (TensorView* view : views) *view = strided.of(*view);
    });
    EXPECT_TRUE(got == run(p)) << p.describe();
  }
}

// An x1 of three dimensions, its rows apart.
TEST(StridedOperands, OfThreeDimensions) {
  const Problem p = with(R"({"ranks": 2, "m": 6, "k": 32, "n": 20, "weight": "f16", "scales": "none", "tail": false})");
  std::vector<Strided> memory(2);
  const auto got = run(p, [&](int rank, MmAllReduce& op) {
    op.x1 = make_tensor(op.x1.data, op.x1.dtype, {2, 3, 32});
    op.x1 = memory[static_cast<size_t>(rank)].of(op.x1);
    op.y = make_tensor(op.y.data, op.y.dtype, {2, 3, 20});
  });
  EXPECT_TRUE(got == run(p));
}

TensorView packed(const TensorView& weight, Bytes& memory) {
  memory.resize(packed_weight_bytes(weight));
  auto view = pack_weights(weight, memory);
  EXPECT_TRUE(view) << view.error().message;
  return view ? *view : TensorView{};
}

const char* const kPackedProblems[] = {
    R"({"ranks": 2, "m": 6, "k": 40, "n": 130, "weight": "f16", "scales": "none"})",
    R"({"ranks": 2, "m": 1, "k": 64, "n": 64, "weight": "i8", "transposed": true})",
    R"({"ranks": 2, "m": 9, "k": 64, "n": 70, "weight": "i4", "dtype": "bf16", "scales": "group", "group_size": 32})",
    R"({"ranks": 2, "m": 5, "k": 64, "n": 66, "weight": "i4", "transposed": true, "tail": false})",
    R"({"ranks": 2, "m": 5, "k": 48, "n": 65, "x1_dtype": "i8", "scale_dtype": "f32", "token": true, "offset": false, "tail": false})"};

TEST(PackedWeights, GiveTheBitsOfPlainOnes) {
  for (const char* fields : kPackedProblems) {
    const Problem p = with(fields);
    std::vector<Bytes> memory(2);
    const auto got = run(p, [&](int rank, MmAllReduce& op) {
      op.x2 = packed(op.x2, memory[static_cast<size_t>(rank)]);
      op.x2_panel = kPackedColumns;
    });
    EXPECT_TRUE(got == run(p)) << p.describe();
  }
}

// aclnnTransMatmulWeight packs the matrix that lies in memory, which may be the transposed one.
TEST(PackedWeights, OfColumnsGiveTheBitsOfPlainOnes) {
  for (const char* shape : {R"("k": 128, "n": 40, "weight": "i8")", R"("k": 128, "n": 1)", R"("k": 2, "n": 40)"}) {
    const Problem p = with(fmt::format(R"({{"ranks": 2, "m": 6, {}, "transposed": true}})", shape).c_str());
    std::vector<Bytes> memory(2);
    const auto got = run(p, [&](int rank, MmAllReduce& op) {
      op.x2 = packed(op.x2.transposed(), memory[static_cast<size_t>(rank)]).transposed();
      op.x2_panel = kPackedColumns;
    });
    EXPECT_TRUE(got == run(p)) << shape;
  }
}

template <class Op, class Make>
std::vector<Bytes> run_split(const Problem& p, bool pack, const Make& make) {
  auto group = CppGroup::make(p.ranks);
  EXPECT_TRUE(group);
  std::vector<Bytes> memory(static_cast<size_t>(p.ranks)), results;
  std::vector<RankData> data = make_ranks(p);
  std::vector<Call> calls;
  std::vector<Plan> plans;
  for (int rank = 0; rank < p.ranks; ++rank) {
    const auto at = static_cast<size_t>(rank);
    calls.push_back(make_call(p, data[at], group->name()));
    Op op = make(calls.back(), rank);
    if (pack) op.product.x2 = packed(op.product.x2, memory[at]), op.product.x2_panel = kPackedColumns;
    auto planned = plan(op, **Device::get(rank));
    EXPECT_TRUE(planned) << planned.error().message;
    if (!planned) return {};
    plans.push_back(std::move(*planned));
  }
  EXPECT_TRUE(group->run_plans(plans));
  for (Call& call : calls) results.push_back(std::move(call.out.y));
  return results;
}

TEST(PackedWeights, OfTheOtherOperatorsToo) {
  for (const char* fields : kPackedProblems) {
    Problem p = with(fields);
    p.tail = false;
    p.m = 8;
    p.token = false;
    const auto rows = [&](const TensorView& whole, int rank) { return whole.rows(4 * rank, 4); };
    const auto scatter = [&](Call& call, int rank) {
      MmReduceScatter op{call.op, {}};
      op.product.y = rows(call.op.y, rank);
      return op;
    };
    const auto gather = [&](Call& call, int rank) {
      AllGatherMm op{call.op, {}, {}};
      op.product.x1 = rows(call.op.x1, rank);
      return op;
    };
    EXPECT_EQ(run_split<MmReduceScatter>(p, true, scatter), run_split<MmReduceScatter>(p, false, scatter));
    EXPECT_EQ(run_split<AllGatherMm>(p, true, gather), run_split<AllGatherMm>(p, false, gather));
  }
}

TEST(PackedWeights, WhatDoesNotFitIsRefused) {
  std::vector<std::byte> memory(64 * 64 * 2);
  const TensorView weight = make_tensor(memory.data(), DType::f16, {64, 64});
  Bytes small(100);
  EXPECT_EQ(pack_weights(weight, small).error().message, "pack_weights: memory has 100 bytes, 8192 wanted");
  EXPECT_NE(pack_weights(weight.rows(0, 1).rows(0, 1), small).has_value(), true);
  TensorView gaps = make_tensor(memory.data(), DType::f16, {8, 8});
  gaps.stride[0] = 16;
  EXPECT_NE(pack_weights(gaps, memory).error().message.find("strides [16,1]"), std::string::npos);
  const std::string text = refusal(with(R"({"ranks": 2})"), [](int, MmAllReduce& op) { op.x2_panel = 32; });
  EXPECT_NE(text.find("panels of x2 have 32 columns, 64 wanted"), std::string::npos) << text;
}

// W4 of the contract: q = 20,-50,66 and 14,-22,127 (clipped), sum 34,-72,193, a = 17,-36,96.
TEST(Int8Wire, WorkedExample) {
  Problem p = with(
      R"({"ranks": 2, "m": 1, "k": 4, "n": 3, "x1_dtype": "i8", "scale_dtype": "f32", "offset": false, "bias": "none",
      "x3": "all", "wire": true, "tail": false, "values": {"x1": 0, "first": 0.05, "second": 0.1}})");
  auto data = make_ranks(p);
  const double terms[2][3] = {{1, -2.5, 3.3}, {0.7, -1.1, 9.9}};
  for (size_t rank = 0; rank < 2; ++rank) {
    for (int64_t c = 0; c < 3; ++c) store(DType::f16, data[rank]["x3"].bytes.data(), c, terms[rank][c]);
  }
  const auto results = Groups().run(p, data);
  ASSERT_TRUE(results) << results.error().message;
  const double wanted[] = {1.69921875, -3.599609375, 9.59375};
  for (const Outputs& rank : *results) {
    for (int64_t c = 0; c < 3; ++c) EXPECT_EQ(load(DType::f16, rank.y.data(), c), wanted[c]);
  }
}

TEST(Int8Wire, IsRefusedWhereItDoesNotFit) {
  const char* const integers =
      R"({"ranks": 2, "x1_dtype": "i8", "scale_dtype": "f32", "offset": false, "wire": true, "tail": false})";
  const auto says = [](const char* fields, const CppGroup::Adjust& adjust, const char* words) {
    const std::string text = refusal(with(fields), adjust);
    EXPECT_NE(text.find(words), std::string::npos) << text;
  };
  says(R"({"ranks": 2, "weight": "i8", "wire": true})", {}, "an int8 x int8 product wanted");
  says(R"({"ranks": 2, "weight": "f16", "scales": "none", "wire": true})", {}, "an int8 x int8 product wanted");
  says(
      integers, [](int, MmAllReduce& op) { op.reduction = "max"; }, "wire is given with reduction \"max\"");
  says(
      integers, [](int, MmAllReduce& op) { op.wire->second = {}; }, "wire second is null");
  says(
      integers, [](int, MmAllReduce& op) { op.wire->first.dtype = DType::f32; }, "wire first");
  says(
      integers, [](int, MmAllReduce& op) { op.wire->first.shape[0] = 31; },
      "wire first is [31] f16, [32] or [1,32] wanted");
}

TEST(Forms, RanksThatDisagreeGetAMismatch) {
  const char* const integers =
      R"({"ranks": 2, "x1_dtype": "i8", "scale_dtype": "f32", "offset": false, "wire": true, "tail": false})";
  std::string text = refusal(with(integers), [](int rank, MmAllReduce& op) {
    if (rank == 1) op.wire.reset();
  });
  EXPECT_NE(text.find("wire"), std::string::npos) << text;
  text = refusal(with(R"({"ranks": 2})"), [](int rank, MmAllReduce& op) {
    if (rank == 1) op.reduction = "max";
  });
  EXPECT_NE(text.find("reduction"), std::string::npos) << text;
  text = refusal(with(R"({"ranks": 2})"), [](int, MmAllReduce& op) { op.reduction = "mean"; });
  EXPECT_NE(text.find("reduction is \"mean\""), std::string::npos) << text;
}

// Devices in any order, and two ranks of a device's neighbours: the bits of the plain placement.
Expected<std::vector<Bytes>> run_placed(const Problem& p, std::span<const int> devices, size_t window) {
  auto communicators = Communicator::local(p.ranks, devices, {}, window);
  if (!communicators) return fail(communicators.error());
  const auto data = make_ranks(p);
  std::vector<Call> calls;
  std::vector<Plan> plans;
  std::vector<std::unique_ptr<Stream>> streams;
  for (int rank = 0; rank < p.ranks; ++rank) {
    const auto at = static_cast<size_t>(rank);
    Device& device = **Device::get(devices[at]);
    calls.push_back(make_call(p, data[at], communicators->front()->name()));
    auto planned = plan(calls.back().op, device);
    if (!planned) return fail(planned.error());
    plans.push_back(std::move(*planned));
    streams.push_back(std::move(*Stream::create(device)));
  }
  std::vector<Bytes> workspaces(plans.size(), Bytes(4096));
  for (size_t rank = 0; rank < plans.size(); ++rank) {
    if (Status s = plans[rank].run(workspaces[rank], *streams[rank]); !s) return fail(s.error());
  }
  std::vector<Bytes> results;
  for (size_t rank = 0; rank < plans.size(); ++rank) {
    if (Status s = streams[rank]->synchronize(); !s) return fail(s.error());
    results.push_back(calls[rank].out.y);
    results.push_back(calls[rank].out.norm);
  }
  return results;
}

TEST(Placement, WindowAndRankOrderChangeNoBit) {
  std::mt19937 random(7);
  std::vector<int> devices{0, 1, 2, 3};
  for (
      const char* fields :
      {R"({"ranks": 4, "m": 61, "k": 32, "n": 300, "x3": "all"})",
       R"({"ranks": 4, "m": 33, "k": 32, "n": 777, "x1_dtype": "i8", "scale_dtype": "f32", "offset": false, "wire": true})"}) {
    const Problem p = with(fields);
    std::optional<std::vector<Bytes>> first;
    for (const size_t kib : {64, 97, 256, 1031, 4096}) {
      const auto results = run_placed(p, devices, kib << 10);
      ASSERT_TRUE(results) << results.error().message;
      if (!first) first = *results;
      EXPECT_TRUE(*results == *first) << kib;
      std::shuffle(devices.begin(), devices.end(), random);
    }
  }
}

}  // namespace
}  // namespace tandem::fused
