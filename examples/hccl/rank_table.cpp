// SPDX-License-Identifier: Apache-2.0
// An all-reduce between processes that a rank table lists, then one between the even and one between the odd ranks.
//
//   . <prefix>/cann/set_env.sh
//   g++ rank_table.cpp -I $ASCEND_HOME_PATH/include -L $ASCEND_HOME_PATH/lib64 -lhccl -lascendcl -o rank_table
//   RANK_TABLE_FILE=rank_table.json tandem launch -n 4 -- ./rank_table
// Without a launcher: RANK_ID=r RANK_TABLE_FILE=rank_table.json ./rank_table, for every r of the table.
#include <cstring>

#include "check.h"

// The ranks of `world` with this rank's remainder by 2, in a communicator of their own.
static bool sum_of_half(HcclComm world, uint32_t rank, uint32_t ranks) {
  std::vector<uint32_t> half;
  for (uint32_t other = rank % 2; other < ranks; other += 2) half.push_back(other);
  HcclCommConfig config;
  HcclCommConfigInit(&config);
  std::strcpy(config.hcclCommName, rank % 2 == 0 ? "even" : "odd");
  HcclComm comm = nullptr;
  const int made = HcclCreateSubCommConfig(&world, static_cast<uint32_t>(half.size()), half.data(), 1 + rank % 2,
                                           rank / 2, &config, &comm);
  if (!good(made, "HcclCreateSubCommConfig")) return false;
  const bool done = sum_of_ranks(comm);
  return good(HcclCommDestroy(comm), "HcclCommDestroy") && done;
}

int main() {
  const int listed = number_from({"RANK_ID"}), rank = listed >= 0 ? listed : launched_rank();
  if (!good(aclInit(nullptr), "aclInit") || !good(aclrtSetDevice(rank), "aclrtSetDevice")) return 1;
  HcclComm world = nullptr;
  const char* file = std::getenv("RANK_TABLE_FILE");
  if (!good(HcclCommInitClusterInfo(file, static_cast<uint32_t>(rank), &world), "HcclCommInitClusterInfo")) return 1;
  uint32_t ranks = 0;
  bool done = good(HcclGetRankSize(world, &ranks), "HcclGetRankSize") && sum_of_ranks(world);
  done = done && sum_of_half(world, static_cast<uint32_t>(rank), ranks);
  done = good(HcclCommDestroy(world), "HcclCommDestroy") && done;
  return good(aclrtResetDevice(rank), "aclrtResetDevice") && good(aclFinalize(), "aclFinalize") && done ? 0 : 1;
}
