// SPDX-License-Identifier: Apache-2.0
#include "tests/fused/checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "tandem/check/fused_oracle.h"

namespace tandem::fused {
namespace {

Groups& default_groups() {
  static Groups groups;
  return groups;
}

bool is_rows(const std::vector<std::byte>& part, const std::vector<std::byte>& whole, size_t first_byte) {
  if (part.empty()) return whole.empty();
  return std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(first_byte));
}

constexpr uint64_t kHashStart = 0xcbf29ce484222325u;

void fold(uint64_t& hash, const std::vector<std::byte>& bytes) {
  for (const std::byte b : bytes) hash = (hash ^ static_cast<uint64_t>(b)) * 0x100000001b3u;
}

void fold(uint64_t& hash, std::span<const Outputs> ranks) {
  for (const Outputs& rank : ranks) {
    for (const auto* bytes : {&rank.y, &rank.norm, &rank.quantised, &rank.row_scale}) fold(hash, *bytes);
  }
}

}  // namespace

bool all_same(const std::vector<Outputs>& ranks) {
  return std::all_of(ranks.begin(), ranks.end(), [&](const Outputs& rank) { return rank == ranks.front(); });
}

Expected<std::vector<Outputs>> Groups::run(const Problem& p, std::span<const RankData> ranks,
                                           const CppGroup::Adjust& adjust) {
  auto found = groups_.find(p.ranks);
  if (found == groups_.end()) {
    auto made = CppGroup::make(p.ranks, window_bytes_);
    if (!made) return fail(made.error());
    found = groups_.emplace(p.ranks, std::move(*made)).first;
  }
  auto result = found->second.run(p, ranks, adjust);
  if (!result) groups_.erase(found);
  return result;
}

RankData row_slice(const RankData& data, int64_t first, int64_t count) {
  static const std::set<std::string> by_row{"x1", "x3", "residual"};
  RankData slice = data;
  for (auto& [name, stored] : slice) {
    const bool token = name == "token";
    if (!token && !by_row.contains(name)) continue;
    const size_t row_bytes = dtype_bytes(stored.dtype, token ? 1 : stored.cols);
    const auto begin = stored.bytes.begin() + first * static_cast<int64_t>(row_bytes);
    stored.bytes = std::vector<std::byte>(begin, begin + count * static_cast<int64_t>(row_bytes));
    (token ? stored.cols : stored.rows) = count;
  }
  return slice;
}

std::string MemberCheck::run() {
  for (const int ranks : family_.ranks) {
    if (std::string text = at_ranks(ranks); !text.empty()) return fmt::format("{}: {}", problem_.describe(), text);
  }
  return {};
}

std::string MemberCheck::at_ranks(int ranks) {
  problem_ = problem_at(member_, ranks);
  data_ = make_ranks(problem_);
  const auto results = default_groups().run(problem_, data_);
  if (!results) return results.error().message;
  if (!all_same(*results)) return "the ranks have different bits";
  const Outputs& whole = results->front();
  if (first_.empty()) first_.push_back(whole);
  if (family_.split && first_.front() != whole)
    return fmt::format("other bits than at {} ranks", family_.ranks.front());
  std::string text = compare_result(problem_, reference(problem_, data_, 0), whole.y, whole.norm);
  const bool end = ranks == family_.ranks.front() || ranks == family_.ranks.back();
  if (text.empty() && end && family_.wants("rows")) text = rows(whole);
  if (text.empty() && family_.wants("windows")) text = windows(whole);
  if (text.empty() && family_.wants("replicated")) text = replicated(whole);
  return text;
}

std::string MemberCheck::batch(int64_t first, int64_t count, const Outputs& whole) {
  Problem part = problem_;
  part.m = count;
  std::vector<RankData> data;
  for (const RankData& rank : data_) data.push_back(row_slice(rank, first, count));
  const auto results = default_groups().run(part, data);
  if (!results) return results.error().message;
  const size_t at = dtype_bytes(problem_.output, first * problem_.n);
  const Outputs& got = results->front();
  const bool floats = is_rows(got.y, whole.y, at) && is_rows(got.norm, whole.norm, at);
  const bool integers = is_rows(got.quantised, whole.quantised, static_cast<size_t>(first * problem_.n)) &&
                        is_rows(got.row_scale, whole.row_scale, static_cast<size_t>(first) * sizeof(float));
  if (floats && integers) return {};
  return fmt::format("rows {} to {} by themselves have other bits", first, first + count - 1);
}

std::string MemberCheck::rows(const Outputs& whole) {
  const int64_t m = problem_.m;
  for (const auto& [first, count] :
       {std::pair<int64_t, int64_t>{0, 1}, {m - 1, 1}, {m / 2, 1}, {0, 2}, {1, 3}, {1, 6}}) {
    if (first + count > m) continue;
    if (std::string text = batch(first, count, whole); !text.empty()) return text;
  }
  return {};
}

std::string MemberCheck::windows(const Outputs& whole) {
  for (const size_t kib : {64, 1024, 8192, 65536}) {
    if (kib > 8192 && problem_.ranks > 2) continue;
    Groups groups(kib << 10);
    const auto results = groups.run(problem_, data_);
    if (!results) return results.error().message;
    if (!all_same(*results) || results->front() != whole) return fmt::format("other bits at a window of {} KiB", kib);
  }
  return {};
}

std::string MemberCheck::replicated(const Outputs& whole) {
  if (!problem_.tail) return {};
  Problem other = problem_;
  other.replicated = true;
  const auto results = default_groups().run(other, data_);
  if (!results) return results.error().message;
  return all_same(*results) && results->front() == whole ? "" : "residual_replicated changes bits";
}

std::string hash_of(std::span<const Outputs> ranks) {
  uint64_t hash = kHashStart;
  fold(hash, ranks);
  return fmt::format("{:016x}", hash);
}

std::string hash_of_everything() {
  uint64_t hash = kHashStart;
  for (const Family& family : read_families()) {
    for (const nlohmann::json& member : family.members) {
      for (const int ranks : std::set<int>{family.ranks.front(), family.ranks.back()}) {
        const Problem problem = problem_at(member, ranks);
        const auto results = default_groups().run(problem, make_ranks(problem));
        if (!results) return results.error().message;
        fold(hash, *results);
      }
    }
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace tandem::fused
