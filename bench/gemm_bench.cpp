// SPDX-License-Identifier: Apache-2.0
// Products of every kernel table with weights from memory, beside the plain read of the same bytes in the same run.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "bench/cold.h"
#include "tandem/exec/device.h"
#include "tandem/exec/lane.h"
#include "tandem/exec/memory.h"
#include "tandem/exec/team.h"
#include "tandem/kernels/pack.h"
#include "tandem/kernels/table.h"

namespace tandem::bench {
namespace {

constexpr int64_t kDepth = 2048;
constexpr int64_t kColumns = 4096;

void read_limit(benchmark::State& state) {
  ColdOperand weights(static_cast<size_t>(kDepth * kColumns));
  uint64_t sum = 0;
  for (auto _ : state) {
    const auto* words = static_cast<const uint64_t*>(weights.next());
    uint64_t lanes[8] = {};
    for (size_t i = 0; i < weights.bytes() / 8; i += 8) {
      for (size_t lane = 0; lane < 8; ++lane) lanes[lane] += words[i + lane];
    }
    for (const uint64_t lane : lanes) sum += lane;
  }
  benchmark::DoNotOptimize(sum);
  state.SetBytesProcessed(state.iterations() * kDepth * kColumns);
}

void product(benchmark::State& state, const KernelTable* table, DType weight_dtype, bool packed) {
  const int64_t m = state.range(0);
  ColdOperand weights(packed_bytes(weight_dtype, kDepth, kColumns));
  std::vector<uint16_t> x(static_cast<size_t>(m * kDepth), 0x3c00);
  std::vector<uint16_t> scale(static_cast<size_t>(kColumns), 0x2c00);
  std::vector<float> y(static_cast<size_t>(m * kColumns));
  auto team = std::make_unique<ThreadTeam>(1);
  Scratch scratch;
  Lane lane{team.get(), nullptr, &scratch};
  set_kernel_float_mode();
  GemmArgs args;
  args.m = m;
  args.n = kColumns;
  args.k = kDepth;
  args.x = x.data();
  args.x_row_bytes = kDepth * 2;
  args.x_dtype = DType::f16;
  args.w = packed ? Weight{nullptr, weight_dtype, 0, 0, kPanel} : Weight{nullptr, weight_dtype, kColumns, 1, 0};
  if (!is_float(weight_dtype)) args.scale = {scale.data(), DType::f16, 0, 1};
  args.y = y.data();
  args.y_row_bytes = kColumns * 4;
  for (auto _ : state) {
    args.w.data = weights.next();
    table->gemm.run(args, lane);
    benchmark::DoNotOptimize(y.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(weights.bytes()));
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * static_cast<double>(m * kDepth * kColumns),
                                                 benchmark::Counter::kIsIterationInvariantRate);
}

[[maybe_unused]] const int kRegistered = [] {
  benchmark::RegisterBenchmark("read_limit", read_limit);
  for (const KernelTable* table : kernel_tables()) {
    if (table->name == "reference" || table->name == "portable") continue;
    for (const DType dtype : {DType::f16, DType::bf16, DType::i8, DType::i4}) {
      for (const bool packed : {false, true}) {
        const std::string name = "gemm/" + std::string(table->name) + "/f16x" + std::string(dtype_name(dtype)) +
                                 (packed ? "/packed" : "/row_major");
        const auto run = [=](benchmark::State& state) { product(state, table, dtype, packed); };
        benchmark::RegisterBenchmark(name.c_str(), run)->Arg(1)->Arg(8)->Arg(32)->Arg(128);
      }
    }
  }
  return 0;
}();

}  // namespace
}  // namespace tandem::bench
