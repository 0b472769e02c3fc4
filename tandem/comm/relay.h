// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace tandem {

struct Failure;

// What ranks of other hosts are told when this rank's segment has changed; they hold copies of it.
class Relay {
 public:
  virtual ~Relay() = default;
  // Everything of the header but the pairs.
  virtual void tell_state() = 0;
  // The line of pair `towards`.
  virtual void tell_pair(int towards) = 0;
  virtual void tell_failure(const Failure& failure) = 0;
};

}  // namespace tandem
