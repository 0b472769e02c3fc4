// SPDX-License-Identifier: Apache-2.0
// An all-reduce between processes that meet by root info in a file. Rank and number of ranks come from the launcher.
//
//   . <prefix>/cann/set_env.sh
//   g++ processes.cpp -I $ASCEND_HOME_PATH/include -L $ASCEND_HOME_PATH/lib64 -lhccl -lascendcl -o processes
//   tandem launch -n 4 -- ./processes /tmp/root-info.$$        or mpirun, srun, torchrun --no-python
#include <unistd.h>

#include <string>

#include "check.h"

// Rank 0 writes beside the file and renames: the others find all of it or nothing.
static bool publish(const HcclRootInfo& info, const std::string& path) {
  const std::string draft = path + ".part";
  std::FILE* file = std::fopen(draft.c_str(), "wb");
  if (file == nullptr) return false;
  const bool written = std::fwrite(&info, sizeof(info), 1, file) == 1;
  return std::fclose(file) == 0 && written && std::rename(draft.c_str(), path.c_str()) == 0;
}

static bool await_file(HcclRootInfo& info, const std::string& path) {
  for (int round = 0; round < 6000; ++round) {
    if (std::FILE* file = std::fopen(path.c_str(), "rb")) {
      const bool whole = std::fread(&info, sizeof(info), 1, file) == 1;
      return std::fclose(file) == 0 && whole;
    }
    usleep(10000);
  }
  return false;
}

int main(int argc, char** argv) {
  const int rank = launched_rank(), ranks = launched_ranks();
  if (argc != 2 || rank < 0 || ranks < 1) {
    std::printf("wanted: tandem launch -n RANKS -- %s FILE\n", argv[0]);
    return 2;
  }
  const std::string path = argv[1];
  if (!good(aclInit(nullptr), "aclInit") || !good(aclrtSetDevice(rank), "aclrtSetDevice")) return 1;
  HcclRootInfo info;
  if (rank == 0 && (!good(HcclGetRootInfo(&info), "HcclGetRootInfo") || !publish(info, path))) return 1;
  if (rank != 0 && !await_file(info, path)) return 1;

  HcclComm comm = nullptr;
  const int joined = HcclCommInitRootInfo(static_cast<uint32_t>(ranks), &info, static_cast<uint32_t>(rank), &comm);
  if (rank == 0) std::remove(path.c_str());
  bool done = good(joined, "HcclCommInitRootInfo") && sum_of_ranks(comm);
  if (comm != nullptr) done = good(HcclCommDestroy(comm), "HcclCommDestroy") && done;
  return good(aclrtResetDevice(rank), "aclrtResetDevice") && good(aclFinalize(), "aclFinalize") && done ? 0 : 1;
}
