// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdlib>
#include <string>
#include <utility>

#include "tandem/base/env.h"
#include "tandem/base/log.h"
#include "tandem/kernels/cpu/failure.h"
#include "tandem/kernels/reference/table.h"
#include "tandem/kernels/table.h"
#include "tandem/kernels/table_scope.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace tandem {
namespace portable {
extern const KernelTable table;
}
namespace avx2 {
extern const KernelTable table;
}
namespace avx512 {
extern const KernelTable table;
}
namespace avx512_vnni {
extern const KernelTable table;
}
namespace neon {
extern const KernelTable table;
}
namespace neon_dot {
extern const KernelTable table;
}

namespace {

struct Tables {
  std::array<const KernelTable*, 6> list{};
  size_t count = 0;

  void add(const KernelTable& table) { list[count++] = &table; }
};

// Half-precision conversion; __builtin_cpu_supports does not know it everywhere. A hypervisor may hide it.
#if defined(__x86_64__)
bool has_f16c() {
  constexpr unsigned kF16c = 1u << 29;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & kF16c) != 0;
}
#endif

Tables runnable_tables() {
  Tables tables;
#if defined(__x86_64__)
  [[maybe_unused]] const bool haswell = has_f16c() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                                        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("aes");
#endif
#if defined(TANDEM_HAVE_avx512)
  const bool skylake = haswell && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512vl");
  if (skylake && __builtin_cpu_supports("avx512vnni")) tables.add(avx512_vnni::table);
  if (skylake) tables.add(avx512::table);
#endif
#if defined(TANDEM_HAVE_avx2)
  if (haswell) tables.add(avx2::table);
#endif
#if defined(TANDEM_HAVE_neon)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) tables.add(neon_dot::table);
  tables.add(neon::table);
#endif
  tables.add(portable::table);
  tables.add(reference::table);
  return tables;
}

thread_local const KernelTable* scoped_table = nullptr;

const KernelTable& choose_default() {
  const KernelTable& best = *kernel_tables().front();
  const auto wanted = env_text("TANDEM_TABLE");
  if (!wanted) return best;
  if (const KernelTable* table = find_table(*wanted)) return *table;
  std::string names;
  for (const KernelTable* table : kernel_tables()) names += " " + std::string(table->name);
  log_warn("environment: TANDEM_TABLE={} ignored, {} used; this machine runs{}", *wanted, best.name, names);
  return best;
}

}  // namespace

std::span<const KernelTable* const> kernel_tables() {
  static const Tables tables = runnable_tables();
  return {tables.list.data(), tables.count};
}

const KernelTable* find_table(std::string_view name) {
  for (const KernelTable* table : kernel_tables()) {
    if (table->name == name) return table;
  }
  return nullptr;
}

const KernelTable& default_table() {
  if (scoped_table != nullptr) return *scoped_table;
  static const KernelTable& table = choose_default();
  return table;
}

TableScope::TableScope(const KernelTable& table) : before_(std::exchange(scoped_table, &table)) {}
TableScope::~TableScope() { scoped_table = before_; }

Math default_math() {
  static const Math math = [] {
    const auto wanted = env_text("TANDEM_MATH");
    if (!wanted || *wanted == "exact") return Math::exact;
    if (*wanted == "fast") return Math::fast;
    log_warn("environment: TANDEM_MATH={} ignored, exact or fast wanted", *wanted);
    return Math::exact;
  }();
  return math;
}

void kernel_out_of_memory() {
  log_line(LogLevel::error, "kernels: no memory for temporary values; free memory or use fewer rows at once");
  std::abort();
}

}  // namespace tandem
