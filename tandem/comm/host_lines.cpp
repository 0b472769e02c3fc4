// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/host_lines.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

#include "tandem/comm/tcp.h"

namespace tandem {
namespace {

constexpr uint32_t kMagic = 0x4c444e54;  // "TNDL"

bool legal(const LineMessage& message) {
  return message.magic == kMagic && message.kind >= LineMessage::failure && message.kind <= LineMessage::heard_all &&
         message.length <= sizeof message.text;
}

}  // namespace

Status HostLines::start(std::vector<Descriptor> lines, int doorbell, double link_s) {
  doorbell_ = doorbell;
  for (Descriptor& socket : lines) {
    Line line;
    line.open = socket.valid();
    if (line.open && link_s > 0) watch_link(socket.get(), link_s);
    line.socket = std::move(socket);
    lines_.push_back(std::move(line));
  }
  nudge_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!nudge_.valid()) {
    return fail(ErrorCode::out_of_memory, fmt::format("connect: eventfd failed ({})", strerrordesc_np(errno)));
  }
  // The application's signals are for its own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&thread_, nullptr, &HostLines::entry, this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    return fail(
        ErrorCode::out_of_memory,
        fmt::format("connect: no thread for the lines between hosts ({}); see ulimit -u", strerrordesc_np(error)));
  }
  running_ = true;
  return {};
}

void HostLines::stop() {
  if (!std::exchange(running_, false)) return;
  stopping_.store(true);
  nudge();
  pthread_join(thread_, nullptr);
}

void HostLines::nudge() {
  if (nudge_.valid()) eventfd_write(nudge_.get(), 1);
}

HostLines::~HostLines() { stop(); }

void HostLines::abandon() noexcept {
  running_ = false;
  nudge_.close();
  for (Line& line : lines_) line.socket.close();
}

void HostLines::say(int rank, LineMessage message) {
  message.magic = kMagic;
  const Line& line = lines_[static_cast<size_t>(rank)];
  if (!line.socket.valid()) return;
  const std::lock_guard lock(speaking_);
  send_bytes(line.socket.get(), std::as_bytes(std::span(&message, 1)), Deadline::after_seconds(0.2));
}

void HostLines::say_to_all(const LineMessage& message) {
  for (size_t rank = 0; rank < lines_.size(); ++rank) say(static_cast<int>(rank), message);
}

void* HostLines::entry(void* self) {
  static_cast<HostLines*>(self)->watch();
  return nullptr;
}

void HostLines::watch() {
  while (turn()) {
  }
}

// One wait; false when the thread has to stop.
bool HostLines::turn() {
  std::vector<pollfd> events{{nudge_.get(), POLLIN, 0}, {doorbell_, POLLIN, 0}};
  std::vector<int> ranks;
  for (size_t rank = 0; rank < lines_.size(); ++rank) {
    if (!lines_[rank].open) continue;
    ranks.push_back(static_cast<int>(rank));
    events.push_back({lines_[rank].socket.get(), POLLIN, 0});
  }
  if (poll(events.data(), events.size(), listener_.patience_ms()) < 0) {
    // Out of memory for a moment: liveness must not end with it.
    if (errno != EINTR) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return true;
  }
  eventfd_t nudges = 0;
  if (events[0].revents != 0) eventfd_read(nudge_.get(), &nudges);
  if (stopping_.load()) return false;
  if (events[1].revents != 0) listener_.rang();
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (events[i + 2].revents != 0) listen(ranks[i]);
  }
  if (listener_.patience_ms() >= 0) listener_.on_time();
  return true;
}

void HostLines::listen(int rank) {
  Line& line = lines_[static_cast<size_t>(rank)];
  while (line.open && take(rank, line)) {
  }
}

// Reads a part of a message; false when there is no more for now.
bool HostLines::take(int rank, Line& line) {
  auto* bytes = reinterpret_cast<std::byte*>(&line.incoming);
  const ssize_t got = recv(line.socket.get(), bytes + line.got, sizeof line.incoming - line.got, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got <= 0) {
    line.open = false;
    listener_.ended(rank, got == 0 ? 0 : errno);
    return false;
  }
  line.got += static_cast<size_t>(got);
  if (line.got < sizeof line.incoming) return true;
  line.got = 0;
  if (legal(line.incoming)) listener_.heard(rank, line.incoming);
  return true;
}

}  // namespace tandem
