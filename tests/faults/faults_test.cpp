// SPDX-License-Identifier: Apache-2.0
// Faults that are no deaths: ranks that stop, lie, lose news, run out of memory or live in a narrow place.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

#include "forked_job.h"
#include "operators.h"
#include "tandem/comm/fault.h"
#include "tandem/exec/wait.h"
#include "tests/ranks/collective_run.h"

namespace tandem::test {
namespace {

#ifdef TANDEM_SANITIZED
constexpr double kSlower = 10;
#else
constexpr double kSlower = 1;
#endif
constexpr double kPatience = 30 * kSlower;

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in '" << text << "'";
}

using Environment = ForkedJob::Environment;

std::function<Environment(int)> with(const Environment& environment) {
  return [environment](int) { return environment; };
}

Status repeat(const std::string& op, Communicator& comm, int rounds) {
  const auto round = make_round(op, comm);
  for (int i = 0; i < rounds; ++i) {
    if (Status s = round(); !s) return s;
  }
  return {};
}

Status for_ever(const std::string& op, Communicator& comm) {
  const auto round = make_round(op, comm);
  Status status;
  while (status) status = round();
  return status;
}

void expect_all_ok(ForkedJob& job) {
  ASSERT_TRUE(job.finish(kPatience));
  for (int rank = 0; rank < job.size(); ++rank) {
    EXPECT_FALSE(job.signaled(rank)) << "rank " << rank;
    EXPECT_TRUE(job.report(rank).ok) << "rank " << rank << ": " << job.report(rank).text;
  }
}

std::string any_operator() { return operator_names().front(); }

// --- stop, delay, drop

// Well inside: a stop at an operator's last step may take effect behind it, where a rank merely has not called.
TEST(Fault, AStoppedRankIsNamedInEveryOperator) {
  for (const std::string& op : operator_names()) {
    const bool messages = op.find("send_recv") != op.npos;
    const Environment faults = {{"TANDEM_FAULT", messages ? "stop:rank=1,step=6" : "stop:rank=1,step=begin,count=2"},
                                {"TANDEM_STALL_S", kSlower > 1 ? "0.05" : "0.3"}};
    ForkedJob job(
        3, [&](Communicator& c) { return for_ever(op, c); }, with(faults));
    ASSERT_TRUE(job.finish(kPatience, 1)) << op;
    for (const int rank : {0, 2}) {
      EXPECT_EQ(job.report(rank).code, ErrorCode::timed_out) << op;
      expect_part(job.report(rank).text, "rank 1 made no progress for ");
    }
  }
}

TEST(Fault, ADelayIsNoFailure) {
  ForkedJob job(
      3, [](Communicator& c) { return repeat(any_operator(), c, 4); },
      with({{"TANDEM_FAULT", "delay:rank=1,step=await,count=2,ms=150"}}));
  expect_all_ok(job);
}

TEST(Fault, NewsThatNeverArrivesNamesTheRankThatOwesIt) {
  const Environment faults = {{"TANDEM_FAULT", "drop:rank=2,step=begin"}, {"TANDEM_STALL_S", "0.1"}};
  ForkedJob job(
      3, [](Communicator& c) { return for_ever(any_operator(), c); }, with(faults));
  ASSERT_TRUE(job.finish(kPatience));
  for (const int rank : {0, 1}) {
    EXPECT_FALSE(job.report(rank).ok);
    expect_part(job.report(rank).text, "rank ");
  }
}

// --- hostile memory

TEST(Fault, NoiseInARanksSegmentEndsTheJobAndNobodyCrashes) {
  int jobs = 0;
  for (const std::string& op : operator_names()) {
    for (const int64_t step : {1, 4, 9}) {
      const Environment faults = {{"TANDEM_FAULT", "corrupt:rank=1,step=" + std::to_string(step)},
                                  {"TANDEM_STALL_S", kSlower > 1 ? "0.05" : "0.3"},
                                  {"HCCL_EXEC_TIMEOUT", "1"}};
      ForkedJob job(
          3, [&](Communicator& c) { return for_ever(op, c); }, with(faults));
      ASSERT_TRUE(job.finish(kPatience)) << op << " step " << step;
      for (int rank = 0; rank < 3; ++rank) {
        EXPECT_FALSE(job.signaled(rank)) << op << " step " << step << ": rank " << rank << " crashed";
        expect_part(job.report(rank).text, "rank ");
      }
      ++jobs;
    }
  }
  std::cout << jobs << " jobs with a segment full of noise\n";
}

// --- calls that differ

TEST(Fault, WrongCountsOfOneRankAreNamedByAll) {
  const auto body = [](Communicator& c) -> Status {
    static std::byte in[4096], out[4096];
    OwnLane own;
    const std::vector<int64_t> counts = {8, c.rank() == 1 ? 9 : 8, 8}, at = {0, 8, 17};
    return all_gather_v(c, in, out, {counts, at}, DType::i32, own.lane);
  };
  ForkedJob job(3, body, with({}));
  ASSERT_TRUE(job.finish(kPatience));
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(job.report(rank).code, ErrorCode::mismatch);
    expect_part(job.report(rank).text, "rank 1 called all_gather_v count=25");
  }
}

TEST(Fault, AnotherOperatorOnOneRankIsNamedByAll) {
  const auto body = [](Communicator& c) { return repeat(c.rank() == 2 ? "all_to_all" : "all_gather", c, 1); };
  ForkedJob job(4, body, with({}));
  ASSERT_TRUE(job.finish(kPatience));
  for (int rank = 0; rank < 4; ++rank) expect_part(job.report(rank).text, "rank 2 called all_to_all ");
}

// --- signals

// A timer and a handler without SA_RESTART: every sleep of a wait is interrupted.
TEST(Fault, SignalsDuringWaitsDoNotHurt) {
  const auto body = [](Communicator& c) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    sigaction(SIGALRM, &action, nullptr);
    const itimerval every{{0, 2'000}, {0, 2'000}};
    setitimer(ITIMER_REAL, &every, nullptr);
    if (c.rank() == 0) usleep(100'000);
    return repeat(operator_names().back(), c, 20);
  };
  ForkedJob job(3, body, with({}));
  expect_all_ok(job);
}

// The number of a dead process belongs to another one before anybody looks.
TEST(Fault, AReusedProcessNumberIsNoLife) {
  const char* const last_pid = "/proc/sys/kernel/ns_last_pid";
  if (access(last_pid, W_OK) != 0) GTEST_SKIP() << "needs a writable /proc/sys/kernel/ns_last_pid (root)";
  ForkedJob job(
      3, [](Communicator& c) { return for_ever(any_operator(), c); }, with({{"TANDEM_STALL_S", "20"}}));
  ASSERT_TRUE(job.await_connected());
  for (const int rank : {0, 2}) kill(job.pid(rank), SIGSTOP);
  job.signal(1, SIGKILL);
  const pid_t wanted = job.pid(1);
  job.reap(1);
  pid_t again = 0;
  for (int attempt = 0; attempt < 20 && again != wanted; ++attempt) {
    std::ofstream(last_pid) << wanted - 1;
    again = fork();
    if (again == 0) pause();
    if (again == wanted) break;
    kill(again, SIGKILL);
    waitpid(again, nullptr, 0);
  }
  for (const int rank : {0, 2}) kill(job.pid(rank), SIGCONT);
  EXPECT_TRUE(job.finish(kPatience, 1));
  for (const int rank : {0, 2})
    expect_part(job.report(rank).text, "rank 1 (process " + std::to_string(wanted) + ") died");
  const bool reused = again == wanted;
  if (reused) {
    kill(again, SIGKILL);
    waitpid(again, nullptr, 0);
  }
  if (!reused) GTEST_SKIP() << "somebody else took the number in between";
}

// --- narrow places

TEST(Fault, SixteenRanksShareTheCores) {
  ForkedJob job(
      16, [](Communicator& c) { return repeat("all_gather", c, 5); }, with({}), 16 * 1024);
  expect_all_ok(job);
}

TEST(Fault, OneCoreIsEnough) {
  const auto body = [](Communicator& c) -> Status {
    for (const std::string& op : operator_names()) {
      if (Status s = repeat(op, c, 2); !s) return s;
    }
    return {};
  };
  cpu_set_t before, one;
  sched_getaffinity(0, sizeof before, &before);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &before)) continue;
    CPU_SET(cpu, &one);
    break;
  }
  sched_setaffinity(0, sizeof one, &one);
  ForkedJob job(4, body, with({}));
  sched_setaffinity(0, sizeof before, &before);
  expect_all_ok(job);
}

// In a mount namespace of its own, where /dev/shm has 64 MiB and all of them are taken.
TEST(Fault, AFullDevShmOf64MiBIsNotNeeded) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    constexpr int kSkip = 77;
    const bool alone = unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                       mount("tandem-test", "/dev/shm", "tmpfs", 0, "size=64m") == 0;
    if (!alone) _exit(kSkip);
    const int filler = open("/dev/shm/filler", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (posix_fallocate(filler, 0, 64L << 20) != 0) _exit(kSkip);
    ForkedJob job(
        4, [](Communicator& c) { return repeat("all_gather", c, 5); }, with({}), 16 << 20);
    bool good = job.finish(kPatience);
    for (int rank = 0; rank < 4; ++rank) good = good && job.report(rank).ok;
    _exit(good ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "needs a mount namespace (root)";
  EXPECT_EQ(status, 0);
}

// --- no memory

TEST(Fault, ARankWithoutMemoryForItsWindowTellsAll) {
  for (const int culprit : {0, 1, 2}) {
    const int64_t start = monotonic_ns();
    ForkedJob job(
        3, [](Communicator&) { return Status{}; }, with({{"TANDEM_FAULT", "memory:rank=" + std::to_string(culprit)}}));
    ASSERT_TRUE(job.finish(kPatience));
    for (int rank = 0; rank < 3; ++rank) {
      EXPECT_EQ(job.report(rank).code, ErrorCode::out_of_memory);
      expect_part(job.report(rank).text, "window: ");
      if (rank != culprit) expect_part(job.report(rank).text, "rank " + std::to_string(culprit) + " cannot take part");
    }
    EXPECT_LT(static_cast<double>(monotonic_ns() - start) * 1e-9, 8 * kSlower);
  }
}

bool write_text(const std::string& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  return static_cast<bool>(out.flush());
}

// A memory control group with `bytes`; "" where none can be made.
std::string make_group(long bytes) {
  const std::string name = "/tandem-full-" + std::to_string(getpid());
  struct Place {
    const char *root, *limit;
  };
  for (const Place place :
       {Place{"/sys/fs/cgroup/memory", "/memory.limit_in_bytes"}, Place{"/sys/fs/cgroup", "/memory.max"}}) {
    const std::string folder = place.root + name;
    if (mkdir(folder.c_str(), 0755) != 0) continue;
    if (write_text(folder + place.limit, std::to_string(bytes))) return folder;
    rmdir(folder.c_str());
  }
  return "";
}

TEST(Fault, AFullMemoryGroupIsAnErrorWithWantedFreeAndHint) {
#ifdef TANDEM_SANITIZED
  GTEST_SKIP() << "sanitizers need more memory than the group has";
#endif
  const std::string group = make_group(24L << 20);
  if (group.empty()) GTEST_SKIP() << "no memory control group can be made here";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (!write_text(group + "/cgroup.procs", std::to_string(getpid()))) _exit(77);
    const auto made = Communicator::local(4, {}, {}, 16 << 20);
    const std::string text = made ? "" : made.error().message;
    const bool named = text.find("window: 17 MiB wanted, ") != text.npos && text.find("TANDEM_WINDOW_MB") != text.npos;
    if (!named) std::cerr << text << "\n";
    _exit(!made && made.error().code == ErrorCode::out_of_memory && named ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  rmdir(group.c_str());
  ASSERT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// --- an old kernel

// From here on the system call does not exist for this process.
bool forbid(long number) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{static_cast<unsigned short>(std::size(program)), program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// 0 when `check` held in a child without that call, 77 when no filter could be set.
int without_call(long number, const std::function<bool()>& check) {
  const pid_t child = fork();
  if (child == 0) _exit(!forbid(number) ? 77 : check() ? 0 : 1);
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Fault, WithoutPidfdProcessesAreRefusedAndThreadsWork) {
  const int outcome = without_call(SYS_pidfd_open, [] {
    const auto made =
        Communicator::connect({.rank = 0, .size = 2, .name = "group", .address = "no-pidfd", .timeout_s = 5});
    const auto threads = Communicator::local(2, {}, {}, 4096);
    return !made && made.error().message.find("pidfd_open failed") != std::string::npos && threads.has_value();
  });
  if (outcome == 77) GTEST_SKIP() << "no seccomp filter can be set here";
  EXPECT_EQ(outcome, 0);
}

TEST(Fault, WithoutMemfdTheErrorSaysSo) {
  const int outcome = without_call(SYS_memfd_create, [] {
    const auto threads = Communicator::local(2, {}, {}, 4096);
    return !threads && threads.error().message.find("memfd_create failed") != std::string::npos;
  });
  if (outcome == 77) GTEST_SKIP() << "no seccomp filter can be set here";
  EXPECT_EQ(outcome, 0);
}

// --- the switch itself

TEST(Fault, AMisspeltFaultIsAnErrorThatNamesTheField) {
  struct Case {
    const char *text, *part;
  };
  for (const Case& c :
       {Case{"kil:rank=1", "the kind is 'kil', one of kill stop delay drop corrupt memory flip"},
        Case{"kill", "the rank is '', rank=R wanted"}, Case{"kill:rank=x", "rank is 'x', a rank's number wanted"},
        Case{"kill:rank=1,stp=2", "a field is 'stp=2', rank=, step=, count= or ms= wanted"},
        Case{"kill:rank=1,step=redy", "step is 'redy', a number from 1 or one of begin ready done free"},
        Case{"kill:rank=1,step=0", "step is '0'"}, Case{"kill:rank=1,count=-1", "count is '-1'"},
        Case{"delay:rank=1", "the delay is '', ms=T wanted"}, Case{"delay:rank=1,ms=x", "ms is 'x'"}}) {
    const auto spec = parse_fault(c.text);
    ASSERT_FALSE(spec) << c.text;
    expect_part(spec.error().message, c.part);
    setenv("TANDEM_FAULT", c.text, 1);
    const auto made = Communicator::local(1, {}, {}, 4096);
    unsetenv("TANDEM_FAULT");
    ASSERT_FALSE(made) << c.text;
    expect_part(made.error().message, c.part);
  }
  const auto spec = parse_fault("kill:rank=2,step=7");
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->rank, 2);
  EXPECT_EQ(spec->count, 7);
  EXPECT_TRUE(parse_fault("kill:rank=1:step=ready:count=3"));
}

}  // namespace
}  // namespace tandem::test
