// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "tandem/check/fused_group.h"
#include "tests/fused/families.h"

namespace tandem::fused {

// Communicators of one window size, by rank count; made at first use.
class Groups {
 public:
  explicit Groups(size_t window_bytes = 0) : window_bytes_(window_bytes) {}
  Expected<std::vector<Outputs>> run(const Problem& problem, std::span<const RankData> ranks,
                                     const CppGroup::Adjust& adjust = {});

 private:
  size_t window_bytes_;
  std::map<int, CppGroup> groups_;
};

// Every function gives "" or the first thing that is wrong.
class MemberCheck {
 public:
  MemberCheck(const Family& family, nlohmann::json member) : family_(family), member_(std::move(member)) {}
  std::string run();

 private:
  std::string at_ranks(int ranks);
  std::string rows(const Outputs& whole);
  std::string windows(const Outputs& whole);
  std::string replicated(const Outputs& whole);
  std::string batch(int64_t first, int64_t count, const Outputs& whole);

  const Family& family_;
  nlohmann::json member_;
  Problem problem_;
  std::vector<RankData> data_;
  std::vector<Outputs> first_;  // of the first rank count, for split
};

// Whether all ranks hold the same bits.
bool all_same(const std::vector<Outputs>& ranks);

// Rows [first, first + count) of a problem's data.
RankData row_slice(const RankData& data, int64_t first, int64_t count);

// FNV-1a over the bits of all ranks, as 16 digits.
std::string hash_of(std::span<const Outputs> ranks);
// The same over all members of all families, at the first and the last rank count of each.
std::string hash_of_everything();

}  // namespace tandem::fused
