// SPDX-License-Identifier: Apache-2.0
// Weights in panels: the same bits as the plain ones, through C++ and through the vendor's FRACTAL_NZ.
#include <aclnnop/aclnn_addmm.h>
#include <aclnnop/aclnn_matmul.h>
#include <aclnnop/aclnn_npu_format_cast.h>
#include <aclnnop/aclnn_quant_matmul_weight_nz.h>
#include <aclnnop/aclnn_trans_matmul_weight.h>
#include <aclnnop/aclnn_weight_quant_batch_matmul_nz.h>
#include <gtest/gtest.h>

#include <memory>

#include "tandem/kernels/gemm.h"
#include "tandem/ops/matmul.h"
#include "tandem/ops/transdata.h"
#include "tests/group_a/vendor.h"

namespace tandem::ops_test {
namespace {

using Bytes = std::vector<std::byte>;
using group_a::DeviceBuffer;
using group_a::Tensor;

Bytes pattern(DType dtype, int64_t count, uint32_t seed) {
  Bytes bytes(dtype_bytes(dtype, count));
  for (size_t i = 0; i < bytes.size(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    bytes[i] = static_cast<std::byte>(seed >> 24);
  }
  // Floats of moderate size.
  const auto size = static_cast<size_t>(dtype_bits(dtype) / 8);
  for (size_t i = size; is_float(dtype) && i <= bytes.size(); i += size) bytes[i - 1] &= std::byte{0xb7};
  return bytes;
}

template <class Op>
std::string run(const Op& op) {
  auto device = Device::get(0);
  auto stream = Stream::create(**device);
  auto planned = plan(op, **device);
  if (!planned) return planned.error().message;
  Bytes workspace(planned->workspace_bytes());
  if (auto status = planned->run(workspace, **stream); !status) return status.error().message;
  const auto status = (*stream)->synchronize();
  return status ? "" : status.error().message;
}

TEST(Transdata, GoesThereAndBack) {
  for (const DType dtype : {DType::f32, DType::f16, DType::i8, DType::i4}) {
    for (const auto& [k, n] : {std::pair<int64_t, int64_t>{1, 2}, {16, 64}, {37, 130}, {100, 66}}) {
      Bytes x = pattern(dtype, 2 * k * n, 7), back(x.size());
      const TensorView plain = make_tensor(x.data(), dtype, {2, k, n}),
                       again = make_tensor(back.data(), dtype, {2, k, n});
      const int64_t c0 = 256 / dtype_bits(dtype), n1 = (n + c0 - 1) / c0, k1 = (k + 15) / 16;
      Bytes nz(dtype_bytes(dtype, 2 * n1 * k1 * 16 * c0)), panels(dtype_bytes(dtype, 2 * panel_elements(k, n)));
      const TensorView blocks = make_tensor(nz.data(), dtype, {2, n1, k1, 16, c0});
      const TensorView packed = make_tensor(panels.data(), dtype, {2 * panel_elements(k, n)});
      EXPECT_EQ(run(Transdata{plain, blocks, Transdata::Kind::to_nz}), "");
      EXPECT_EQ(run(Transdata{blocks, again, Transdata::Kind::from_nz}), "");
      EXPECT_EQ(x, back) << dtype_name(dtype) << " " << k << "x" << n;
      back.assign(x.size(), std::byte{0});
      EXPECT_EQ(run(Transdata{plain, packed, Transdata::Kind::to_panels}), "");
      EXPECT_EQ(run(Transdata{packed, again, Transdata::Kind::from_panels}), "");
      EXPECT_EQ(x, back) << dtype_name(dtype) << " " << k << "x" << n << " panels";
    }
  }
}

TEST(Transdata, PutsElementsWhereFractalNzHasThem) {
  constexpr int64_t kRows = 18, kColumns = 20;
  std::vector<uint16_t> x(kRows * kColumns), y(2 * 2 * 16 * 16, 9);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<uint16_t>(i + 1);
  EXPECT_EQ(run(Transdata{make_tensor(x.data(), DType::f16, {kRows, kColumns}),
                          make_tensor(y.data(), DType::f16, {2, 2, 16, 16}), Transdata::Kind::to_nz}),
            "");
  for (size_t j1 = 0; j1 < 2; ++j1) {
    for (size_t i = 0; i < 32; ++i) {
      for (size_t j0 = 0; j0 < 16; ++j0) {
        const size_t j = j1 * 16 + j0;
        const int wanted = i < kRows && j < kColumns ? static_cast<int>(i * kColumns + j + 1) : 0;
        EXPECT_EQ(y[(j1 * 32 + i) * 16 + j0], wanted);
      }
    }
  }
}

TEST(Transdata, RefusesOtherExtents) {
  uint16_t place[4096] = {};
  const TensorView x = make_tensor(place, DType::f16, {18, 20}), y = make_tensor(place, DType::f16, {2, 2, 16, 15});
  EXPECT_NE(run(Transdata{x, y, Transdata::Kind::to_nz}).find("transdata: y is [2,2,16,15] f16, [..,2,2,16,16] wanted"),
            std::string::npos);
  EXPECT_NE(run(Transdata{x, make_tensor(place, DType::f16, {1151}), Transdata::Kind::to_panels}).find("1152 elements"),
            std::string::npos);
}

struct Shape {
  int64_t batch = 1, m = 3, k = 40, n = 128;
  bool turned = false;  // the memory holds (n, k), the view is its transposition
};

TensorView matrices(Bytes& bytes, DType dtype, const Shape& s) {
  return s.turned ? make_tensor(bytes.data(), dtype, {s.batch, s.n, s.k}).transposed()
                  : make_tensor(bytes.data(), dtype, {s.batch, s.k, s.n});
}

Bytes in_panels(Bytes plain, DType dtype, const Shape& s) {
  const int64_t k = s.turned ? s.n : s.k, n = s.turned ? s.k : s.n;
  Bytes packed(dtype_bytes(dtype, s.batch * panel_elements(k, n)));
  EXPECT_EQ(
      run(Transdata{make_tensor(plain.data(), dtype, {s.batch, k, n}),
                    make_tensor(packed.data(), dtype, {s.batch * panel_elements(k, n)}), Transdata::Kind::to_panels}),
      "");
  return packed;
}

TEST(Packed, ProductsHaveTheBitsOfPlainWeights) {
  for (const Shape& s : {Shape{}, Shape{1, 5, 33, 70}, Shape{3, 2, 16, 100}, Shape{1, 4, 64, 50, true}}) {
    for (const DType dtype : {DType::f32, DType::f16}) {
      Bytes a = pattern(dtype, s.batch * s.m * s.k, 1), b = pattern(dtype, s.batch * s.k * s.n, 2);
      Bytes packed = in_panels(b, dtype, s), y(dtype_bytes(dtype, s.batch * s.m * s.n)), other(y.size());
      Matmul op;
      op.a = make_tensor(a.data(), dtype, {s.batch, s.m, s.k});
      op.b = matrices(b, dtype, s);
      op.y = make_tensor(y.data(), dtype, {s.batch, s.m, s.n});
      EXPECT_EQ(run(op), "");
      op.b = matrices(packed, dtype, s);
      op.b_panel = kPanel;
      op.y.data = other.data();
      EXPECT_EQ(run(op), "");
      EXPECT_EQ(y == other, true) << s.k << "x" << s.n << (s.turned ? " turned" : "");
    }
  }
}

TEST(Packed, QuantisedProductsHaveTheBitsOfPlainWeights) {
  for (const DType dtype : {DType::i8, DType::i4}) {
    const Shape s{1, 3, 48, 130};
    Bytes w = pattern(dtype, s.k * s.n, 3), packed = in_panels(w, dtype, s), x = pattern(DType::i8, s.m * s.k, 4);
    Bytes half = pattern(DType::f16, s.m * s.k, 5), y(dtype_bytes(DType::f16, s.m * s.n)), other = y;
    std::vector<float> scale(static_cast<size_t>(s.n), 0.001f);
    Bytes half_scale = pattern(DType::f16, s.n, 6);
    QuantMatmul quant;
    quant.x1 = make_tensor(x.data(), DType::i8, {s.m, s.k});
    quant.x2 = make_tensor(w.data(), dtype, {s.k, s.n});
    quant.scale = make_tensor(scale.data(), DType::f32, {s.n});
    quant.y = make_tensor(y.data(), DType::f16, {s.m, s.n});
    EXPECT_EQ(run(quant), "");
    quant.x2.data = packed.data();
    quant.x2_panel = kPanel;
    quant.y.data = other.data();
    EXPECT_EQ(run(quant), "");
    EXPECT_EQ(y == other, true) << dtype_name(dtype);
    WeightQuantMatmul weight;
    weight.x = make_tensor(half.data(), DType::f16, {s.m, s.k});
    weight.weight = make_tensor(w.data(), dtype, {s.k, s.n});
    weight.scale = make_tensor(half_scale.data(), DType::f16, {s.n});
    weight.y = make_tensor(y.data(), DType::f16, {s.m, s.n});
    EXPECT_EQ(run(weight), "");
    weight.weight.data = packed.data();
    weight.weight_panel = kPanel;
    weight.y.data = other.data();
    EXPECT_EQ(run(weight), "");
    EXPECT_EQ(y == other, true) << dtype_name(dtype);
  }
}

// One device tensor of the vendor's interface.
struct Held {
  DeviceBuffer buffer;
  Tensor tensor;
};

Held hold(const Bytes& bytes, aclDataType dtype, std::vector<int64_t> dims, aclFormat format = ACL_FORMAT_ND,
          std::vector<int64_t> strides = {}, std::vector<int64_t> storage = {}) {
  Held held;
  held.buffer = DeviceBuffer(bytes.size());
  held.buffer.upload(bytes);
  const auto own = strides.empty() ? group_a::row_major(dims) : strides;
  held.tensor = Tensor({dtype, format, dims, own, storage.empty() ? dims : storage}, held.buffer.data());
  return held;
}

// Both phases; plan(&size, &executor).
template <class Plan>
int both(const Plan& plan, aclnnStatus (*launch)(void*, uint64_t, aclOpExecutor*, aclrtStream)) {
  static const int ready = aclInit(nullptr);
  static_cast<void>(ready);
  group_a::must(aclrtSetDevice(0), "aclrtSetDevice");
  uint64_t size = 0;
  aclOpExecutor* executor = nullptr;
  if (const int code = plan(&size, &executor)) return code;
  aclrtStream stream = nullptr;
  group_a::must(aclrtCreateStream(&stream), "aclrtCreateStream");
  const DeviceBuffer workspace(size);
  int code = launch(workspace.data(), size, executor, stream);
  if (code == 0) code = aclrtSynchronizeStream(stream);
  aclrtDestroyStream(stream);
  return code;
}

int multiply(const Held& a, const Held& b, const Held& y, bool packed) {
  if (!packed) {
    return both(
        [&](uint64_t* size, aclOpExecutor** executor) {
          return aclnnMatmulGetWorkspaceSize(a.tensor.get(), b.tensor.get(), y.tensor.get(), 0, size, executor);
        },
        aclnnMatmul);
  }
  return both(
      [&](uint64_t* size, aclOpExecutor** executor) {
        return aclnnMatmulWeightNzGetWorkspaceSize(a.tensor.get(), b.tensor.get(), y.tensor.get(), 0, size, executor);
      },
      aclnnMatmulWeightNz);
}

int transform(const Held& weight) {
  return both(
      [&](uint64_t* size, aclOpExecutor** executor) {
        return aclnnTransMatmulWeightGetWorkspaceSize(weight.tensor.get(), size, executor);
      },
      aclnnTransMatmulWeight);
}

TEST(FractalNz, WeightsTransformedInPlaceGiveTheSameBits) {
  group_a::must(aclrtSetDevice(0), "aclrtSetDevice");
  for (const auto& [k, n] : {std::pair<int64_t, int64_t>{32, 128}, {48, 64}, {40, 36}}) {
    const Held a = hold(pattern(DType::f16, 3 * k, 1), ACL_FLOAT16, {3, k});
    const Held b = hold(pattern(DType::f16, k * n, 2), ACL_FLOAT16, {k, n});
    const Held y = hold(Bytes(static_cast<size_t>(6 * n)), ACL_FLOAT16, {3, n});
    const Held other = hold(Bytes(static_cast<size_t>(6 * n)), ACL_FLOAT16, {3, n});
    ASSERT_EQ(multiply(a, b, y, false), 0) << group_a::recent_error();
    EXPECT_NE(multiply(a, b, other, true), 0);  // not packed yet
    ASSERT_EQ(transform(b), 0) << group_a::recent_error();
    aclFormat format = ACL_FORMAT_ND;
    EXPECT_EQ(aclGetFormat(b.tensor.get(), &format), 0);
    EXPECT_EQ(format, ACL_FORMAT_FRACTAL_NZ);
    EXPECT_EQ(b.buffer.guards_intact(), true);
    ASSERT_EQ(multiply(a, b, other, true), 0) << group_a::recent_error();
    EXPECT_EQ(y.buffer.download() == other.buffer.download(), true) << k << "x" << n;
  }
}

// The memory was transformed as (n, k); the product looks at it as (k, n).
TEST(FractalNz, TurnedViewsOfTransformedWeightsGiveTheSameBits) {
  group_a::must(aclrtSetDevice(0), "aclrtSetDevice");
  constexpr int64_t kDepth = 64, kColumns = 48;
  const Bytes raw = pattern(DType::f16, kDepth * kColumns, 2);
  const Held a = hold(pattern(DType::f16, 2 * kDepth, 1), ACL_FLOAT16, {2, kDepth});
  const Held plain = hold(raw, ACL_FLOAT16, {kDepth, kColumns}, ACL_FORMAT_ND, {1, kDepth}, {kColumns, kDepth});
  const Held weight = hold(raw, ACL_FLOAT16, {kColumns, kDepth});
  ASSERT_EQ(transform(weight), 0) << group_a::recent_error();
  const Tensor turned({ACL_FLOAT16, ACL_FORMAT_FRACTAL_NZ, {kDepth, kColumns}, {1, kDepth}, {kColumns, kDepth}},
                      weight.buffer.data());
  const Held y = hold(Bytes(4 * kColumns), ACL_FLOAT16, {2, kColumns});
  const Held other = hold(Bytes(4 * kColumns), ACL_FLOAT16, {2, kColumns});
  ASSERT_EQ(multiply(a, plain, y, false), 0) << group_a::recent_error();
  const int code = both(
      [&](uint64_t* size, aclOpExecutor** executor) {
        return aclnnMatmulWeightNzGetWorkspaceSize(a.tensor.get(), turned.get(), other.tensor.get(), 0, size, executor);
      },
      aclnnMatmulWeightNz);
  ASSERT_EQ(code, 0) << group_a::recent_error();
  EXPECT_EQ(y.buffer.download() == other.buffer.download(), true);
}

TEST(FractalNz, FormatCastGoesThereAndBack) {
  group_a::must(aclrtSetDevice(0), "aclrtSetDevice");
  for (const auto& [k, n] : {std::pair<int64_t, int64_t>{40, 128}, {17, 50}}) {
    const Bytes raw = pattern(DType::i8, k * n, 9);
    const Held source = hold(raw, ACL_INT8, {k, n});
    int64_t* dims = nullptr;
    uint64_t count = 0;
    int format = 0;
    ASSERT_EQ(aclnnNpuFormatCastCalculateSizeAndFormat(source.tensor.get(), 29, ACL_INT8, &dims, &count, &format), 0);
    const std::unique_ptr<int64_t[]> owner(dims);
    ASSERT_EQ(count, 4u);
    EXPECT_EQ(format, 29);
    EXPECT_EQ(std::vector<int64_t>(dims, dims + 4), (std::vector<int64_t>{(n + 31) / 32, (k + 15) / 16, 16, 32}));
    const auto bytes = static_cast<size_t>(dims[0] * dims[1] * dims[2] * dims[3]);
    const Held packed = hold(Bytes(bytes), ACL_INT8, {k, n}, ACL_FORMAT_FRACTAL_NZ, {}, {dims, dims + 4});
    const Held back = hold(Bytes(raw.size()), ACL_INT8, {k, n});
    const auto cast = [](const Held& from, const Held& to) {
      return both(
          [&](uint64_t* size, aclOpExecutor** executor) {
            return aclnnNpuFormatCastGetWorkspaceSize(from.tensor.get(), to.tensor.get(), size, executor);
          },
          aclnnNpuFormatCast);
    };
    ASSERT_EQ(cast(source, packed), 0) << group_a::recent_error();
    EXPECT_EQ(packed.buffer.download() == raw, false);
    ASSERT_EQ(cast(packed, back), 0) << group_a::recent_error();
    EXPECT_EQ(back.buffer.download() == raw, true);
    EXPECT_NE(cast(source, back), 0);  // nothing to change
  }
}

TEST(FractalNz, SizesAreThoseOfTheWeight) {
  const int64_t dims[] = {7, 100};
  aclIntArray* shape = aclCreateIntArray(dims, 2);
  uint64_t size = 0;
  EXPECT_EQ(aclnnCalculateMatmulWeightSize(shape, &size), 0);
  EXPECT_EQ(size, 700u);
  EXPECT_EQ(aclnnCalculateMatmulWeightSizeV2(shape, ACL_INT8, &size), 0);
  EXPECT_EQ(size, 700u);
  EXPECT_EQ(aclnnCalculateMatmulWeightSize(nullptr, &size), 161001);
  EXPECT_EQ(aclnnCalculateMatmulWeightSize(shape, nullptr), 161001);
  EXPECT_EQ(aclnnCalculateMatmulWeightSizeV2(shape, ACL_DT_UNDEFINED, &size), 161002);
  aclDestroyIntArray(shape);
}

}  // namespace
}  // namespace tandem::ops_test
