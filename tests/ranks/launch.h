// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tandem::test {

using Environment = std::vector<std::pair<std::string, std::string>>;

// A rank process: this program started anew (fork, then exec at once) with --role.
class RankProcess {
 public:
  RankProcess(const std::string& role, int rank, int size, const std::string& address, const Environment& environment);
  ~RankProcess();
  RankProcess(RankProcess&& other) noexcept;
  RankProcess& operator=(RankProcess&&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  // Next line it printed; "" at the end of its output or after 60 s.
  std::string line();
  // Waits for its end; the wait status.
  int wait();

 private:
  pid_t pid_ = -1;
  int output_ = -1;
  std::string buffer_;
};

std::vector<RankProcess> launch(const std::string& role, int size, const std::string& address,
                                const Environment& environment = {});

// An address no other test run uses.
std::string new_address();

std::vector<std::string> shared_memory_names();

}  // namespace tandem::test
