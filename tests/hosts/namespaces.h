// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

namespace tandem::test {

// Network namespaces that stand for hosts, joined by a switch. They live as long as the object: nothing has a name.
class Namespaces {
 public:
  explicit Namespaces(int hosts);
  ~Namespaces();
  Namespaces(const Namespaces&) = delete;
  Namespaces& operator=(const Namespaces&) = delete;

  // Why there are none; "" when they are there.
  const std::string& problem() const { return problem_; }
  std::string address(int host) const;
  // What a rank's role begins with to run on that host.
  std::string prefix(int host) const;
  void set_link(int host, bool up) const;

 private:
  bool hold();
  bool run_in(size_t holder, const std::string& command) const;
  bool plug(int host);

  std::vector<pid_t> holders_;  // the switch, then the hosts
  std::string problem_;
};

// Takes a role's prefix off and enters the namespace it names; false when that is not possible.
bool enter_namespace(std::string& role);

}  // namespace tandem::test
