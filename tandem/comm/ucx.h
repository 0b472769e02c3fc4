// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "tandem/base/status.h"

// UCX, the transport between hosts: messages from rank to rank over whatever network it finds (TCP, RoCE, InfiniBand).
// The library is loaded when ranks of several hosts meet, never before.
namespace tandem {

// One caller at a time (the caller locks); nothing blocks.
class Wire {
 public:
  static constexpr size_t kHeaderBytes = 48;
  static constexpr size_t kSmallBytes = 512;

  // What arrives is handed to `arrived` during progress(), in any order; errors of a peer to `broken`. `payload` is
  // gone when the call returns.
  struct Listener {
    virtual ~Listener() = default;
    virtual void arrived(std::span<const std::byte> header, std::span<const std::byte> payload) = 0;
    virtual void broken(int peer, const char* reason) = 0;
  };

  // Whether this build has a transport at all.
  static bool built_in();
  static Expected<std::unique_ptr<Wire>> open(Listener& listener, int size);
  virtual ~Wire() = default;

  // Where peers reach this rank.
  virtual std::vector<std::byte> address() const = 0;
  virtual Status connect(int peer, std::span<const std::byte> address) = 0;
  // The header and up to kSmallBytes of payload are copied; more payload has to stay as it is until unsent() no longer names the peer.
  virtual void send(int peer, std::span<const std::byte> header, std::span<const std::byte> payload) = 0;
  // A peer to which something has not yet been handed over to the network; -1: none.
  virtual int unsent() const = 0;
  // Whether anything happened.
  virtual bool progress() = 0;
  // Readable when there is something to progress(), once arm() has said true.
  virtual int descriptor() const = 0;
  virtual bool arm() = 0;
  // In a forked child: nothing of it is touched any more.
  virtual void abandon() noexcept = 0;
};

}  // namespace tandem
