// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "recovery.h"

namespace tandem::test {
namespace {

constexpr int kRounds = 10'000;

TEST(RecoverySlow, TenThousandTimesAsThreads) { abort_and_start_again_as_threads(kRounds); }
TEST(RecoverySlow, TenThousandTimesAsProcesses) { abort_and_start_again_as_processes(kRounds); }

}  // namespace
}  // namespace tandem::test
