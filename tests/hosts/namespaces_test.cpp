// SPDX-License-Identifier: Apache-2.0
// Hosts as network namespaces, joined by a switch: what two machines see of each other.
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <memory>

#include "far_launch_test.h"
#include "namespaces.h"

namespace tandem::test {
namespace {

class Network : public Hosts {
 protected:
  void SetUp() override {
    Hosts::SetUp();
    if (IsSkipped()) return;
    network_ = std::make_unique<Namespaces>(4);
    if (!network_->problem().empty()) GTEST_SKIP() << network_->problem();
  }

  std::vector<RankProcess> launch(const std::string& hosts, const std::string& role, Environment environment = {}) {
    const std::string address = "tcp://" + network_->address(0) + ":29500/" + new_address();
    environment.emplace_back("UCX_TLS", "tcp");
    std::vector<RankProcess> ranks;
    for (size_t rank = 0; rank < hosts.size(); ++rank) {
      ranks.emplace_back(network_->prefix(hosts[rank] - 'A') + role, static_cast<int>(rank),
                         static_cast<int>(hosts.size()), address, environment);
    }
    return ranks;
  }

  std::unique_ptr<Namespaces> network_;
};

TEST_F(Network, TwoHostsDoEveryCollective) {
  for (const char* hosts : {"AB", "AABB"}) {
    auto ranks = launch(hosts, "collectives");
    expect_all_ok(ranks, hosts);
  }
}

TEST_F(Network, FourHostsDoEveryCollective) {
  for (const char* hosts : {"ABCD", "AAABBBCCCDDD"}) {
    auto ranks = launch(hosts, "collectives");
    expect_all_ok(ranks, hosts);
  }
}

TEST_F(Network, ADeadRankIsNamedByAll) {
  double slowest = 0;
  for (const size_t victim : {0u, 2u, 3u}) {
    auto ranks = launch("AABC", "loop all_reduce");
    expect_running(ranks);
    usleep(20'000);
    const int64_t killed = monotonic_ns();
    ranks[victim].signal(SIGKILL);
    slowest = std::max(slowest, expect_named(ranks, victim, killed, "died"));
  }
  EXPECT_LT(slowest, 250 * kSlower);
  std::cout << "3 kills between three namespaces: named by all after at most " << slowest << " ms\n";
}

// Rank 2 is alone on the host that is cut off: the others name it, and it names one of them.
TEST_F(Network, AHostThatIsCutOffIsNamed) {
  for (const char* operation : {"all_reduce", "ring"}) {
    auto ranks = launch("AAB", std::string("loop ") + operation, {{"TANDEM_LINK_S", "3"}});
    expect_running(ranks);
    usleep(20'000);
    const int64_t cut = monotonic_ns();
    network_->set_link(1, false);
    const double slowest = expect_named(ranks, 2, cut, "cannot be reached");
    const Report alone = report_of(ranks[2]);
    expect_part(alone.text, "peer_lost: ");
    expect_part(alone.text, "cannot be reached");
    const double last = std::max(slowest, static_cast<double>(alone.at_ns - cut) * 1e-6);
    EXPECT_LT(last, 3000 * std::max(1.0, kSlower / 5));
    network_->set_link(1, true);
    std::cout << "link cut during " << operation << ", limit 3 s: named by all after " << last << " ms\n";
  }
}

}  // namespace
}  // namespace tandem::test
