// SPDX-License-Identifier: Apache-2.0
// An all-reduce between 4 devices of one process, one thread each.
//
//   . <prefix>/cann/set_env.sh
//   g++ threads.cpp -I $ASCEND_HOME_PATH/include -L $ASCEND_HOME_PATH/lib64 -lhccl -lascendcl -o threads && ./threads
#include <thread>

#include "check.h"

static bool run_rank(int rank, HcclComm comm) {
  if (!good(aclrtSetDevice(rank), "aclrtSetDevice")) return false;
  const bool done = sum_of_ranks(comm);
  return good(aclrtResetDevice(rank), "aclrtResetDevice") && done;
}

int main() {
  constexpr int kRanks = 4;
  if (!good(aclInit(nullptr), "aclInit")) return 1;
  HcclComm comms[kRanks] = {};
  int32_t devices[kRanks] = {0, 1, 2, 3};
  if (!good(HcclCommInitAll(kRanks, devices, comms), "HcclCommInitAll")) return 1;

  std::vector<std::thread> threads;
  std::vector<char> done(kRanks, 0);
  for (int rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([&, rank] { done[rank] = run_rank(rank, comms[rank]) ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();

  bool all = true;
  for (const char one : done) all = all && one != 0;
  for (HcclComm comm : comms) all = good(HcclCommDestroy(comm), "HcclCommDestroy") && all;
  return good(aclFinalize(), "aclFinalize") && all ? 0 : 1;
}
