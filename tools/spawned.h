// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <poll.h>
#include <sys/types.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tandem/base/status.h"

namespace tandem::tool {

class OwnedDescriptor {
 public:
  explicit OwnedDescriptor(int number = -1) : number_(number) {}
  ~OwnedDescriptor() { reset(); }
  OwnedDescriptor(OwnedDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  OwnedDescriptor& operator=(OwnedDescriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  int get() const { return number_; }
  void reset() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }

 private:
  int number_;
};

struct Pipe {
  OwnedDescriptor reading, writing;  // close-on-exec; reading does not block
};
Expected<Pipe> make_pipe();
// False when it could not be written.
bool write_all(int target, std::string_view text);

// What to start, and how it is called.
struct SpawnPlan {
  std::string name;    // "rank 2"
  std::string prefix;  // of its lines
  std::vector<std::string> program, environment;
  std::string folder;  // working directory; empty: this one's
  int input = -1;      // its standard input; -1: nothing
};

// A rank of `tandem launch`, or the launcher of another host: a process in a group of its own, its output read line by
// line through pipes.
class SpawnedRank {
 public:
  // `mask`: the signal mask the program starts with. It dies with this thread's process.
  static Expected<std::unique_ptr<SpawnedRank>> start(const SpawnPlan& plan, const sigset_t& mask);

  pid_t pid() const { return pid_; }
  bool alive() const { return alive_; }
  bool open() const { return out_.pipe.get() >= 0 || err_.pipe.get() >= 0; }
  // To its whole group, until it was reaped.
  void signal(int number) const;
  void add_to(std::vector<pollfd>& waits) const;
  // Passes on what is there, whole lines at a time.
  void read_output();
  // Passes on what is left of a last line, and closes.
  void flush();
  // Notes how it ended; its exit code, 128 + signal for a signal.
  int ended(int wait_status);
  // "rank 2 (process 123) was killed by signal 9 (Killed)".
  std::string ending() const;

 private:
  struct Stream {
    OwnedDescriptor pipe;
    int target;
    std::string line;
  };
  SpawnedRank(const SpawnPlan& plan, OwnedDescriptor out, OwnedDescriptor err);
  void read_stream(Stream& stream) const;
  void pass_lines(Stream& stream, bool all) const;

  std::string name_, prefix_;
  pid_t pid_ = -1;
  bool alive_ = false;
  int wait_status_ = 0;
  Stream out_, err_;
};

// Whether stdout or stderr of this process could not be written to any more.
bool output_failed();
// One line of the launcher itself on stderr.
void report_line(const std::string& text);
// A TCP port of the loopback that nobody listens at right now; 0 when there is none.
int free_port();
// Processes whose parent is this one.
std::vector<pid_t> own_children();

}  // namespace tandem::tool
