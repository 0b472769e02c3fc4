// SPDX-License-Identifier: Apache-2.0
// The fused operator on thread ranks: bf16 activations, int8 weights from memory, add + rms_norm tail.
#include <benchmark/benchmark.h>

#include <memory>
#include <thread>
#include <vector>

#include "bench/cold.h"
#include "tandem/comm/communicator.h"
#include "tandem/exec/stream.h"
#include "tandem/ops/mm_all_reduce.h"

namespace tandem::bench {
namespace {

constexpr int64_t kDepth = 4096;
constexpr int64_t kColumns = 4096;

struct Rank {
  Rank(std::shared_ptr<Communicator> communicator, int64_t rows, int64_t k)
      : comm(std::move(communicator)), weights(static_cast<size_t>(k * kColumns)), m(rows), depth(k),
        x(static_cast<size_t>(rows * k), 0x3f80), residual(static_cast<size_t>(rows * kColumns), 0x3f80),
        gamma(static_cast<size_t>(kColumns), 0x3f80), y(residual), norm(residual), scale(gamma.begin(), gamma.end()) {
    stream = std::move(*Stream::create(**Device::get(comm->device())));
  }

  Status call() {
    MmAllReduce op;
    op.x1 = make_tensor(x.data(), DType::bf16, {m, depth});
    op.x2 = make_tensor(weights.next(), DType::i8, {depth, kColumns});
    op.quant = WeightScale{make_tensor(scale.data(), DType::bf16, {kColumns}), {}, 0};
    op.y = make_tensor(y.data(), DType::bf16, {m, kColumns});
    op.then = AddRmsNorm{make_tensor(residual.data(), DType::bf16, {m, kColumns}),
                         make_tensor(gamma.data(), DType::bf16, {kColumns}), 1e-6,
                         make_tensor(norm.data(), DType::bf16, {m, kColumns})};
    op.group = comm->name();
    auto plan_of_op = plan(op, stream->device());
    if (!plan_of_op) return fail(plan_of_op.error());
    workspace.resize(plan_of_op->workspace_bytes());
    return plan_of_op->run(workspace, *stream);
  }

  std::shared_ptr<Communicator> comm;
  ColdOperand weights;
  int64_t m, depth;
  std::vector<uint16_t> x, residual, gamma, y, norm, scale;
  std::vector<std::byte> workspace;
  std::unique_ptr<Stream> stream;
};

void fused(benchmark::State& state) {
  const int ranks = static_cast<int>(state.range(0));
  auto comms = Communicator::local(ranks);
  if (!comms) return state.SkipWithError(comms.error().message.c_str());
  std::vector<std::unique_ptr<Rank>> group;
  for (auto& comm : *comms) group.push_back(std::make_unique<Rank>(comm, state.range(1), kDepth / ranks));
  for (auto _ : state) {
    for (auto& rank : group) {
      if (auto status = rank->call(); !status) return state.SkipWithError(status.error().message.c_str());
    }
    for (auto& rank : group) {
      if (auto status = rank->stream->synchronize(); !status) return state.SkipWithError(status.error().message.c_str());
    }
  }
  state.SetBytesProcessed(state.iterations() * kDepth * kColumns);
}

BENCHMARK(fused)->ArgsProduct({{1, 2}, {1, 16, 128}})->ArgNames({"ranks", "rows"})->UseRealTime();

}  // namespace
}  // namespace tandem::bench
