// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "tandem/base/status.h"

#pragma GCC visibility push(default)
namespace tandem {

class ThreadTeam;
struct KernelTable;

// A logical device: a slice of the cores with its team of threads. Made at first use, never by a static initialiser.
class Device {
 public:
  // Device `index` in [0, count()).
  static Expected<Device*> get(int index);
  // TANDEM_DEVICES, 8 by default.
  static int count();

  int index() const { return index_; }
  // The team of the moment; a task keeps it for its duration.
  std::shared_ptr<ThreadTeam> team();
  // Called when a communicator of `ranks_on_host` ranks joins this device, before its first work: narrows the team to
  // the cores a rank gets. Explicit threads > 0 override (the runner's --threads).
  void share_host_with(int ranks_on_host, int threads = 0);
  // Ranks of the largest communicator on this host exceed the usable cores.
  bool oversubscribed() const;

 private:
  explicit Device(int index);
  struct State;
  int index_;
  std::unique_ptr<State> state_;
  friend struct DeviceRegistry;
};

}  // namespace tandem
#pragma GCC visibility pop
