// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include "tandem/comm/communicator_impl.h"
#include "tandem/comm/fault.h"

namespace tandem {
namespace {

// Looks like the vendor's: address, port, process, counter.
std::string default_name(uint64_t group) { return fmt::format("127.0.0.1_60000_{}_{}", getpid(), group); }

Expected<std::vector<std::shared_ptr<SegmentMap>>> make_segments(int size, size_t window_bytes) {
  std::vector<std::shared_ptr<SegmentMap>> segments;
  for (int rank = 0; rank < size; ++rank) {
    auto segment = SegmentMap::create(rank, size, window_bytes_for(size, window_bytes));
    if (!segment) return fail(segment.error());
    segment->close_descriptor();
    segments.push_back(std::make_shared<SegmentMap>(std::move(*segment)));
  }
  return segments;
}

Expected<std::vector<Device*>> get_devices(std::span<const int> indices) {
  std::vector<Device*> devices;
  for (const int index : indices) {
    const auto device = Device::get(index);
    if (!device) return fail(device.error());
    devices.push_back(*device);
  }
  return devices;
}

}  // namespace

Expected<std::vector<std::shared_ptr<Communicator>>> Communicator::local(int size, std::span<const int> devices,
                                                                         std::string_view name, size_t window_bytes) {
  if (Status s = check_group(size, name); !s) return fail(s.error());
  if (!devices.empty() && devices.size() != static_cast<size_t>(size)) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("communicator: {} devices, one for each of {} ranks wanted", devices.size(), size));
  }
  if (Status s = load_faults(); !s) return fail(s.error());
  std::vector<int> indices(devices.begin(), devices.end());
  for (int rank = static_cast<int>(indices.size()); rank < size; ++rank) indices.push_back(rank);
  const auto resources = get_devices(indices);
  if (!resources) return fail(resources.error());
  const auto segments = make_segments(size, window_bytes);
  if (!segments) return fail(segments.error());
  const auto address = random_text();
  if (!address) return fail(address.error());

  const uint64_t group = new_communicator_group();
  const std::string shared_name = name.empty() ? default_name(group) : std::string(name);
  const std::vector<int> pids(static_cast<size_t>(size), 0);
  std::vector<std::shared_ptr<Communicator>> ranks;
  for (int rank = 0; rank < size; ++rank) {
    const auto index = static_cast<size_t>(rank);
    (*resources)[index]->share_host_with(size);
    ranks.push_back(
        Impl::make({rank, indices[index], shared_name, *segments, pids, (*resources)[index], *address, -1}));
    enroll(ranks.back(), group);
  }
  return ranks;
}

}  // namespace tandem
