// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "front/acl/product.h"
#include "front/atb/group.h"
#include "tandem/comm/collectives.h"

// Operations between ranks whose parts differ: ReduceScatterV and AllGatherV.
namespace tandem::atbfront {
namespace {

using namespace atb::infer;

// Parts in one unit, which is `factor` elements.
struct Counted {
  std::vector<int64_t> counts, displacements;
  int64_t own = 0;
  int64_t factor = 1;

  Parts view() const { return {counts, displacements}; }
};

// The numbers of input `index`: what its hostData holds, else the member of the parameters. Both have to agree.
Outcome<std::vector<int64_t>> numbers_of(const Run& run, size_t index, std::string_view name,
                                         const std::vector<int64_t>& member) {
  const auto count = static_cast<size_t>(dim(run.in_desc(index), 0));
  const auto* host = static_cast<const int64_t*>(run.host(index));
  if (host == nullptr && member.empty())
    return refuse(atb::ERROR_INVALID_PARAM, "{} (input {}) has no hostData, {} int64 wanted", name, index, count);
  if (!member.empty() && member.size() != count)
    return refuse(atb::ERROR_INVALID_PARAM, "{} of the parameters has {} numbers, {} wanted", name, member.size(),
                  count);
  if (host == nullptr) return member;
  std::vector<int64_t> numbers(host, host + count);
  const auto differ = std::mismatch(numbers.begin(), numbers.end(), member.begin(), member.end());
  if (!member.empty() && differ.first != numbers.end())
    return refuse(atb::ERROR_INVALID_PARAM, "{}[{}] is {} in hostData of input {} and {} in the parameters, one wanted",
                  name, differ.first - numbers.begin(), *differ.first, index, *differ.second);
  return numbers;
}

// None negative, and a sum nobody has to fear.
Outcome<> check_numbers(std::string_view name, const std::vector<int64_t>& numbers) {
  constexpr int64_t kMost = int64_t{1} << 48;
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] < 0 || numbers[i] > kMost)
      return refuse(atb::ERROR_INVALID_PARAM, "{}[{}] is {}, 0 to 2^48 wanted", name, i, numbers[i]);
  }
  return {};
}

// Rows of `width` elements where the counts add up to the rows, elements where they add up to all of them.
Outcome<int64_t> unit_of(std::string_view name, const std::vector<int64_t>& counts, int64_t rows, int64_t width) {
  const int64_t sum = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  if (sum == rows || sum == 0) return width;
  if (sum == rows * width) return int64_t{1};
  return refuse(atb::ERROR_INVALID_PARAM, "{} add up to {}, {} (rows) or {} (elements) wanted", name, sum, rows,
                rows * width);
}

// Parts that lie in `extent` units.
Outcome<> check_places(std::string_view name, const Counted& parts, int64_t extent) {
  for (size_t i = 0; i < parts.counts.size(); ++i) {
    if (parts.counts[i] <= extent && parts.displacements[i] <= extent - parts.counts[i]) continue;
    return refuse(atb::ERROR_INVALID_PARAM, "{}[{}] is {} with a count of {}, {} at most wanted", name, i,
                  parts.displacements[i], parts.counts[i], extent - std::min(extent, parts.counts[i]));
  }
  return {};
}

void to_elements(Counted& parts) {
  for (auto* numbers : {&parts.counts, &parts.displacements}) {
    for (int64_t& number : *numbers) number *= parts.factor;
  }
}

void check_list(Wanted& wanted, size_t index, std::string_view name, int64_t length) {
  wanted.dtype(index, name, {ACL_INT64}).rank(index, name, 1, 1).dim(index, name, 0, length);
}

// --- ReduceScatterV

Outcome<> check_scatter(const ReduceScatterVParam& param) {
  if (const auto fine = check_group(group_of(param), "hccl"); !fine) return fine;
  const auto how = combine_of(param.reduceType);
  return how ? Outcome<>{} : refuse(how.error());
}

template <class P>
Arity five_to_one(const P&) {
  return {5, 1};
}

Outcome<Descs> infer_scatter(const ReduceScatterVParam& param, const Descs& in) {
  const int ranks = size_of(group_of(param));
  const bool narrow = in[0].dtype == ACL_INT16 || in[0].dtype == ACL_BF16;
  Wanted wanted(in);
  wanted.that(param.reduceType != "prod" || !narrow, atb::ERROR_INVALID_TENSOR_DTYPE,
              "x is {} with prod, no int16 or bf16 wanted", describe(in[0]));
  wanted.dtype(0, "x", {ACL_FLOAT16, ACL_INT8, ACL_BF16}).rank(0, "x", 2, 2);
  check_list(wanted, 1, "sendCounts", ranks);
  check_list(wanted, 2, "sdispls", ranks);
  check_list(wanted, 3, "recvCount", 1);
  wanted.dtype(4, "y", {ACL_FLOAT16}).rank(4, "y", 1, 1);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return Descs{desc_of(in[0].dtype, in[0].format, {dim(in[4], 0), dim(in[0], 1)})};
}

Outcome<Counted> parts_to_send(const ReduceScatterVParam& param, const Run& run) {
  const auto own = static_cast<size_t>(rank_of(group_of(param)));
  std::vector<int64_t> received;
  if (param.recvCount != 0) received = {param.recvCount};
  if (run.host(3) == nullptr) received = {param.recvCount};  // 0 is a count too
  const auto counts = numbers_of(run, 1, "sendCounts", param.sendCounts);
  if (!counts) return refuse(counts.error());
  const auto displacements = numbers_of(run, 2, "sdispls", param.sdispls);
  if (!displacements) return refuse(displacements.error());
  const auto receive = numbers_of(run, 3, "recvCount", received);
  if (!receive) return refuse(receive.error());
  for (const auto& [name, list] :
       {std::pair("sendCounts", &*counts), std::pair("sdispls", &*displacements), std::pair("recvCount", &*receive)}) {
    if (const auto fine = check_numbers(name, *list); !fine) return refuse(fine.error());
  }
  if (own >= counts->size())
    return refuse(atb::ERROR_INVALID_PARAM, "sendCounts has {} numbers, more than rank {} wanted", counts->size(),
                  rank_of(group_of(param)));
  if ((*receive)[0] != (*counts)[own])
    return refuse(atb::ERROR_INVALID_PARAM, "recvCount is {}, sendCounts[{}] = {} wanted", (*receive)[0], own,
                  (*counts)[own]);
  return Counted{*counts, *displacements, (*receive)[0], 1};
}

Outcome<> build_scatter(const ReduceScatterVParam& param, Run& run) {
  const TensorView x = run.in(0), out = run.out(0);
  auto parts = parts_to_send(param, run);
  if (!parts) return refuse(parts.error());
  const auto unit = unit_of("sendCounts", parts->counts, x.dim(0), x.dim(1));
  if (!unit) return refuse(unit.error());
  const int64_t extent = *unit == 1 ? x.elements() : x.dim(0);
  if (const auto fine = check_places("sdispls", *parts, extent); !fine) return fine;
  if (parts->own * *unit != out.elements())
    return refuse(atb::ERROR_INVALID_PARAM, "y has {} rows of {} elements, recvCount {} wanted", out.dim(0), x.dim(1),
                  parts->own);
  parts->factor = *unit;
  to_elements(*parts);
  const std::string limit =
      front::refused_by_product({"reduce_scatter_v", x.dtype, size_of(group_of(param)), param.reduceType});
  if (!limit.empty()) return refuse(atb::ERROR_INVALID_PARAM, "{}", limit);
  const auto how = combine_of(param.reduceType);
  return collect(run, "ReduceScatterV", group_of(param), [=, parts = *parts](Communicator& comm, Lane& lane) {
    return reduce_scatter_v(comm, x.data, parts.view(), out.data, x.dtype, *how, lane);
  });
}

// --- AllGatherV: counts are elements, or rows of x.

Outcome<> check_gather(const AllGatherVParam& param) { return check_group(group_of(param), "hccl"); }

Outcome<Descs> infer_gather(const AllGatherVParam& param, const Descs& in) {
  const int ranks = size_of(group_of(param));
  Wanted wanted(in);
  wanted.dtype(0, "x", {ACL_FLOAT16, ACL_INT8, ACL_BF16, ACL_FLOAT, ACL_INT32}).rank(0, "x", 2, 2);
  check_list(wanted, 1, "sendCount", 1);
  check_list(wanted, 2, "recvCounts", ranks);
  check_list(wanted, 3, "rdispls", ranks);
  wanted.dtype(4, "y", {ACL_FLOAT16}).rank(4, "y", 1, 1);
  if (wanted.failed()) return refuse(wanted.outcome().error());
  return Descs{desc_of(in[0].dtype, in[0].format, {dim(in[4], 0), dim(in[0], 1)})};
}

Outcome<Counted> parts_to_gather(const AllGatherVParam& param, const Run& run) {
  const auto own = static_cast<size_t>(rank_of(group_of(param)));
  const auto send = numbers_of(run, 1, "sendCount", {});
  if (!send) return refuse(send.error());
  const auto counts = numbers_of(run, 2, "recvCounts", {});
  if (!counts) return refuse(counts.error());
  const auto displacements = numbers_of(run, 3, "rdispls", {});
  if (!displacements) return refuse(displacements.error());
  for (const auto& [name, list] :
       {std::pair("sendCount", &*send), std::pair("recvCounts", &*counts), std::pair("rdispls", &*displacements)}) {
    if (const auto fine = check_numbers(name, *list); !fine) return refuse(fine.error());
  }
  if (own >= counts->size())
    return refuse(atb::ERROR_INVALID_PARAM, "recvCounts has {} numbers, more than rank {} wanted", counts->size(),
                  rank_of(group_of(param)));
  if ((*send)[0] != (*counts)[own])
    return refuse(atb::ERROR_INVALID_PARAM, "sendCount is {}, recvCounts[{}] = {} wanted", (*send)[0], own,
                  (*counts)[own]);
  return Counted{*counts, *displacements, (*send)[0], 1};
}

Outcome<> build_gather(const AllGatherVParam& param, Run& run) {
  const TensorView x = run.in(0), out = run.out(0);
  auto parts = parts_to_gather(param, run);
  if (!parts) return refuse(parts.error());
  const auto unit = unit_of("recvCounts", parts->counts, out.dim(0), out.dim(1));
  if (!unit) return refuse(unit.error());
  const int64_t extent = *unit == 1 ? out.elements() : out.dim(0);
  if (const auto fine = check_places("rdispls", *parts, extent); !fine) return fine;
  if (parts->own * *unit != x.elements())
    return refuse(atb::ERROR_INVALID_PARAM, "sendCount is {}, that of x [{},{}] wanted", parts->own, x.dim(0),
                  x.dim(1));
  parts->factor = *unit;
  to_elements(*parts);
  return collect(run, "AllGatherV", group_of(param), [=, parts = *parts](Communicator& comm, Lane& lane) {
    return all_gather_v(comm, x.data, out.data, parts.view(), x.dtype, lane);
  });
}

constexpr uint32_t kLists = 1u << 1 | 1u << 2 | 1u << 3, kShape = 1u << 4;

}  // namespace

template <>
const Kind<ReduceScatterVParam>& kind_of() {
  static constexpr Kind<ReduceScatterVParam> kKind{
      "ReduceScatterVOperation", check_scatter, five_to_one<ReduceScatterVParam>, infer_scatter, build_scatter,
      kLists | kShape,           true};
  return kKind;
}
template <>
const Kind<AllGatherVParam>& kind_of() {
  static constexpr Kind<AllGatherVParam> kKind{
      "AllGatherVOperation", check_gather, five_to_one<AllGatherVParam>, infer_gather, build_gather,
      kLists | kShape,       true};
  return kKind;
}

}  // namespace tandem::atbfront

#pragma GCC visibility push(default)
namespace atb {

template Status CreateOperation(const infer::ReduceScatterVParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::ReduceScatterVParam&);
template Status UpdateOperationParam(Operation*, const infer::ReduceScatterVParam&);
template Status CreateOperation(const infer::AllGatherVParam&, Operation**);
template Status CloneOperationParam(const Operation*, infer::AllGatherVParam&);
template Status UpdateOperationParam(Operation*, const infer::AllGatherVParam&);

}  // namespace atb
#pragma GCC visibility pop
