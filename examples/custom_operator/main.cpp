// SPDX-License-Identifier: Apache-2.0
// custom_operator [threads]: checks silu_quant against plain loops in double precision, then compares its speed on data
// out of cache with a copy of the same bytes.
#include "silu_quant.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tandem/exec/memory.h"
#include "tandem/exec/team.h"
#include "tandem/kernels/table.h"

// One declaration and one choice for each table the library has.
namespace tandem {
#define TANDEM_EACH(isa) namespace isa { void silu_quant(const SiluQuantArgs&, Lane&); }
TANDEM_TABLES
#undef TANDEM_EACH
}  // namespace tandem

namespace {

void silu_quant(const SiluQuantArgs& args, tandem::Lane& lane) {
  const auto table = tandem::default_table().name;
#define TANDEM_EACH(isa) if (table == #isa) return tandem::isa::silu_quant(args, lane);
  TANDEM_TABLES
#undef TANDEM_EACH
  tandem::portable::silu_quant(args, lane);
}

std::vector<float> values(int64_t count, uint32_t seed) {
  std::vector<float> v(static_cast<size_t>(count));
  for (float& x : v) x = static_cast<float>(static_cast<int32_t>(seed = seed * 1664525u + 1013904223u)) * 0x1p-29f;
  return v;
}

// Every int8 within one unit of the double, and exact where the quotient is not beside a tie.
int wrong_values(tandem::Lane& lane, int64_t rows, int64_t n) {
  const auto a = values(rows * n, 1), b = values(rows * n, 2);
  std::vector<int8_t> y(static_cast<size_t>(rows * n));
  std::vector<float> scale(static_cast<size_t>(rows));
  silu_quant({rows, n, a.data(), b.data(), y.data(), scale.data()}, lane);
  int wrong = 0;
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<double> v;
    double most = 0;
    for (int64_t i = row * n; i < (row + 1) * n; ++i) {
      const auto at = static_cast<size_t>(i);
      const auto gate = static_cast<double>(a[at]);
      v.push_back(gate / (1 + std::exp(-gate)) * static_cast<double>(b[at]));
      most = std::max(most, std::fabs(v.back()));
    }
    const double exact = most / 127, got = static_cast<double>(scale[static_cast<size_t>(row)]);
    if (!(std::fabs(got - exact) <= 1e-6 * exact)) ++wrong;
    for (int64_t i = 0; i < n; ++i) {
      const double q = v[static_cast<size_t>(i)] / exact, stored = y[static_cast<size_t>(row * n + i)];
      const bool tie = std::fabs(std::fabs(q - std::floor(q)) - 0.5) < 1e-5 * std::fabs(q);
      if (std::fabs(stored - std::nearbyint(q)) > (tie ? 1 : 0)) ++wrong;
    }
  }
  return wrong;
}

template <class Run>
double seconds(const Run& run) {
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

void compare_with_copy(tandem::Lane& lane, int64_t rows, int64_t n) {
  const auto a = values(rows * n, 3), b = values(rows * n, 4);
  std::vector<float> to(a.size()), scale(static_cast<size_t>(rows));
  std::vector<int8_t> y(a.size());
  const double copying = seconds([&] {
    lane.team->parallel_for(rows, 1, [&](int64_t begin, int64_t end) {
      std::memcpy(to.data() + begin * n, a.data() + begin * n, static_cast<size_t>((end - begin) * n) * 4);
    });
  });
  const double running = seconds([&] { silu_quant({rows, n, a.data(), b.data(), y.data(), scale.data()}, lane); });
  const double elements = 1e-9 * static_cast<double>(rows * n);  // a copy moves 8 bytes an element, the operator 9
  const double copy_rate = 8 * elements / copying, rate = 9 * elements / running;
  std::printf("silu_quant %.1f GB/s, copy %.1f GB/s: %.0f %%\n", rate, copy_rate, 100 * rate / copy_rate);
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::max(1, std::atoi(argv[1])) : 1;
  tandem::ThreadTeam team(threads);
  tandem::Scratch scratch;
  tandem::Lane lane{&team, nullptr, &scratch};
  tandem::set_kernel_float_mode();
  int wrong = 0;
  for (const int64_t n : {1, 15, 64, 1000, 4096}) wrong += wrong_values(lane, 5, n);
  std::printf("table %s, %d threads: %d wrong values\n", tandem::default_table().name.data(), team.size(), wrong);
  if (wrong == 0 && argc > 1) compare_with_copy(lane, 8192, 4096);
  return wrong == 0 ? 0 : 1;
}
