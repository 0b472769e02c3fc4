// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <vector>

#include "tandem/comm/communicator_impl.h"
#include "tandem/comm/tcp.h"

namespace tandem {
namespace {

uint32_t digest_of_list(std::span<const int> ranks) {
  uint32_t value = 0x811c9dc5u;  // FNV-1a over whole numbers
  for (const int rank : ranks) value = (value ^ static_cast<uint32_t>(rank)) * 0x01000193u;
  return value;
}

Status check_list(std::span<const int> ranks, int size, int own) {
  std::vector<char> seen(static_cast<size_t>(size), 0);
  for (const int rank : ranks) {
    if (rank < 0 || rank >= size) {
      return fail(ErrorCode::invalid_argument, fmt::format("split: rank {} listed, 0 to {} wanted", rank, size - 1));
    }
    char& listed = seen[static_cast<size_t>(rank)];
    if (listed != 0) {
      return fail(ErrorCode::invalid_argument, fmt::format("split: rank {} listed twice, each once wanted", rank));
    }
    listed = 1;
  }
  if (seen[static_cast<size_t>(own)] != 0) return {};
  return fail(ErrorCode::invalid_argument, fmt::format("split: rank {} is not listed, a list with itself wanted", own));
}

// Ranks that met over TCP meet at the new rank 0's host.
std::string meeting_place(const std::string& address, const std::vector<std::string>& hosts, int first, uint64_t id) {
  if (hosts.empty()) return fmt::format("{}/{}", address, id);
  return tcp_address_at(address, hosts[static_cast<size_t>(first)], std::to_string(id));
}

}  // namespace

Expected<std::string> random_text() {
  std::array<unsigned char, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return fail(ErrorCode::io, "the system gave no random bytes");
  }
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

// The ranks share a secret already, so that they can meet again under a name made from it and nobody else can.
Expected<std::shared_ptr<Communicator>> Communicator::split(std::span<const int> ranks, uint64_t id,
                                                            std::string_view name, size_t window_bytes,
                                                            double call_s) const {
  if (impl_->foreign()) return fail(impl_->usable().error());
  if (Status s = check_list(ranks, size_, rank_); !s) return fail(s.error());
  const auto place = std::ranges::find(ranks, rank_) - ranks.begin();
  Rendezvous rendezvous{.rank = static_cast<int>(place),
                        .size = static_cast<int>(ranks.size()),
                        .name = name.empty() ? fmt::format("{}_sub_{}", name_, id) : std::string(name),
                        .address = meeting_place(impl_->address, impl_->hosts, ranks[0], id),
                        .device = device_};
  rendezvous.call_s = call_s;
  rendezvous.members = digest_of_list(ranks);
  return connect(rendezvous, window_bytes);
}

}  // namespace tandem
