// SPDX-License-Identifier: Apache-2.0
#include "namespaces.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace tandem::test {

Namespaces::Namespaces(int hosts) {
  if (geteuid() != 0) {
    problem_ = "network namespaces want root";
    return;
  }
  for (int i = 0; i <= hosts; ++i) {
    if (!hold()) {
      problem_ = "no network namespace to be had";
      return;
    }
  }
  bool good = run_in(0, "ip link add br0 type bridge") && run_in(0, "ip link set br0 up");
  for (int host = 0; host < hosts && good; ++host) good = plug(host);
  if (!good) problem_ = "ip (iproute2) or nsenter cannot join namespaces here";
}

Namespaces::~Namespaces() {
  for (const pid_t holder : holders_) {
    kill(holder, SIGKILL);
    waitpid(holder, nullptr, 0);
  }
}

// A child that does nothing but be in a namespace of its own.
bool Namespaces::hold() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const char made = unshare(CLONE_NEWNET) == 0 ? 'y' : 'n';
    if (write(ends[1], &made, 1) != 1) _exit(1);
    while (true) pause();
  }
  char made = 'n';
  const bool heard = child > 0 && read(ends[0], &made, 1) == 1;
  close(ends[0]);
  close(ends[1]);
  if (child > 0) holders_.push_back(child);
  return heard && made == 'y';
}

bool Namespaces::run_in(size_t holder, const std::string& command) const {
  const std::string line = fmt::format("nsenter --net=/proc/{}/ns/net {} >/dev/null 2>&1", holders_[holder], command);
  return std::system(line.c_str()) == 0;
}

bool Namespaces::plug(int host) {
  const auto inside = static_cast<size_t>(host) + 1;
  return run_in(0, fmt::format("ip link add v{} type veth peer name eth0 netns {}", host, holders_[inside])) &&
         run_in(0, fmt::format("ip link set v{} master br0 up", host)) &&
         run_in(inside, fmt::format("ip addr add {}/24 dev eth0", address(host))) &&
         run_in(inside, "ip link set eth0 up") && run_in(inside, "ip link set lo up");
}

std::string Namespaces::address(int host) const { return fmt::format("10.77.0.{}", host + 1); }

std::string Namespaces::prefix(int host) const {
  return fmt::format("in /proc/{}/ns/net ", holders_[static_cast<size_t>(host) + 1]);
}

void Namespaces::set_link(int host, bool up) const {
  run_in(0, fmt::format("ip link set v{} {}", host, up ? "up" : "down"));
}

bool enter_namespace(std::string& role) {
  if (!role.starts_with("in ")) return true;
  const size_t end = role.find(' ', 3);
  const int space = open(role.substr(3, end - 3).c_str(), O_RDONLY | O_CLOEXEC);
  role.erase(0, end + 1);
  const bool entered = space >= 0 && setns(space, CLONE_NEWNET) == 0;
  if (space >= 0) close(space);
  return entered;
}

}  // namespace tandem::test
