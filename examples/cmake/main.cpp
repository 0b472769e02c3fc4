// SPDX-License-Identifier: Apache-2.0
// Two ranks as threads of this process: each holds half of k, the fused operator multiplies, adds up over the ranks,
// adds the residual and normalises. The result is compared with plain loops in double precision.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include "tandem/comm/communicator.h"
#include "tandem/exec/device.h"
#include "tandem/exec/stream.h"
#include "tandem/ops/mm_all_reduce.h"
#include "tandem/version.h"

namespace {

constexpr int kRanks = 2;
constexpr int64_t kRows = 4, kDepth = 96, kColumns = 64;  // of the whole problem; a rank owns kDepth / kRanks
constexpr double kEpsilon = 1e-6;

using Floats = std::vector<float>;

Floats random_floats(int64_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  Floats values(static_cast<size_t>(count));
  for (float& value : values) value = uniform(generator);
  return values;
}

const float& at(const Floats& matrix, int64_t row, int64_t column, int64_t columns) {
  return matrix[static_cast<size_t>(row * columns + column)];
}

struct Problem {
  Floats x = random_floats(kRows * kDepth, 1);
  Floats weight = random_floats(kDepth * kColumns, 2);
  Floats residual = random_floats(kRows * kColumns, 3);
  Floats gamma = random_floats(kColumns, 4);
};

// What rank r holds: its columns of x, its rows of the weight, and room for its results.
struct Rank {
  Floats x, weight, y, norm;
  std::unique_ptr<tandem::Stream> stream;
  std::vector<std::byte> workspace;

  Rank(const Problem& problem, int rank) : y(kRows * kColumns), norm(kRows * kColumns) {
    const int64_t part = kDepth / kRanks, first = rank * part;
    for (int64_t row = 0; row < kRows; ++row) {
      for (int64_t k = first; k < first + part; ++k) x.push_back(at(problem.x, row, k, kDepth));
    }
    weight.assign(problem.weight.begin() + first * kColumns, problem.weight.begin() + (first + part) * kColumns);
  }
};

tandem::TensorView view(const Floats& values, int64_t rows, int64_t columns) {
  return tandem::make_tensor(const_cast<float*>(values.data()), tandem::DType::f32, {rows, columns});
}

// Plans the operator of one rank and puts it on the rank's stream; returns at once.
tandem::Status enqueue(const Problem& problem, Rank& rank, const tandem::Communicator& communicator) {
  auto device = tandem::Device::get(communicator.device());
  if (!device) return tl::unexpected(device.error());
  auto stream = tandem::Stream::create(**device);
  if (!stream) return tl::unexpected(stream.error());
  rank.stream = std::move(*stream);

  tandem::MmAllReduce op;
  op.x1 = view(rank.x, kRows, kDepth / kRanks);
  op.x2 = view(rank.weight, kDepth / kRanks, kColumns);
  op.y = view(rank.y, kRows, kColumns);
  tandem::AddRmsNorm tail;
  tail.residual = view(problem.residual, kRows, kColumns);
  tail.gamma = tandem::make_tensor(const_cast<float*>(problem.gamma.data()), tandem::DType::f32, {kColumns});
  tail.epsilon = kEpsilon;
  tail.norm = view(rank.norm, kRows, kColumns);
  op.then = tail;
  op.group = communicator.name();

  const auto plan = tandem::plan(op, **device);
  if (!plan) return tl::unexpected(plan.error());
  rank.workspace.resize(plan->workspace_bytes());
  return plan->run(rank.workspace, *rank.stream);
}

double plain_sum(const Problem& problem, int64_t row, int64_t column) {
  double sum = at(problem.residual, row, column, kColumns);
  for (int64_t k = 0; k < kDepth; ++k) {
    sum += static_cast<double>(at(problem.x, row, k, kDepth)) * at(problem.weight, k, column, kColumns);
  }
  return sum;
}

// The largest difference between what a rank computed and the plain loops.
double worst_difference(const Problem& problem, const Rank& rank) {
  double worst = 0;
  for (int64_t row = 0; row < kRows; ++row) {
    double squares = 0;
    for (int64_t c = 0; c < kColumns; ++c) squares += std::pow(plain_sum(problem, row, c), 2);
    const double scale = 1 / std::sqrt(squares / kColumns + kEpsilon);
    for (int64_t c = 0; c < kColumns; ++c) {
      const double y = plain_sum(problem, row, c), norm = y * scale * problem.gamma[static_cast<size_t>(c)];
      worst = std::fmax(worst, std::fabs(y - at(rank.y, row, c, kColumns)));
      worst = std::fmax(worst, std::fabs(norm - at(rank.norm, row, c, kColumns)));
    }
  }
  return worst;
}

int report(const char* what, const tandem::Error& error) {
  std::fprintf(stderr, "%s: %s\n", what, error.message.c_str());
  return 1;
}

}  // namespace

int main() {
  const Problem problem;
  const auto communicators = tandem::Communicator::local(kRanks);
  if (!communicators) return report("communicator", communicators.error());

  std::vector<Rank> ranks;
  for (int rank = 0; rank < kRanks; ++rank) ranks.emplace_back(problem, rank);
  for (int rank = 0; rank < kRanks; ++rank) {
    const auto status = enqueue(problem, ranks[static_cast<size_t>(rank)], *(*communicators)[static_cast<size_t>(rank)]);
    if (!status) return report("enqueue", status.error());
  }
  for (Rank& rank : ranks) {
    if (const auto status = rank.stream->synchronize(); !status) return report("synchronize", status.error());
  }
  const bool same = ranks[0].y == ranks[1].y && ranks[0].norm == ranks[1].norm;
  const double worst = worst_difference(problem, ranks[0]);
  std::printf("tandem %s: %d ranks, worst difference to the plain loops %.2e, ranks %s\n", tandem::version(), kRanks,
              worst, same ? "bit-equal" : "DIFFER");
  return same && worst < 1e-4 ? 0 : 1;
}
