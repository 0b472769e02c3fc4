// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/comm/descriptor.h"

namespace tandem {

// A word between two ranks of different hosts, beside the data.
struct LineMessage {
  enum Kind : uint32_t { failure = 1, goodbye = 2, heard_all = 3 };
  uint32_t magic = 0;
  uint32_t kind = 0;
  uint32_t code = 0;     // failure: ErrorCode
  uint32_t culprit = 0;  // failure: rank
  uint64_t number = 0;   // goodbye: of the last parcel
  uint32_t length = 0;   // failure: bytes of text
  uint32_t reserved = 0;
  char text[1024] = {};
};

// The connections to the ranks of other hosts, and the thread that listens to them: death of a process, a broken link
// and words come here; it also watches the transport while nobody else does.
class HostLines {
 public:
  // All but patience() run on the thread of the lines.
  struct Listener {
    virtual ~Listener() = default;
    virtual void heard(int rank, const LineMessage& message) = 0;
    virtual void ended(int rank, int error) = 0;  // 0: the peer closed it
    virtual void rang() = 0;                      // the doorbell is readable
    virtual int patience_ms() = 0;                // until on_time() is wanted; -1: not at all
    virtual void on_time() = 0;
  };

  explicit HostLines(Listener& listener) : listener_(listener) {}
  ~HostLines();
  HostLines(const HostLines&) = delete;
  HostLines& operator=(const HostLines&) = delete;

  // lines[r]: connection to rank r, invalid for ranks of this host. `link_s`: how long a link may be silent.
  Status start(std::vector<Descriptor> lines, int doorbell, double link_s);
  void stop();
  // Makes the thread ask for patience_ms() anew.
  void nudge();
  // From any thread. Lost when the line is broken or full; the end of the line says enough then.
  void say(int rank, LineMessage message);
  void say_to_all(const LineMessage& message);
  void abandon() noexcept;

 private:
  struct Line {
    Descriptor socket;
    bool open = false;
    size_t got = 0;
    LineMessage incoming;
  };
  static void* entry(void* self);
  void watch();
  bool turn();
  void listen(int rank);
  bool take(int rank, Line& line);

  Listener& listener_;
  std::vector<Line> lines_;
  std::mutex speaking_;
  Descriptor nudge_;
  std::atomic<bool> stopping_{false};
  int doorbell_ = -1;
  pthread_t thread_{};
  bool running_ = false;
};

}  // namespace tandem
