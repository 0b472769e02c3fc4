// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/comm/communicator.h"

#pragma GCC visibility push(default)
namespace tandem {

inline constexpr int kMaxTableRanks = 4096;
inline constexpr size_t kMaxTableBytes = size_t{4} << 20;

// The ranks of a job and where they run, as a rank table (JSON, version 1.0 or 1.2) lists them.
struct RankTable {
  struct Server {
    std::string id;       // unique in the table
    std::string host_ip;  // empty where the table leaves it open
    int first_rank = 0;   // a server's ranks are consecutive
    int ranks = 0;
    std::string super_pod;  // id of the pod that lists it (1.2), or empty
  };
  struct Rank {
    int server = 0;         // index into `servers`
    int device = 0;         // unique in its server
    std::string device_ip;  // empty where the table leaves it open
    int host_port = 0;      // 0 = not given
  };
  std::string version;
  bool completed = true;  // false while whoever writes the table is not done: nothing else is filled then
  std::vector<Server> servers;
  std::vector<Rank> ranks;  // by rank id
};

// Takes any bytes. An error names `file`, the key, what was given and what is wanted: ErrorCode::malformed for the
// form, ErrorCode::mismatch for entries that do not fit each other.
Expected<RankTable> parse_rank_table(std::string_view text, std::string_view file);

// Reads the file; one that says "initializing" is read again until it is completed or `timeout_s` (0 =
// HCCL_CONNECT_TIMEOUT) has passed.
Expected<RankTable> read_rank_table(const std::string& path, double timeout_s = 0);

// How rank `rank` of the table meets the others. `file` is for error texts only.
Expected<Rendezvous> rendezvous_of(const RankTable& table, int rank, std::string_view file);

}  // namespace tandem
#pragma GCC visibility pop
