// SPDX-License-Identifier: Apache-2.0
// Functions of the vendor that are more than one operator: small problems whose results are known exactly, or are those
// of the operators one by one.
#include <aclnnop/aclnn_add_rms_norm_cast.h>
#include <aclnnop/aclnn_addbmm.h>
#include <aclnnop/aclnn_baddbmm.h>
#include <aclnnop/aclnn_convert_weight_to_int4_pack.h>
#include <aclnnop/aclnn_dequant_swiglu_quant.h>
#include <aclnnop/aclnn_ffn_v3.h>
#include <aclnnop/aclnn_fused_quant_matmul_weight_nz.h>
#include <aclnnop/aclnn_grouped_matmul_swiglu_quant.h>
#include <aclnnop/aclnn_inplace_add_rms_norm.h>
#include <aclnnop/aclnn_interleave_rope.h>
#include <aclnnop/aclnn_permute.h>
#include <aclnnop/aclnn_quant_matmul.h>
#include <aclnnop/aclnn_rope_with_sin_cos_cache.h>
#include <aclnnop/aclnn_scatter_pa_kv_cache.h>
#include <aclnnop/aclnn_swi_glu_quant.h>
#include <aclnnop/aclnn_trans_matmul_weight.h>
#include <aclnnop/aclnn_trans_quant_param.h>
#include <aclnnop/aclnn_transpose_batch_mat_mul.h>
#include <aclnnop/aclnn_weight_quant_batch_matmul.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <numeric>

#include "tandem/base/half.h"
#include "tandem/ops/elementwise.h"
#include "tandem/ops/grouped_matmul.h"
#include "tandem/ops/norm.h"
#include "tandem/ops/quantize.h"
#include "tests/ops/vendor_values_test.h"

namespace tandem::ops_test {
namespace {

using Floats = std::vector<float>;
using Halves = std::vector<uint16_t>;  // bits of f16
using Bytes8 = std::vector<int8_t>;
using Words = std::vector<int32_t>;

Halves halves(const Floats& values) {
  Halves out;
  for (const float v : values) out.push_back(to_f16(v).bits);
  return out;
}

Floats counting(int64_t count, float first = 1) {
  Floats values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), first);
  return values;
}

TEST(Chains, PermuteTurnsDimensions) {
  const Values x(ACL_FLOAT, {2, 3, 2}, counting(12)), y(ACL_FLOAT, {2, 2, 3}, Floats(12));
  const IntArray order({2, 0, 1}), twice({0, 0, 1});
  const auto permute = [&](const IntArray& dims) {
    return both(
        [&](auto* size, auto* run) { return aclnnPermuteGetWorkspaceSize(x.get(), dims.get(), y.get(), size, run); },
        aclnnPermute);
  };
  ASSERT_EQ(permute(order), 0) << group_a::recent_error();
  EXPECT_EQ(y.read<float>(), (Floats{1, 3, 5, 7, 9, 11, 2, 4, 6, 8, 10, 12}));
  EXPECT_EQ(permute(twice), 161002);
}

TEST(Chains, Int4PackPutsTwoInAByteAndWantsNoWorkspace) {
  const Values weight(ACL_INT32, {2, 8}, Words{0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1});
  const Values packed(ACL_INT32, {2, 1}, Words{0, 0});
  uint64_t wanted = 1;
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  const int code = aclnnConvertWeightToINT4PackGetWorkspaceSize(weight.get(), packed.get(), size, run);
                  wanted = *size;
                  return code;
                },
                aclnnConvertWeightToINT4Pack),
            0)
      << group_a::recent_error();
  EXPECT_EQ(wanted, 0u);
  EXPECT_EQ(packed.read<uint32_t>(), (std::vector<uint32_t>{0x76543210u, 0xfedcba98u}));
}

TEST(Chains, QuantParamWords) {
  const float scales[] = {1, 2}, offset[] = {-1};
  uint64_t *words = nullptr, count = 0;
  ASSERT_EQ(aclnnTransQuantParam(scales, 2, offset, 1, &words, &count), 0);
  const std::unique_ptr<uint64_t, decltype(&std::free)> owner(words, &std::free);
  ASSERT_EQ(count, 2u);
  EXPECT_EQ(words[0], uint64_t{1} << 46 | uint64_t{0x1ff} << 37 | 0x3f800000u);
  EXPECT_EQ(words[1], uint64_t{1} << 46 | uint64_t{0x1ff} << 37 | 0x40000000u);
  EXPECT_EQ(aclnnTransQuantParam(nullptr, 2, nullptr, 0, &words, &count), 161001);
  EXPECT_EQ(aclnnTransQuantParam(scales, 2, nullptr, 1, &words, &count), 161002);
}

TEST(Chains, SumsOfProductsOfBatches) {
  const Values a(ACL_FLOAT, {2, 1, 2}, Floats{1, 2, 3, 4}), b(ACL_FLOAT, {2, 2, 1}, Floats{5, 6, 7, 8});
  const Values c(ACL_FLOAT, {1, 1}, Floats{100}), y(ACL_FLOAT, {1, 1}, Floats{0});
  const Scalar alpha(2), beta(0.5f);
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnAddbmmGetWorkspaceSize(c.get(), a.get(), b.get(), beta.get(), alpha.get(), y.get(), 0,
                                                     size, run);
                },
                aclnnAddbmm),
            0)
      << group_a::recent_error();
  EXPECT_EQ(y.read<float>(), Floats{50 + 2 * (17 + 53)});
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnInplaceAddbmmGetWorkspaceSize(c.get(), a.get(), b.get(), beta.get(), alpha.get(), 0, size,
                                                            run);
                },
                aclnnInplaceAddbmm),
            0);
  EXPECT_EQ(c.read<float>(), Floats{190});
  const Values sums(ACL_FLOAT, {2, 1, 1}, Floats{10, 20});
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnInplaceBaddbmmGetWorkspaceSize(sums.get(), a.get(), b.get(), beta.get(), alpha.get(), 0,
                                                             size, run);
                },
                aclnnInplaceBaddbmm),
            0);
  EXPECT_EQ(sums.read<float>(), (Floats{5 + 34, 10 + 106}));
}

TEST(Chains, TurnedBatchesAreMultiplied) {
  // x1 (m, batch, k) and out (m, batch, n) with two batches.
  const Values a(ACL_FLOAT, {2, 2, 1}, Floats{1, 2, 3, 4}), b(ACL_FLOAT, {2, 1, 2}, Floats{1, 10, 2, 20});
  const Values y(ACL_FLOAT, {2, 2, 2}, Floats(8));
  const IntArray turned({1, 0, 2}), plain({0, 1, 2});
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnTransposeBatchMatMulGetWorkspaceSize(a.get(), b.get(), nullptr, nullptr, turned.get(),
                                                                   plain.get(), turned.get(), 0, 1, y.get(), size, run);
                },
                aclnnTransposeBatchMatMul),
            0)
      << group_a::recent_error();
  EXPECT_EQ(y.read<float>(), (Floats{1, 10, 4, 40, 3, 30, 8, 80}));
}

TEST(Chains, QuantisedProductsWithNumbersForScales) {
  const Values a(ACL_INT8, {2, 2}, Bytes8{1, 2, -3, 4}), b(ACL_INT8, {2, 2}, Bytes8{5, 6, 7, 8});
  const Values bias(ACL_INT32, {2}, Words{1, -1}), y(ACL_FLOAT16, {2, 2}, halves({0, 0, 0, 0}));
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnQuantMatmulGetWorkspaceSize(a.get(), b.get(), bias.get(), 0.5f, y.get(), size, run);
                },
                aclnnQuantMatmul),
            0)
      << group_a::recent_error();
  EXPECT_EQ(y.read<uint16_t>(), halves({10, 10.5f, 7, 6.5f}));
  const Values x(ACL_FLOAT16, {2, 2}, halves({1, 2, -3, 4})), offset(ACL_FLOAT16, {2}, halves({1, 2}));
  const Values scale(ACL_FLOAT16, {2}, halves({0.5f, 2}));
  const auto multiply = [&](const Values* added, const Values* factor) {
    return both(
        [&](auto* size, auto* run) {
          return aclnnWeightQuantBatchMatmulGetWorkspaceSize(
              x.get(), b.get(), nullptr, nullptr, nullptr, added == nullptr ? nullptr : added->get(),
              factor == nullptr ? nullptr : factor->get(), nullptr, false, false, 2, 1, y.get(), size, run);
        },
        aclnnWeightQuantBatchMatmul);
  };
  ASSERT_EQ(multiply(&offset, &scale), 0) << group_a::recent_error();
  EXPECT_EQ(y.read<uint16_t>(), halves({11, 56, 7, 32}));
  ASSERT_EQ(multiply(nullptr, nullptr), 0) << group_a::recent_error();
  EXPECT_EQ(y.read<uint16_t>(), halves({44, 50, 28, 30}));
  EXPECT_EQ(multiply(&offset, nullptr), 161002);
}

TEST(Chains, ReluBehindAPackedProduct) {
  const Values a(ACL_INT8, {1, 2}, Bytes8{1, 1}), scale(ACL_FLOAT, {64}, Floats(64, 1)),
      y(ACL_FLOAT16, {1, 64}, Halves(64));
  Bytes8 weight(128);
  for (size_t i = 0; i < 64; ++i) weight[i] = static_cast<int8_t>(i % 2 == 0 ? i : -static_cast<int>(i));
  const Values b(ACL_INT8, {2, 64}, weight);
  ASSERT_EQ(both([&](auto* size, auto* run) { return aclnnTransMatmulWeightGetWorkspaceSize(b.get(), size, run); },
                 aclnnTransMatmulWeight),
            0);
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnFusedQuantMatmulWeightNzGetWorkspaceSize(a.get(), b.get(), nullptr, scale.get(), nullptr,
                                                                       nullptr, nullptr, nullptr, nullptr, nullptr,
                                                                       "relu", 0, y.get(), size, run);
                },
                aclnnFusedQuantMatmulWeightNz),
            0)
      << group_a::recent_error();
  const Halves got = y.read<uint16_t>();
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(to_float(f16{got[i]}), i % 2 == 0 ? static_cast<float>(i) : 0) << i;
}

TEST(Chains, NormsInPlaceAndTwice) {
  const Floats x1 = {1, 2, -3, 4}, x2 = {0.5f, 1, 2, -8};
  const Values a(ACL_FLOAT, {2, 2}, x1), b(ACL_FLOAT, {2, 2}, x2), gamma(ACL_FLOAT, {2}, Floats{1, 2});
  const Values rstd(ACL_FLOAT, {2, 1}, Floats(2));
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnInplaceAddRmsNormGetWorkspaceSize(a.get(), b.get(), gamma.get(), 1e-6, rstd.get(), size,
                                                                run);
                },
                aclnnInplaceAddRmsNorm),
            0)
      << group_a::recent_error();
  Floats left = x1, right = x2, factors = {1, 2}, y(4), sum(4), inverse(2);
  const auto view = [](Floats& values, std::initializer_list<int64_t> dims) {
    return make_tensor(values.data(), DType::f32, dims);
  };
  const RmsNorm plain{view(left, {2, 2}),
                      view(right, {2, 2}),
                      view(factors, {2}),
                      view(y, {2, 2}),
                      view(sum, {2, 2}),
                      view(inverse, {2, 1}),
                      1e-6};
  ASSERT_EQ(run_here(plain), "");
  EXPECT_EQ(a.read<float>(), y);
  EXPECT_EQ(b.read<float>(), sum);
  EXPECT_EQ(rstd.read<float>(), inverse);
  const Values half1(ACL_FLOAT16, {2, 2}, halves(x1)), half2(ACL_FLOAT16, {2, 2}, halves(x2));
  const Values weight(ACL_FLOAT16, {2}, halves({1, 2})), wide(ACL_FLOAT, {2, 2}, Floats(4));
  const Values narrow(ACL_FLOAT16, {2, 2}, Halves(4)), total(ACL_FLOAT16, {2, 2}, Halves(4));
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnAddRmsNormCastGetWorkspaceSize(half1.get(), half2.get(), weight.get(), 1e-6, wide.get(),
                                                             narrow.get(), rstd.get(), total.get(), size, run);
                },
                aclnnAddRmsNormCast),
            0)
      << group_a::recent_error();
  EXPECT_EQ(wide.read<float>(), y);
  EXPECT_EQ(narrow.read<uint16_t>(), halves(y));
  EXPECT_EQ(total.read<uint16_t>(), halves(sum));
}

// silu(right) * left, quantised: through the vendor's functions and by the operators.
TEST(Chains, GatesAreQuantised) {
  const Floats x = {1, -2, 3, 0.5f, 0.25f, 4, -1, 2};
  const Values given(ACL_FLOAT, {2, 4}, x), smooth(ACL_FLOAT, {2, 2}, Floats{1, 2, 3, 4});
  const Values group(ACL_INT32, {2}, Words{1, 2}), y(ACL_INT8, {2, 2}, Bytes8(4)), scale(ACL_FLOAT, {2}, Floats(2));
  char dynamic[] = "dynamic", fixed[] = "static";
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnSwiGluQuantGetWorkspaceSize(given.get(), smooth.get(), nullptr, group.get(), false,
                                                          dynamic, y.get(), scale.get(), size, run);
                },
                aclnnSwiGluQuant),
            0)
      << group_a::recent_error();
  Floats swapped = {x[2], x[3], x[0], x[1], x[6], x[7], x[4], x[5]}, gate(4), factors = {1, 2, 3, 4}, scales(2);
  Bytes8 rows(4);
  Words ends = {1, 2};
  const TensorView gates = make_tensor(gate.data(), DType::f32, {2, 2});
  ASSERT_EQ(run_here(Swiglu{make_tensor(swapped.data(), DType::f32, {2, 4}), gates}), "");
  DynamicQuant quant{.x = gates, .smooth = make_tensor(factors.data(), DType::f32, {2, 2})};
  quant.group = make_tensor(ends.data(), DType::i32, {2});
  quant.y = make_tensor(rows.data(), DType::i8, {2, 2});
  quant.scale = make_tensor(scales.data(), DType::f32, {2});
  ASSERT_EQ(run_here(quant), "");
  EXPECT_EQ(y.read<int8_t>(), rows);
  EXPECT_EQ(scale.read<float>(), scales);
  const Values one(ACL_FLOAT, {1}, Floats{10}), added(ACL_FLOAT, {1}, Floats{1});
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnDequantSwigluQuantGetWorkspaceSize(given.get(), nullptr, nullptr, nullptr, one.get(),
                                                                 added.get(), nullptr, false, fixed, y.get(),
                                                                 scale.get(), size, run);
                },
                aclnnDequantSwigluQuant),
            0)
      << group_a::recent_error();
  Floats ten = {10}, plus = {1};
  Quantize still{.x = gates, .scale = make_tensor(ten.data(), DType::f32, {1})};
  still.offset = make_tensor(plus.data(), DType::f32, {1});
  still.y = make_tensor(rows.data(), DType::i8, {2, 2});
  ASSERT_EQ(run_here(still), "");
  EXPECT_EQ(y.read<int8_t>(), rows);
}

TEST(Chains, InterleavedHeadsComeOutInHalves) {
  const Values x(ACL_FLOAT, {1, 2, 1, 4}, counting(8)), y(ACL_FLOAT, {1, 2, 1, 4}, Floats(8));
  const Values cos(ACL_FLOAT, {1, 1, 1, 4}, Floats{1, 2, 1, 2}), sin(ACL_FLOAT, {1, 1, 1, 4}, Floats{0, 1, 0, 1});
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnInterleaveRopeGetWorkspaceSize(x.get(), cos.get(), sin.get(), y.get(), size, run);
                },
                aclnnInterleaveRope),
            0)
      << group_a::recent_error();
  // Heads 1 3 2 4 and 5 7 6 8, then halves turned: (a, b) -> (a cos - b sin, b cos + a sin).
  EXPECT_EQ(y.read<float>(), (Floats{1, 2, 2, 11, 5, 6, 6, 23}));
}

TEST(Chains, RowsOfACacheTurnTheFirstColumns) {
  const Values positions(ACL_INT64, {2}, std::vector<int64_t>{1, 0});
  const Values cache(ACL_FLOAT, {2, 2}, Floats{1, 0, 2, 3});  // position 0: cos 1, sin 0; 1: cos 2, sin 3
  const Values query(ACL_FLOAT, {2, 3}, Floats{1, 2, 9, 3, 4, 8}), key(ACL_FLOAT, {2, 3}, Floats{5, 6, 7, 7, 8, 9});
  const Values query_out(ACL_FLOAT, {2, 3}, Floats(6)), key_out(ACL_FLOAT, {2, 3}, Floats(6));
  for (const bool neox : {true, false}) {
    ASSERT_EQ(both(
                  [&](auto* size, auto* run) {
                    return aclnnRopeWithSinCosCacheGetWorkspaceSize(positions.get(), query.get(), key.get(),
                                                                    cache.get(), nullptr, 3, neox, query_out.get(),
                                                                    key_out.get(), size, run);
                  },
                  aclnnRopeWithSinCosCache),
              0)
        << group_a::recent_error();
    EXPECT_EQ(query_out.read<float>(), (Floats{2 - 6, 4 + 3, 9, 3, 4, 8}));
    EXPECT_EQ(key_out.read<float>(), (Floats{10 - 18, 12 + 15, 7, 7, 8, 9}));
  }
}

TEST(Chains, SlotsOfBlockedCaches) {
  Floats rows = counting(64);
  const Values key(ACL_FLOAT16, {2, 2, 16}, halves(rows)), value(ACL_FLOAT16, {2, 2, 16}, halves(rows));
  const Values keys(ACL_FLOAT16, {1, 2, 4, 16}, Halves(128)), values(ACL_FLOAT16, {1, 2, 4, 16}, Halves(128));
  const Values slots(ACL_INT32, {2}, Words{3, 1});
  char blocked[] = "PA_NZ", none[] = "None";
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnScatterPaKvCacheGetWorkspaceSize(key.get(), keys.get(), slots.get(), value.get(),
                                                               values.get(), nullptr, nullptr, nullptr, blocked, none,
                                                               nullptr, nullptr, size, run);
                },
                aclnnScatterPaKvCache),
            0)
      << group_a::recent_error();
  const Halves got = keys.read<uint16_t>();
  for (size_t token = 0; token < 2; ++token) {
    const size_t slot = token == 0 ? 3 : 1;
    for (size_t c = 0; c < 32; ++c)
      EXPECT_EQ(to_float(f16{got[(c / 16 * 4 + slot) * 16 + c % 16]}), rows[token * 32 + c]) << token << " " << c;
  }
  EXPECT_EQ(values.read<uint16_t>(), got);
}

TEST(Chains, TwoLayers) {
  const Values x(ACL_FLOAT16, {2, 1}, halves({1, -2})), first(ACL_FLOAT16, {1, 2}, halves({1, -1}));
  const Values second(ACL_FLOAT16, {2, 1}, halves({10, 100})), y(ACL_FLOAT16, {2, 1}, Halves(2));
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnFFNV3GetWorkspaceSize(x.get(), first.get(), second.get(), nullptr, nullptr, nullptr,
                                                    nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                                                    nullptr, "relu", 1, false, y.get(), size, run);
                },
                aclnnFFNV3),
            0)
      << group_a::recent_error();
  EXPECT_EQ(y.read<uint16_t>(), halves({10, 200}));
  const Values experts(ACL_INT64, {2}, std::vector<int64_t>{1, 1});
  const Values firsts(ACL_FLOAT16, {2, 1, 2}, halves({1, -1, 2, -2})),
      seconds(ACL_FLOAT16, {2, 2, 1}, halves({1, 2, 3, 4}));
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnFFNV3GetWorkspaceSize(x.get(), firsts.get(), seconds.get(), experts.get(), nullptr,
                                                    nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                                                    nullptr, nullptr, "relu", 1, false, y.get(), size, run);
                },
                aclnnFFNV3),
            0)
      << group_a::recent_error();
  EXPECT_EQ(y.read<uint16_t>(), halves({1, 16}));
}

TEST(Chains, ExpertsWithGates) {
  Bytes8 x(64), weight(2 * 32 * 32);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<int8_t>(static_cast<int>(i) % 7 - 3);
  for (size_t i = 0; i < weight.size(); ++i) weight[i] = static_cast<int8_t>(static_cast<int>(i * 5) % 11 - 5);
  Floats dequant(64, 0.01f), token = {1, 0.5f};
  std::vector<int64_t> ends = {1, 2};
  const Values rows(ACL_INT8, {2, 32}, x), columns(ACL_FLOAT, {2, 32}, dequant), tokens(ACL_FLOAT, {2}, token);
  const Values experts(ACL_INT8, {2, 32, 32}, weight), group(ACL_INT64, {2}, ends);
  const Values y(ACL_INT8, {2, 16}, Bytes8(32)), scale(ACL_FLOAT, {2}, Floats(2));
  ASSERT_EQ(both(
                [&](auto* size, auto* run) {
                  return aclnnGroupedMatmulSwigluQuantGetWorkspaceSize(rows.get(), experts.get(), nullptr, nullptr,
                                                                       columns.get(), tokens.get(), group.get(),
                                                                       y.get(), scale.get(), nullptr, size, run);
                },
                aclnnGroupedMatmulSwigluQuant),
            0)
      << group_a::recent_error();
  Floats sums(64), gate(32), scales(2);
  Bytes8 wanted(32);
  const TensorView sum = make_tensor(sums.data(), DType::f32, {2, 32}),
                   gates = make_tensor(gate.data(), DType::f32, {2, 16});
  GroupedMatmul product{.x = {make_tensor(x.data(), DType::i8, {2, 32})}};
  product.weight = {make_tensor(weight.data(), DType::i8, {2, 32, 32})};
  product.dequant = {make_tensor(dequant.data(), DType::f32, {2, 32})};
  product.token = {make_tensor(token.data(), DType::f32, {2})};
  product.y = {sum};
  product.ends = ends;
  ASSERT_EQ(run_here(product), "");
  ASSERT_EQ(run_here(Swiglu{sum, gates}), "");
  DynamicQuant quant{.x = gates, .y = make_tensor(wanted.data(), DType::i8, {2, 16})};
  quant.scale = make_tensor(scales.data(), DType::f32, {2});
  ASSERT_EQ(run_here(quant), "");
  EXPECT_EQ(y.read<int8_t>(), wanted);
  EXPECT_EQ(scale.read<float>(), scales);
}

}  // namespace
}  // namespace tandem::ops_test
