// SPDX-License-Identifier: Apache-2.0
#include "bench/op/op_limits.h"

#include <algorithm>
#include <memory>

#include "tandem/exec/team.h"
#include "tandem/kernels/table.h"

#ifdef TANDEM_HAVE_BENCH
#include "bench/limits.h"
#endif

namespace tandem::bench::op {

#ifdef TANDEM_HAVE_BENCH
namespace {

constexpr int64_t kSteps = 20000;

const LimitLoops& loops() { return loops_of_table(default_table().name); }
// int8 x int8 and fast arithmetic have the instruction that multiplies pairs of 16-bit integers.
bool pairs(const OpProblem& p) { return (p.data.integer() || p.math == Math::fast) && loops().madd_operations > 0; }

}  // namespace

double operations_of_peak(const OpProblem& p, const Lane& lane) {
  const int operations = pairs(p) ? loops().madd_operations : loops().fma_operations;
  return static_cast<double>(kSteps) * operations * lane.team->size();
}

std::vector<Contender> limit_contenders(const OpProblem& problem, Lane& lane, size_t pool_bytes) {
  struct State {
    LimitMaker maker;
    Pool pool;
    LimitTurn read, peak;
    State(const OpProblem& p, Lane& lane, size_t block, size_t bytes)
        : maker(lane, lane.team->size(), bytes),
          pool(nullptr, block, bytes),
          read(maker.read(pool)),
          peak(pairs(p) ? maker.madd(loops()) : maker.fma(loops())) {}
  };
  const size_t block = std::max<size_t>(static_cast<size_t>(problem.weight_bytes()) / 64 * 64, 64);
  const auto state = std::make_shared<State>(problem, lane, block, std::max(pool_bytes, 2 * block));
  std::vector<Contender> all;
  all.push_back({.name = kReadLimit, .run = [state](size_t) -> Status { return state->read.run(), Status{}; }});
  all.push_back({.name = kPeak, .run = [state](size_t) -> Status { return state->peak.run(), Status{}; }});
  return all;
}
#else
double operations_of_peak(const OpProblem&, const Lane&) { return 0; }
std::vector<Contender> limit_contenders(const OpProblem&, Lane&, size_t) { return {}; }
#endif

}  // namespace tandem::bench::op
