// SPDX-License-Identifier: Apache-2.0
// The C++ collectives, ranks as threads.
#include <functional>
#include <map>

#include "tandem/comm/collectives.h"
#include "tandem/exec/device.h"
#include "tandem/exec/stream.h"
#include "tests/group_c/cases.h"

namespace tandem::group_c {
namespace {

using Work = std::function<Status(int rank, Communicator&, Lane&)>;

// The first status that is not success, in rank order.
Status on_ranks(int ranks, const Work& work) {
  auto comms = Communicator::local(ranks);
  if (!comms) return fail(comms.error());
  std::vector<std::unique_ptr<Stream>> streams;
  for (int rank = 0; rank < ranks; ++rank) {
    auto device = Device::get(rank);
    if (!device) return fail(device.error());
    auto stream = Stream::create(**device);
    if (!stream) return fail(stream.error());
    streams.push_back(std::move(*stream));
    Communicator& comm = *(*comms)[static_cast<size_t>(rank)];
    const auto submitted = streams.back()->submit([&, rank](Lane& lane) { return work(rank, comm, lane); });
    if (!submitted) return submitted;
  }
  Status first;
  for (const auto& stream : streams) {
    if (auto status = stream->synchronize(); !status && first) first = status;
  }
  return first;
}

Combine how_of(const std::string& name) {
  static const std::map<std::string, Combine> all = {{"sum", Combine::sum},
                                                     {"prod", Combine::product},
                                                     {"max", Combine::maximum},
                                                     {"min", Combine::minimum},
                                                     {"avg", Combine::average}};
  return all.at(name);
}

std::vector<int64_t> scaled(std::vector<int64_t> numbers, int64_t by) {
  for (int64_t& number : numbers) number *= by;
  return numbers;
}

// C35: what ranks give differently is every rank's error.
std::string other_counts() {
  const std::vector<float> x(5, 1);
  float y[5];
  const auto status = on_ranks(2, [&](int rank, Communicator& comm, Lane& lane) {
    const std::vector<int64_t> counts = rank == 0 ? std::vector<int64_t>{2, 3} : std::vector<int64_t>{1, 4},
                               at = {0, 1};
    float own[5];
    return reduce_scatter_v(comm, x.data(), {counts, at}, rank == 0 ? y : own, DType::f32, Combine::sum, lane);
  });
  return !status && status.error().code == ErrorCode::mismatch ? "" : "C++: no mismatch";
}

// C36: rows scattered, a step on each rank's rows, rows gathered: the bits of all_reduce and the step on all rows.
std::string batch_of_five() {
  constexpr int64_t kRows = 5, kColumns = 37;
  const std::vector<int64_t> counts = {2 * kColumns, 3 * kColumns}, at = {0, 2 * kColumns};
  const auto step = [](std::vector<float>& rows) {
    for (float& value : rows) value = value * value - 0.25f;
  };
  std::vector<std::vector<float>> together(2), apart(2);
  const auto status = on_ranks(2, [&](int rank, Communicator& comm, Lane& lane) -> Status {
    std::vector<float> x(kRows * kColumns), part(static_cast<size_t>(counts[static_cast<size_t>(rank)]));
    for (size_t i = 0; i < x.size(); ++i) x[i] = 0.1f * static_cast<float>(i % 17) + 0.3f * static_cast<float>(rank);
    auto &whole = together[static_cast<size_t>(rank)], &gathered = apart[static_cast<size_t>(rank)];
    whole.resize(x.size()), gathered.resize(x.size());
    const auto count = static_cast<int64_t>(x.size());
    if (auto s = all_reduce(comm, x.data(), whole.data(), count, DType::f32, Combine::sum, lane); !s) return s;
    step(whole);
    if (auto s = reduce_scatter_v(comm, x.data(), {counts, at}, part.data(), DType::f32, Combine::sum, lane); !s)
      return s;
    step(part);
    return all_gather_v(comm, part.data(), gathered.data(), {counts, at}, DType::f32, lane);
  });
  if (!status) return status.error().message;
  return together[0] == apart[0] && apart[0] == apart[1] && together[0] == together[1] ? "" : "C++: other bits";
}

}  // namespace

std::string run_cpp(const Case& c) {
  std::vector<Bytes> out;
  for (int rank = 0; rank < c.ranks; ++rank) out.emplace_back(c.bytes_of(rank));
  const auto counts = scaled(c.counts, c.scale()), at = scaled(c.at, c.scale());
  const auto status = on_ranks(c.ranks, [&](int rank, Communicator& comm, Lane& lane) {
    const auto r = static_cast<size_t>(rank);
    if (c.equal_parts()) {
      const int64_t count = c.rows * c.columns / c.ranks;
      return reduce_scatter(comm, c.x[r].data(), out[r].data(), count, c.dtype, how_of(c.how), lane);
    }
    return reduce_scatter_v(comm, c.x[r].data(), {counts, at}, out[r].data(), c.dtype, how_of(c.how), lane);
  });
  const bool refused = c.codes.contains("cpp");
  if (refused) return !status && status.error().code == ErrorCode::invalid_argument ? "" : "C++: not refused";
  if (!status) return "C++: " + status.error().message;
  return out == c.expect ? "" : "C++: other values";
}

std::vector<Property> cpp_properties() { return {{"C35", other_counts}, {"C36", batch_of_five}}; }

}  // namespace tandem::group_c
