// SPDX-License-Identifier: Apache-2.0
// Operations of one device: the bits of the C++ call with the same operands, and what is refused.
#include <algorithm>
#include <cmath>
#include <random>

#include "atb/train_op_params.h"
#include "atb_rank_test.h"
#include "tandem/exec/device.h"
#include "tandem/exec/stream.h"
#include "tandem/ops/attention.h"
#include "tandem/ops/elementwise.h"
#include "tandem/ops/matmul.h"
#include "tandem/ops/norm.h"
#include "tandem/ops/quantize.h"
#include "tandem/ops/rope.h"

namespace atb_test {
namespace {

namespace infer = atb::infer;
using tandem::DType;
using tandem::TensorView;

DType dtype_of(aclDataType type) {
  switch (type) {
    case ACL_FLOAT: return DType::f32;
    case ACL_FLOAT16: return DType::f16;
    case ACL_BF16: return DType::bf16;
    case ACL_INT8: return DType::i8;
    case ACL_INT64: return DType::i64;
    default: return DType::i32;
  }
}

TensorView view(const atb::Tensor& tensor) {
  return tandem::make_tensor(tensor.deviceData, dtype_of(tensor.desc.dtype), tensor.desc.shape.dims,
                             static_cast<int>(tensor.desc.shape.dimNum));
}
TensorView view(const atb::Tensor& tensor, std::initializer_list<int64_t> dims) {
  return tandem::make_tensor(tensor.deviceData, dtype_of(tensor.desc.dtype), dims);
}

template <class Op>
void run_cpp(const Op& op) {
  auto device = tandem::Device::get(0);
  ASSERT_TRUE(device);
  auto made = tandem::plan(op, **device);
  ASSERT_TRUE(made) << made.error().message;
  auto stream = tandem::Stream::create(**device);
  ASSERT_TRUE(stream);
  std::vector<std::byte> workspace(made->workspace_bytes());
  ASSERT_TRUE(made->run(workspace, **stream));
  const auto done = (*stream)->synchronize();
  EXPECT_TRUE(done) << done.error().message;
}

// A rank whose tensors are filled at random, the same in every run.
class Filled : public Rank {
 public:
  atb::Tensor random(aclDataType type, const Dims& dims, float scale = 1) {
    const atb::Tensor made = tensor(type, dims);
    std::uniform_real_distribution<float> values(-scale, scale);
    const size_t count = atb::Utils::GetTensorNumel(made);
    if (type == ACL_FLOAT) {
      std::generate_n(static_cast<float*>(made.deviceData), count, [&] { return values(generator_); });
    } else if (type == ACL_INT8) {
      std::generate_n(static_cast<int8_t*>(made.deviceData), count,
                      [&] { return static_cast<int8_t>(values(generator_) * 100); });
    } else if (type == ACL_BF16) {
      std::generate_n(static_cast<uint16_t*>(made.deviceData), count, [&] { return bf16(values(generator_)); });
    } else {
      std::generate_n(static_cast<uint16_t*>(made.deviceData), count,
                      [&] { return aclFloatToFloat16(values(generator_)); });
    }
    return made;
  }

 private:
  static uint16_t bf16(float value) {
    uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    return static_cast<uint16_t>(bits >> 16);
  }
  std::mt19937 generator_{7};
};

// One of the outputs has the bytes that `cpp` writes into another tensor of its shape.
class AtbBits : public testing::Test {
 protected:
  template <class Param>
  void run(const Param& param, const std::vector<atb::Tensor>& in, const std::vector<atb::Tensor>& out) {
    EXPECT_EQ(self.run(param, in, out), 0) << message();
  }
  atb::Tensor like(const atb::Tensor& tensor) { return self.tensor(tensor.desc.dtype, dims_of(tensor.desc)); }
  void same(const atb::Tensor& given, const atb::Tensor& wanted) { EXPECT_EQ(self.bytes(given), self.bytes(wanted)); }

  Filled self;
};

infer::ElewiseParam elewise(infer::ElewiseParam::ElewiseType type) {
  infer::ElewiseParam param;
  param.elewiseType = type;
  return param;
}

TEST_F(AtbBits, Arithmetic) {
  using Type = infer::ElewiseParam;
  const std::pair<Type::ElewiseType, tandem::Binary> types[] = {{Type::ELEWISE_ADD, tandem::Binary::add},
                                                                {Type::ELEWISE_SUB, tandem::Binary::subtract},
                                                                {Type::ELEWISE_MUL, tandem::Binary::multiply},
                                                                {Type::ELEWISE_REALDIV, tandem::Binary::divide}};
  for (const aclDataType dtype : {ACL_FLOAT16, ACL_BF16, ACL_FLOAT}) {
    const atb::Tensor x = self.random(dtype, {3, 5, 70}), row = self.random(dtype, {70});
    for (const auto& [type, op] : types) {
      const atb::Tensor y = like(x), wanted = like(x);
      run(elewise(type), {x, row}, {y});
      run_cpp(tandem::Arithmetic{.a = view(x), .b = view(row), .y = view(wanted), .op = op});
      same(y, wanted);
    }
  }
}

TEST_F(AtbBits, CastScaleAndNegate) {
  const atb::Tensor x = self.random(ACL_FLOAT, {4, 33}, 50), half = self.tensor(ACL_FLOAT16, {4, 33});
  auto param = elewise(infer::ElewiseParam::ELEWISE_CAST);
  param.outTensorType = ACL_FLOAT16;
  run(param, {x}, {half});
  const atb::Tensor wanted_half = like(half);
  run_cpp(tandem::Cast{view(x), view(wanted_half)});
  same(half, wanted_half);
  param.outTensorType = ACL_FLOAT;
  const atb::Tensor copy = like(x);
  run(param, {x}, {copy});
  same(copy, x);
  auto scale = elewise(infer::ElewiseParam::ELEWISE_MULS);
  scale.mulsParam.varAttr = -0.3f;
  const atb::Tensor scaled = like(half), wanted = like(half);
  run(scale, {half}, {scaled});
  run_cpp(tandem::Activation{.x = view(half), .y = view(wanted), .op = tandem::Unary::scale, .alpha = -0.3f});
  same(scaled, wanted);
  run(elewise(infer::ElewiseParam::ELEWISE_NEG), {half}, {scaled});
  run_cpp(tandem::Activation{.x = view(half), .y = view(wanted), .op = tandem::Unary::negate});
  same(scaled, wanted);
}

TEST_F(AtbBits, Quantisers) {
  using Type = infer::ElewiseParam;
  const atb::Tensor x = self.random(ACL_FLOAT16, {6, 64}, 9), y = self.tensor(ACL_INT8, {6, 64}), wanted = like(y);
  const atb::Tensor scales = self.tensor(ACL_FLOAT, {6}), wanted_scales = like(scales);
  run(elewise(Type::ELEWISE_DYNAMIC_QUANT), {x}, {y, scales});
  run_cpp(tandem::DynamicQuant{.x = view(x), .y = view(wanted), .scale = view(wanted_scales)});
  same(y, wanted);
  same(scales, wanted_scales);
  const atb::Tensor scale = self.halves({64}, std::vector<float>(64, 0.25f)),
                    offset = self.random(ACL_INT8, {64}, 0.1f);
  run(elewise(Type::ELEWISE_QUANT_PER_CHANNEL), {x, scale, offset}, {y});
  run_cpp(tandem::Quantize{.x = view(x),
                           .scale = view(scale),
                           .offset = view(offset),
                           .y = view(wanted),
                           .divide = true,
                           .offset_last = true});
  same(y, wanted);
  const atb::Tensor back = self.tensor(ACL_FLOAT16, {6, 64}), wanted_back = like(back);
  atb::Tensor none;
  none.desc.dtype = ACL_INT8;
  run(elewise(Type::ELEWISE_DEQUANT_PER_CHANNEL), {y, scale, none}, {back});
  run_cpp(tandem::Dequantize{.x = view(y), .scale = view(scale), .y = view(wanted_back)});
  same(back, wanted_back);
  auto whole = elewise(Type::ELEWISE_QUANT);
  whole.quantParam.inputScale = 0.5f;
  whole.quantParam.inputOffset = 3;
  const atb::Tensor numbers = self.halves({4}, {0.5f, -1.0f, 62.5f, -60.0f}), few = self.tensor(ACL_INT8, {4});
  run(whole, {numbers}, {few});
  EXPECT_EQ(self.bytes(few), (std::vector<uint8_t>{4, 1, 127, 139}));
}

infer::ActivationParam activation(infer::ActivationType type) {
  infer::ActivationParam param;
  param.activationType = type;
  return param;
}

TEST_F(AtbBits, Activations) {
  const atb::Tensor x = self.random(ACL_FLOAT16, {5, 48}, 6), y = like(x), wanted = like(x);
  run(activation(infer::ACTIVATION_GELU), {x}, {y});
  run_cpp(tandem::Activation{.x = view(x), .y = view(wanted), .op = tandem::Unary::gelu});
  same(y, wanted);
  run(activation(infer::ACTIVATION_SWISH), {x}, {y});
  run_cpp(tandem::Activation{.x = view(x), .y = view(wanted), .op = tandem::Unary::silu});
  same(y, wanted);
  const atb::Tensor half = self.tensor(ACL_FLOAT16, {5, 24}), wanted_half = like(half);
  run(activation(infer::ACTIVATION_SWIGLU_FORWARD), {x}, {half});
  run_cpp(tandem::Swiglu{view(x), view(wanted_half), -1});
  same(half, wanted_half);
  const atb::Tensor few = self.floats({4}, {-2, -0.5f, 0, 3}), out = like(few);
  run(activation(infer::ACTIVATION_RELU), {few}, {out});
  EXPECT_EQ(self.read_floats(out), (std::vector<float>{0, 0, 0, 3}));
  infer::SoftmaxParam softmax;
  softmax.axes = {-1};
  run(softmax, {x}, {y});
  run_cpp(tandem::Softmax{view(x), view(wanted), -1});
  same(y, wanted);
}

TEST_F(AtbBits, ActivationsOfSeveralStepsLieWithinTheirBound) {
  const std::vector<float> given = {-30, -5, -1, -0.25f, 0, 0.5f, 1, 2, 10, 40};
  const atb::Tensor x = self.floats({10}, given), y = like(x);
  const std::pair<infer::ActivationType, double> forms[] = {{infer::ACTIVATION_FAST_GELU, 1.702},
                                                            {infer::ACTIVATION_FASTER_GELU_FORWARD, 1.702},
                                                            {infer::ACTIVATION_SIGMOID, 0}};
  for (const auto& [type, beta] : forms) {
    run(activation(type), {x}, {y});
    const auto values = self.read_floats(y);
    for (size_t i = 0; i < given.size(); ++i) {
      const double v = static_cast<double>(given[i]), logistic = 1 / (1 + std::exp(-(beta == 0 ? v : beta * v)));
      const double wanted = beta == 0 ? logistic : v * logistic;
      // The exponent is rounded before it is used: its error grows with it.
      const double bound = (16 + 4 * std::abs(v)) * 6e-8 * std::abs(wanted) + 1e-37;
      EXPECT_NEAR(static_cast<double>(values[i]), wanted, bound) << type << " of " << v;
    }
  }
}

infer::RmsNormParam norm(infer::RmsNormParam::RmsNormType type) {
  infer::RmsNormParam param;
  param.layerType = type;
  return param;
}

TEST_F(AtbBits, Norms) {
  using Type = infer::RmsNormParam;
  const atb::Tensor x = self.random(ACL_FLOAT16, {2, 3, 96}, 3), residual = self.random(ACL_FLOAT16, {2, 3, 96});
  const atb::Tensor gamma = self.random(ACL_FLOAT16, {1, 96}, 2), y = like(x), wanted = like(x), sum = like(x);
  const double epsilon = static_cast<double>(1e-5f);
  auto plain = norm(Type::RMS_NORM_NORM);
  plain.normParam.rstd = true;
  const atb::Tensor rstd = self.tensor(ACL_FLOAT, {2, 3, 1}), wanted_rstd = like(rstd), wanted_sum = like(x);
  run(plain, {x, gamma}, {y, rstd});
  run_cpp(tandem::RmsNorm{
      .x = view(x), .gamma = view(gamma, {96}), .y = view(wanted), .rstd = view(wanted_rstd), .epsilon = epsilon});
  same(y, wanted);
  same(rstd, wanted_rstd);
  run(norm(Type::RMS_NORM_PRENORM), {x, residual, gamma}, {y, sum});
  run_cpp(tandem::RmsNorm{.x = view(x),
                          .residual = view(residual),
                          .gamma = view(gamma, {96}),
                          .y = view(wanted),
                          .sum = view(wanted_sum),
                          .epsilon = epsilon});
  same(y, wanted);
  same(sum, wanted_sum);
  run(norm(Type::RMS_NORM_POSTNORM), {x, residual, gamma}, {y});
  same(y, wanted);
  auto quantised = norm(Type::RMS_NORM_NORM);
  quantised.normParam.quantType = infer::QUANT_INT8;
  const atb::Tensor beta = self.random(ACL_FLOAT16, {96}), scale = self.halves({1}, {20}),
                    offset = self.random(ACL_INT8, {1}, 0.1f);
  const atb::Tensor bytes = self.tensor(ACL_INT8, {2, 3, 96}), wanted_bytes = like(bytes);
  run(quantised, {x, gamma, beta, scale, offset}, {bytes});
  run_cpp(tandem::RmsNormQuant{.x = view(x),
                               .gamma = view(gamma, {96}),
                               .beta = view(beta),
                               .scale1 = view(scale),
                               .offset1 = view(offset),
                               .y1 = view(wanted_bytes),
                               .epsilon = epsilon});
  same(bytes, wanted_bytes);
}

infer::LinearParam linear(bool transposed, bool bias) {
  infer::LinearParam param;
  param.transposeB = transposed;
  param.hasBias = bias;
  return param;
}

TEST_F(AtbBits, Products) {
  const atb::Tensor x = self.random(ACL_FLOAT16, {5, 40}), weight = self.random(ACL_FLOAT16, {24, 40});
  const atb::Tensor bias = self.random(ACL_FLOAT16, {1, 24}), y = self.tensor(ACL_FLOAT16, {5, 24}), wanted = like(y);
  run(linear(true, true), {x, weight, bias}, {y});
  run_cpp(tandem::Linear{.x = view(x), .weight = view(weight), .bias = view(bias), .y = view(wanted)});
  same(y, wanted);
  const atb::Tensor turned = self.random(ACL_FLOAT16, {40, 24});
  run(linear(false, false), {x, turned}, {y});
  run_cpp(tandem::Linear{.x = view(x), .weight = view(turned), .y = view(wanted), .transpose = false});
  same(y, wanted);
  auto einsum = linear(false, false);
  einsum.matmulType = infer::LinearParam::MATMUL_EIN_SUM;
  const atb::Tensor rows = self.random(ACL_FLOAT16, {5, 3, 40}), stack = self.random(ACL_FLOAT16, {3, 40, 24});
  const atb::Tensor many = self.tensor(ACL_FLOAT16, {5, 3, 24});
  run(einsum, {rows, stack}, {many});
  for (int64_t b = 0; b < 3; ++b) {
    TensorView one = view(rows);
    one.data = static_cast<uint16_t*>(one.data) + b * 40;
    one.rank = 2;
    one.shape = {5, 40};
    one.stride = {120, 1};
    TensorView matrix = view(stack, {40, 24});
    matrix.data = static_cast<uint16_t*>(matrix.data) + b * 960;
    run_cpp(tandem::Matmul{.a = one, .b = matrix, .y = view(wanted)});
    const auto all = self.bytes(many), own = self.bytes(wanted);
    for (size_t m = 0; m < 5; ++m)
      EXPECT_TRUE(std::equal(own.begin() + static_cast<std::ptrdiff_t>(m * 48),
                             own.begin() + static_cast<std::ptrdiff_t>((m + 1) * 48),
                             all.begin() + static_cast<std::ptrdiff_t>((m * 3 + static_cast<size_t>(b)) * 48)));
  }
}

TEST_F(AtbBits, IntegerProducts) {
  const atb::Tensor x = self.random(ACL_INT8, {4, 64}), weight = self.random(ACL_INT8, {16, 64});
  const atb::Tensor bias = self.tensor(ACL_INT32, {1, 16}), scale = self.random(ACL_FLOAT, {1, 16}, 0.01f);
  const atb::Tensor token = self.random(ACL_FLOAT, {4}), y = self.tensor(ACL_BF16, {4, 16}), wanted = like(y);
  auto param = linear(true, true);
  param.outDataType = ACL_BF16;
  param.quantMode = infer::LinearParam::PER_TOKEN;
  run(param, {x, weight, bias, scale, token}, {y});
  run_cpp(tandem::QuantMatmul{.x1 = view(x),
                              .x2 = view(weight).transposed(),
                              .scale = view(scale, {16}),
                              .token = view(token),
                              .bias = view(bias, {16}),
                              .y = view(wanted)});
  same(y, wanted);
}

TEST_F(AtbBits, RotaryEmbedding) {
  for (const auto& [coefficient, form] : {std::pair(2, tandem::RopeForm::half), std::pair(4, tandem::RopeForm::quarter),
                                          std::pair(32, tandem::RopeForm::interleave)}) {
    const atb::Tensor query = self.random(ACL_FLOAT16, {6, 128}), key = self.random(ACL_FLOAT16, {6, 32});
    const atb::Tensor cos = self.random(ACL_FLOAT16, {6, 32}), sin = self.random(ACL_FLOAT16, {6, 32});
    atb::Tensor lengths = self.tensor(ACL_INT32, {1});
    const atb::Tensor query_out = like(query), key_out = like(key);
    infer::RopeParam param;
    param.rotaryCoeff = coefficient;
    const auto before = self.bytes(query);
    run(param, {query, key, cos, sin, lengths}, {query_out, key_out});
    EXPECT_EQ(self.bytes(query), before);
    run_cpp(tandem::Rope{.query = view(query), .key = view(key), .cos = view(cos), .sin = view(sin), .form = form});
    same(query_out, query);
    same(key_out, key);
  }
}

// A cache (blocks, positions, columns) as (blocks, columns / 16, positions, 16).
std::vector<uint8_t> folded(const std::vector<uint8_t>& plain, size_t blocks, size_t positions, size_t columns) {
  std::vector<uint8_t> made(plain.size());
  for (size_t b = 0; b < blocks; ++b)
    for (size_t p = 0; p < positions; ++p)
      for (size_t c = 0; c < columns; ++c) {
        const size_t from = (b * positions + p) * columns + c;
        const size_t to = ((b * (columns / 16) + c / 16) * positions + p) * 16 + c % 16;
        std::copy_n(&plain[from * 2], 2, &made[to * 2]);
      }
  return made;
}

TEST_F(AtbBits, PagedAttentionInBothLayouts) {
  constexpr int64_t kBlocks = 5, kPositions = 16, kHeads = 2, kWidth = 32;
  const atb::Tensor query = self.random(ACL_FLOAT16, {2, 4, kWidth}), out = like(query), wanted = like(query);
  const atb::Tensor key = self.random(ACL_FLOAT16, {kBlocks, kPositions, kHeads, kWidth});
  const atb::Tensor value = self.random(ACL_FLOAT16, {kBlocks, kPositions, kHeads, kWidth});
  const std::vector<int32_t> blocks = {3, 1, 0, 4, 2, 0};
  const atb::Tensor table = self.tensor(ACL_INT32, {2, 3}, blocks.data());
  std::vector<int32_t> lengths = {37, 9};
  atb::Tensor context = self.tensor(ACL_INT32, {2});
  context.hostData = lengths.data();
  infer::PagedAttentionParam param;
  param.headNum = 4;
  param.kvHeadNum = 2;
  param.qkScale = 0.2f;
  run(param, {query, key, value, table, context}, {out});
  tandem::IncreFlashAttention op;
  op.query = view(query, {2, 1, 4, kWidth});
  op.key = {view(key)};
  op.value = {view(value)};
  op.block_table = view(table);
  op.lengths = {37, 9};
  op.heads = 4;
  op.kv_heads = 2;
  op.scale = static_cast<double>(0.2f);
  op.order = tandem::HeadOrder::bsnd;
  op.y = view(wanted, {2, 1, 4, kWidth});
  run_cpp(op);
  same(out, wanted);

  const Dims fractions = {kBlocks, kHeads * kWidth / 16, kPositions, 16};
  atb::Tensor key_nz =
      self.tensor(ACL_FLOAT16, fractions, folded(self.bytes(key), kBlocks, kPositions, kHeads * kWidth).data());
  atb::Tensor value_nz =
      self.tensor(ACL_FLOAT16, fractions, folded(self.bytes(value), kBlocks, kPositions, kHeads * kWidth).data());
  key_nz.desc.format = value_nz.desc.format = ACL_FORMAT_FRACTAL_NZ;
  const atb::Tensor again = like(query);
  run(param, {query, key_nz, value_nz, table, context}, {again});
  same(again, wanted);

  // A mask of zeros for every head changes nothing.
  param.maskType = infer::PagedAttentionParam::MASK_TYPE_NORM;
  const atb::Tensor mask = self.halves({2, 1, 48}, std::vector<float>(96, 0.0f)), masked = like(query);
  run(param, {query, key, value, table, context, mask}, {masked});
  same(masked, wanted);
}

TEST_F(AtbBits, SelfAttentionOfPromptsOneBehindTheOther) {
  constexpr int64_t kTokens = 7, kWidth = 32;
  const atb::Tensor query = self.random(ACL_FLOAT16, {kTokens, 4, kWidth}), wanted = like(query);
  const atb::Tensor key = self.random(ACL_FLOAT16, {kTokens, 2, kWidth});
  const atb::Tensor value = self.random(ACL_FLOAT16, {kTokens, 2, kWidth});
  std::vector<int32_t> lengths = {3, 4};
  atb::Tensor seq_len = self.tensor(ACL_INT32, {2});
  seq_len.hostData = lengths.data();
  infer::SelfAttentionParam param;
  param.calcType = infer::SelfAttentionParam::PA_ENCODER;
  param.headNum = 4;
  param.kvHeadNum = 2;
  param.qkScale = 0.2f;
  tandem::FusedInferAttention op;
  op.order = tandem::HeadOrder::tnd;
  op.query = view(query);
  op.key = {view(key)};
  op.value = {view(value)};
  op.y = view(wanted);
  op.query_lengths = op.lengths = {3, 7};
  op.heads = 4;
  op.kv_heads = 2;
  op.scale = static_cast<double>(0.2f);
  const atb::Tensor open = like(query), zeros = like(query), causal = like(query);
  run(param, {query, key, value, seq_len}, {open});
  run_cpp(op);
  same(open, wanted);

  // Lengths on the host that are fewer than the description says are not read.
  atb::Tensor few = seq_len;
  few.dataSize = sizeof(int32_t);
  EXPECT_EQ(self.run(param, {query, key, value, few}, {open}), atb::ERROR_INVALID_TENSOR_SIZE);

  // A mask of zeros changes nothing.
  param.maskType = infer::SelfAttentionParam::MASK_TYPE_NORM;
  const atb::Tensor mask = self.halves({8, 8}, std::vector<float>(64, 0.0f));
  run(param, {query, key, value, mask, seq_len}, {zeros});
  same(zeros, wanted);

  param.maskType = infer::SelfAttentionParam::MASK_TYPE_CAUSAL_MASK;
  run(param, {query, key, value, seq_len}, {causal});
  op.causal = tandem::Causal::left_up;
  run_cpp(op);
  same(causal, wanted);
}

// Prompts, then one token more of each sequence: the rows of the whole prompts, in both layouts of the cache.
TEST_F(AtbBits, SelfAttentionThroughACache) {
  constexpr int64_t kWidth = 32, kMost = 6, kHidden = 2 * kWidth;
  const atb::Tensor query = self.random(ACL_FLOAT16, {7, 4 * kWidth}), wanted = like(query);
  const atb::Tensor key = self.random(ACL_FLOAT16, {7, kHidden}), value = self.random(ACL_FLOAT16, {7, kHidden});
  tandem::FusedInferAttention op{.query = view(query, {7, 4, kWidth}), .key = {view(key, {7, 2, kWidth})}};
  op.value = {view(value, {7, 2, kWidth})};
  op.y = view(wanted, {7, 4, kWidth});
  op.query_lengths = op.lengths = {3, 7};
  op.heads = 4;
  op.kv_heads = 2;
  op.scale = static_cast<double>(0.2f);
  op.order = tandem::HeadOrder::tnd;
  run_cpp(op);
  infer::SelfAttentionParam param;
  param.calcType = infer::SelfAttentionParam::ENCODER;
  param.headNum = 4;
  param.kvHeadNum = 2;
  param.qkScale = 0.2f;
  const auto rows = [&](const atb::Tensor& from, const std::vector<int64_t>& numbers) {
    const int64_t n = from.desc.shape.dims[1];
    const atb::Tensor to = self.tensor(ACL_FLOAT16, {static_cast<int64_t>(numbers.size()), n});
    for (size_t i = 0; i < numbers.size(); ++i) {
      std::memcpy(static_cast<uint16_t*>(to.deviceData) + static_cast<int64_t>(i) * n,
                  static_cast<const uint16_t*>(from.deviceData) + numbers[i] * n, static_cast<size_t>(2 * n));
    }
    return to;
  };
  const atb::Tensor layer = self.tensor(ACL_INT32, {1});
  atb::Tensor offsets = self.tensor(ACL_INT32, {2}), lengths = self.tensor(ACL_INT32, {2});
  for (const bool folded : {false, true}) {
    const Dims dims = folded ? Dims{1, 2, kHidden / 16, kMost, 16} : Dims{1, 2, kMost, kHidden};
    const atb::Tensor keys = self.tensor(ACL_FLOAT16, dims), values = self.tensor(ACL_FLOAT16, dims);
    const auto step = [&](const std::vector<int64_t>& tokens, std::vector<int32_t> fresh, std::vector<int32_t> all) {
      offsets.hostData = all.data();
      lengths.hostData = fresh.data();
      const atb::Tensor y = self.tensor(ACL_FLOAT16, {static_cast<int64_t>(tokens.size()), 4 * kWidth});
      run(param, {rows(query, tokens), rows(key, tokens), rows(value, tokens), keys, values, offsets, lengths, layer},
          {y});
      return y;
    };
    step({0, 1, 3, 4, 5}, {2, 3}, {2, 3});
    same(step({2, 6}, {1, 1}, {3, 4}), rows(wanted, {2, 6}));
    // A mask of zeros changes nothing.
    param.maskType = infer::SelfAttentionParam::MASK_TYPE_NORM;
    const atb::Tensor mask = self.halves({kMost, kMost}, std::vector<float>(kMost * kMost, 0.0f)), y = like(query);
    std::vector<int32_t> all = {3, 4};
    offsets.hostData = lengths.hostData = all.data();
    run(param, {query, key, value, keys, values, mask, offsets, lengths, layer}, {y});
    same(y, wanted);
    param.maskType = infer::SelfAttentionParam::MASK_TYPE_UNDEFINED;
  }
}

TEST_F(AtbBits, LayerNormsAndGradients) {
  const atb::Tensor x = self.random(ACL_FLOAT16, {3, 4, 50}, 3), gamma = self.random(ACL_FLOAT16, {50}),
                    beta = self.random(ACL_FLOAT16, {50});
  const atb::Tensor y = like(x), wanted = like(x);
  infer::LayerNormParam param;
  param.layerType = infer::LayerNormParam::LAYER_NORM_NORM;
  param.normParam.beginNormAxis = 2;
  run(param, {x, gamma, beta}, {y});
  run_cpp(tandem::LayerNorm{view(x), view(gamma), view(beta), view(wanted), static_cast<double>(1e-5f)});
  same(y, wanted);
  const atb::Tensor dy = self.random(ACL_FLOAT, {3, 4, 50}), rows = self.random(ACL_FLOAT, {3, 4, 50}),
                    rstd = self.random(ACL_FLOAT, {3, 4});
  const atb::Tensor weight = self.random(ACL_FLOAT, {50}), dx = like(dy), dgamma = like(weight);
  const atb::Tensor wanted_dx = like(dy), wanted_dgamma = like(weight);
  run(atb::train::RmsNormBackwardParam(), {dy, rows, rstd, weight}, {dx, dgamma});
  run_cpp(
      tandem::RmsNormBackward{view(dy), view(rows), view(rstd), view(weight), view(wanted_dx), view(wanted_dgamma)});
  same(dx, wanted_dx);
  same(dgamma, wanted_dgamma);
}

TEST_F(AtbBits, PartsOfAnAttentionBroughtTogether) {
  const atb::Tensor lse = self.random(ACL_FLOAT, {3, 5}, 4), parts = self.random(ACL_FLOAT, {3, 5, 8});
  const atb::Tensor y = self.tensor(ACL_FLOAT, {5, 8});
  infer::FaUpdateParam param;
  param.sp = 3;
  run(param, {lse, parts}, {y});
  const auto weights = self.read_floats(lse), given = self.read_floats(parts), got = self.read_floats(y);
  for (size_t row = 0; row < 5; ++row) {
    double sum = 0;
    for (size_t part = 0; part < 3; ++part) sum += std::exp(static_cast<double>(weights[part * 5 + row]));
    for (size_t c = 0; c < 8; ++c) {
      double value = 0;
      for (size_t part = 0; part < 3; ++part) {
        value += std::exp(static_cast<double>(weights[part * 5 + row])) / sum *
                 static_cast<double>(given[(part * 5 + row) * 8 + c]);
      }
      EXPECT_NEAR(static_cast<double>(got[row * 8 + c]), value, 0x1p-18);
    }
  }
}

TEST_F(AtbBits, RowsOutOfACacheInBothLayouts) {
  const atb::Tensor keys = self.random(ACL_INT8, {4, 3, 2, 32}), values = self.random(ACL_INT8, {4, 3, 2, 32});
  const atb::Tensor folded_keys = self.tensor(ACL_INT8, {4, 2, 3, 32}), folded_values = like(folded_keys);
  for (const auto& [from, to] : {std::pair{&keys, &folded_keys}, {&values, &folded_values}}) {
    const auto* rows = static_cast<const int8_t*>(from->deviceData);
    auto* blocks = static_cast<int8_t*>(to->deviceData);
    for (int64_t i = 0; i < 4 * 3 * 2; ++i) {
      const int64_t block = i / 6, position = i / 2 % 3, column = i % 2;
      std::memcpy(blocks + ((block * 2 + column) * 3 + position) * 32, rows + i * 32, 32);
    }
  }
  const atb::Tensor table = self.tensor(ACL_INT32, {2, 2}), lengths = self.tensor(ACL_INT32, {2});
  const int32_t blocks[] = {3, 0, 2, 1}, counts[] = {4, 2};
  std::memcpy(table.deviceData, blocks, sizeof(blocks));
  std::memcpy(lengths.deviceData, counts, sizeof(counts));
  const atb::Tensor key = self.random(ACL_INT8, {7, 2, 32}), value = self.random(ACL_INT8, {7, 2, 32});
  const atb::Tensor wanted_key = like(key), wanted_value = like(value);
  std::memcpy(wanted_key.deviceData, key.deviceData, 7 * 64);
  std::memcpy(wanted_value.deviceData, value.deviceData, 7 * 64);
  run_cpp(tandem::PagedCacheLoad{view(keys), view(values), view(table), view(lengths), view(wanted_key),
                                 view(wanted_value)});
  infer::PagedCacheLoadParam param;
  for (const bool folded : {true, false}) {
    param.kvCacheCfg =
        folded ? infer::PagedCacheLoadParam::K_CACHE_V_CACHE_NZ : infer::PagedCacheLoadParam::K_CACHE_V_CACHE_ND;
    const atb::Tensor got_key = like(key), got_value = like(value);
    run(param, {folded ? folded_keys : keys, folded ? folded_values : values, table, lengths, key, value},
        {got_key, got_value});
    same(got_key, wanted_key);
    same(got_value, wanted_value);
  }
}

TEST_F(AtbBits, CachesInBothLayouts) {
  constexpr int64_t kBlocks = 3, kPositions = 4, kHeads = 2, kWidth = 16;
  const Dims shape = {kBlocks, kPositions, kHeads, kWidth};
  const atb::Tensor key = self.random(ACL_FLOAT16, {4, kHeads, kWidth}),
                    value = self.random(ACL_FLOAT16, {4, kHeads, kWidth});
  const atb::Tensor key_cache = self.random(ACL_FLOAT16, shape), value_cache = self.random(ACL_FLOAT16, shape);
  const auto key_before = self.bytes(key_cache), value_before = self.bytes(value_cache);
  // The last one lies behind the cache and is left out, as negative ones are.
  const std::vector<int32_t> slots = {5, -1, 0, 12};
  const atb::Tensor places = self.tensor(ACL_INT32, {4}, slots.data());
  infer::ReshapeAndCacheParam param;
  run(param, {key, value, key_cache, value_cache, places}, {key_cache, value_cache});
  auto wanted = key_before;
  const auto rows = self.bytes(key);
  std::copy_n(rows.begin(), 64, wanted.begin() + 5 * 64);
  std::copy_n(rows.begin() + 2 * 64, 64, wanted.begin());
  EXPECT_EQ(self.bytes(key_cache), wanted);

  const Dims fractions = {kBlocks, kHeads * kWidth / 16, kPositions, 16};
  atb::Tensor folded_cache =
      self.tensor(ACL_FLOAT16, fractions, folded(key_before, kBlocks, kPositions, kHeads * kWidth).data());
  folded_cache.desc.format = ACL_FORMAT_FRACTAL_NZ;
  param.kvCacheCfg = infer::ReshapeAndCacheParam::K_CACHE_V_BYPASS;
  run(param, {key, folded_cache, places}, {folded_cache});
  EXPECT_EQ(self.bytes(folded_cache), folded(wanted, kBlocks, kPositions, kHeads * kWidth));
}

TEST_F(AtbBits, Movements) {
  const atb::Tensor x = self.floats({2, 3}, {1, 2, 3, 4, 5, 6});
  infer::TransposeParam turn;
  turn.perm = {1, 0};
  const atb::Tensor turned = self.tensor(ACL_FLOAT, {3, 2});
  run(turn, {x}, {turned});
  EXPECT_EQ(self.read_floats(turned), (std::vector<float>{1, 4, 2, 5, 3, 6}));
  infer::SliceParam slice;
  slice.offsets = {0, -2};
  slice.size = {-1, 1};
  const atb::Tensor cut = self.tensor(ACL_FLOAT, {2, 1});
  run(slice, {x}, {cut});
  EXPECT_EQ(self.read_floats(cut), (std::vector<float>{2, 5}));
  infer::ConcatParam join;
  join.concatDim = -1;
  const atb::Tensor joined = self.tensor(ACL_FLOAT, {2, 4});
  run(join, {x, cut}, {joined});
  EXPECT_EQ(self.read_floats(joined), (std::vector<float>{1, 2, 3, 2, 4, 5, 6, 5}));
  infer::SplitParam split;
  split.splitDim = 1;
  split.splitSizes = {1, 3};
  const atb::Tensor left = self.tensor(ACL_FLOAT, {2, 1}), right = self.tensor(ACL_FLOAT, {2, 3});
  run(split, {joined}, {left, right});
  EXPECT_EQ(self.read_floats(left), (std::vector<float>{1, 4}));
  EXPECT_EQ(self.read_floats(right), (std::vector<float>{2, 3, 2, 5, 6, 5}));
  infer::GatherParam gather;
  gather.axis = 1;
  const std::vector<int64_t> numbers = {2, 0, 2, 1};
  const atb::Tensor index = self.tensor(ACL_INT64, {2, 2}, numbers.data()), chosen = self.tensor(ACL_FLOAT, {2, 2, 2});
  run(gather, {x, index}, {chosen});
  EXPECT_EQ(self.read_floats(chosen), (std::vector<float>{3, 1, 3, 2, 6, 4, 6, 5}));
}

TEST_F(AtbBits, TransdataFoldsAndUnfolds) {
  const atb::Tensor x = self.random(ACL_FLOAT16, {2, 5, 21}), nz = self.tensor(ACL_FLOAT16, {2, 2, 16, 16}),
                    back = like(x);
  infer::TransdataParam param;
  param.transdataType = infer::TransdataParam::ND_TO_FRACTAL_NZ;
  run(param, {x}, {nz});
  const auto rows = self.read_halves(x), blocks = self.read_halves(nz);
  size_t at = 0;
  for (size_t b = 0; b < 2; ++b)
    for (size_t block = 0; block < 2; ++block)
      for (size_t m = 0; m < 16; ++m)
        for (size_t n = 16 * block; n < 16 * (block + 1); ++n)
          EXPECT_EQ(blocks[at++], m < 5 && n < 21 ? rows[(b * 5 + m) * 21 + n] : 0);
  param.transdataType = infer::TransdataParam::FRACTAL_NZ_TO_ND;
  param.outCrops = {5, 21};
  run(param, {nz}, {back});
  same(back, x);
}

// --- refusals

template <class Param>
void refused(const Param& param, const char* word) {
  int place = 0;
  auto* operation = reinterpret_cast<atb::Operation*>(&place);
  EXPECT_EQ(atb::CreateOperation(param, &operation), atb::ERROR_INVALID_PARAM) << word;
  EXPECT_EQ(operation, nullptr);
  EXPECT_NE(message().find(word), std::string::npos) << message();
}

TEST(AtbSingle, RefusesParameters) {
  refused(infer::ElewiseParam(), "elewiseType is 0");
  refused(elewise(infer::ElewiseParam::ELEWISE_COS), "elewiseType is 3");
  refused(elewise(infer::ElewiseParam::ELEWISE_CAST), "outTensorType");
  refused(infer::ActivationParam(), "activationType is 0");
  refused(infer::RmsNormParam(), "layerType is 0");
  refused(infer::SoftmaxParam(), "axes has 0");
  refused(infer::SliceParam(), "0 offsets");
  refused(infer::TransdataParam(), "transdataType is 0");
  refused(infer::PagedAttentionParam(), "headNum 0");
  refused(infer::SelfAttentionParam(), "calcType is 0");
  infer::RopeParam rope;
  rope.rotaryCoeff = 3;
  refused(rope, "rotaryCoeff is 3");
  infer::SplitParam split;
  split.splitNum = 4;
  refused(split, "splitNum is 4");
  infer::TransposeParam turn;
  turn.perm = {0, 0};
  refused(turn, "perm");
  infer::GatherParam gather;
  gather.rsv[15] = 1;
  refused(gather, "rsv[15]");
  auto norm_param = norm(infer::RmsNormParam::RMS_NORM_NORM);
  norm_param.normParam.rsv[31] = 1;
  refused(norm_param, "rsv[31]");
}

TEST(AtbSingle, RefusesTensors) {
  Filled self;
  const atb::Tensor x = self.random(ACL_FLOAT16, {2, 8}), weight = self.random(ACL_FLOAT16, {7, 4});
  const atb::Tensor y = self.tensor(ACL_FLOAT16, {2, 4});
  EXPECT_EQ(self.run(linear(false, false), {x, weight}, {y}), atb::ERROR_INVALID_TENSOR_DIM);
  EXPECT_NE(message().find("LinearOperation: weight is [7,4] f16, 8 rows wanted"), std::string::npos) << message();
  EXPECT_EQ(self.run(linear(false, true), {x, weight}, {y}), atb::ERROR_INVALID_IN_TENSOR_NUM);
  infer::GatherParam gather;
  const std::vector<int64_t> numbers = {5};
  const atb::Tensor index = self.tensor(ACL_INT64, {1}, numbers.data()), row = self.tensor(ACL_FLOAT16, {1, 8});
  EXPECT_NE(self.run(gather, {x, index}, {row}), 0);
  EXPECT_NE(message().find("index 0 is 5"), std::string::npos) << message();
}

}  // namespace
}  // namespace atb_test
