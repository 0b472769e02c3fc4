// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "collective_run.h"
#include "launch.h"
#include "tandem/comm/tcp.h"
#include "tandem/exec/wait.h"

// What the tests of ranks on several hosts share.
namespace tandem::test {

#ifdef TANDEM_SANITIZED
inline constexpr double kSlower = 10;
#else
inline constexpr double kSlower = 1;
#endif

inline void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in '" << text << "'";
}

// An address on this machine that no other test uses.
inline std::string tcp_address() {
  const Descriptor probe = listen_tcp({"127.0.0.1", 0});
  return "tcp://127.0.0.1:" + std::to_string(port_of(probe.get())) + "/" + new_address();
}

// host[r]: where rank r lives, as a letter; ranks of one letter share memory.
inline std::vector<RankProcess> launch_on(const std::string& hosts, const std::string& role, const std::string& address,
                                          Environment environment = {}) {
  std::vector<RankProcess> ranks;
  environment.emplace_back("UCX_TLS", "tcp");
  environment.emplace_back("TANDEM_HOST_ID", "");
  for (size_t rank = 0; rank < hosts.size(); ++rank) {
    environment.back().second = std::string("host ") + hosts[rank];
    ranks.emplace_back(role, static_cast<int>(rank), static_cast<int>(hosts.size()), address, environment);
  }
  return ranks;
}

inline void expect_all_ok(std::vector<RankProcess>& ranks, const std::string& what = {}) {
  for (size_t rank = 0; rank < ranks.size(); ++rank)
    EXPECT_EQ(ranks[rank].line(), "ok") << "rank " << rank << " " << what;
}

struct Report {
  int64_t at_ns = 0;
  std::string text;
};

inline Report report_of(RankProcess& rank) {
  const std::string line = rank.line();
  char* end = nullptr;
  Report report{std::strtoll(line.c_str(), &end, 10), {}};
  report.text = end;
  return report;
}

inline void expect_running(std::vector<RankProcess>& ranks) {
  for (auto& rank : ranks) ASSERT_EQ(rank.line(), "running");
}

// Everybody but `victim` has to name it; how long the slowest took since `since`, in ms.
inline double expect_named(std::vector<RankProcess>& ranks, size_t victim, int64_t since, const std::string& part) {
  double slowest = 0;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    if (rank == victim) continue;
    const Report report = report_of(ranks[rank]);
    expect_part(report.text, "rank " + std::to_string(victim) + " ");
    expect_part(report.text, part);
    expect_part(report.text, ": step ");
    slowest = std::max(slowest, static_cast<double>(report.at_ns - since) * 1e-6);
  }
  return slowest;
}

// Skips its tests in builds without UCX.
class Hosts : public testing::Test {
 protected:
  void SetUp() override {
    if (TANDEM_UCX == 0) GTEST_SKIP() << "built without UCX (libucx-dev)";
  }
};

}  // namespace tandem::test
