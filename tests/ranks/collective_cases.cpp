// SPDX-License-Identifier: Apache-2.0
#include "collective_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "tandem/base/half.h"

namespace tandem::test {
namespace {

__extension__ using Wide = __int128;

constexpr auto kUntouched = std::byte{0xa5};

uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

size_t size_of(DType type) { return static_cast<size_t>(dtype_bits(type)) / 8; }
bool is_signed(DType type) {
  return type == DType::i8 || type == DType::i16 || type == DType::i32 || type == DType::i64;
}

// --- floats: held as double, rounded as the type says

double load_float(DType type, const std::byte* from) {
  if (type == DType::f64) {
    double value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
  if (type == DType::f32) {
    float value;
    std::memcpy(&value, from, sizeof value);
    return static_cast<double>(value);
  }
  uint16_t bits;
  std::memcpy(&bits, from, sizeof bits);
  if (type == DType::f16) return static_cast<double>(to_float(__builtin_bit_cast(f16, bits)));
  return static_cast<double>(to_float(__builtin_bit_cast(bf16, bits)));
}

void store_float(DType type, double value, std::byte* to) {
  if (type == DType::f64) {
    const uint64_t canonical_nan = 0x7ff8000000000000u;
    std::memcpy(to, &value, sizeof value);
    if (std::isnan(value)) std::memcpy(to, &canonical_nan, sizeof canonical_nan);
    return;
  }
  const float single = canonical(static_cast<float>(value));
  if (type == DType::f32) {
    std::memcpy(to, &single, sizeof single);
  } else if (type == DType::f16) {
    const f16 half = to_f16(single);
    std::memcpy(to, &half, sizeof half);
  } else {
    const bf16 half = to_bf16(single);
    std::memcpy(to, &half, sizeof half);
  }
}

template <class T>
T pick(Combine how, T a, T b) {
  if (std::isnan(a) || std::isnan(b)) return static_cast<T>(NAN);
  const bool less = a < b || (a == b && std::signbit(a) && !std::signbit(b));
  return (how == Combine::maximum) == less ? b : a;
}

template <class T>
T combine_two(Combine how, T a, T b) {
  if (how == Combine::product) return a * b;
  if (how == Combine::maximum || how == Combine::minimum) return pick(how, a, b);
  return a + b;
}

// The order of tree() written out anew: the first half is the largest power of two below the count.
template <class T>
T combine_tree(Combine how, const T* values, size_t count) {
  if (count == 1) return values[0];
  size_t half = 1;
  while (2 * half < count) half *= 2;
  return combine_two(how, combine_tree(how, values, half), combine_tree(how, values + half, count - half));
}

template <class T>
double combine_floats(Combine how, const std::vector<double>& values) {
  std::vector<T> narrow;
  for (const double value : values) narrow.push_back(static_cast<T>(value));
  T result = combine_tree(how, narrow.data(), narrow.size());
  if (how == Combine::average) result *= static_cast<T>(1) / static_cast<T>(values.size());
  return static_cast<double>(result);
}

// --- integers: wide, cut to the type

Wide load_integer(DType type, const std::byte* from) {
  uint64_t bits = 0;
  std::memcpy(&bits, from, size_of(type));
  const auto unused = static_cast<int>(64 - 8 * size_of(type));
  if (is_signed(type)) return static_cast<int64_t>(bits << unused) >> unused;
  return bits;
}

Wide combine_integers(DType type, Combine how, const std::vector<Wide>& values) {
  Wide result = values[0];
  for (size_t i = 1; i < values.size(); ++i) {
    if (how == Combine::product) {
      const auto product = static_cast<uint64_t>(result) * static_cast<uint64_t>(values[i]);
      result = is_signed(type) ? static_cast<Wide>(static_cast<int64_t>(product)) : static_cast<Wide>(product);
    } else if (how == Combine::maximum) {
      result = std::max(result, values[i]);
    } else if (how == Combine::minimum) {
      result = std::min(result, values[i]);
    } else {
      result += values[i];
    }
  }
  return how == Combine::average ? result / static_cast<Wide>(values.size()) : result;
}

// --- data

// Element i of what rank r gives.
void fill_element(const CollectiveCase& c, int rank, int64_t i, std::byte* to) {
  const uint64_t random = mix(static_cast<uint64_t>(i) * 64 + static_cast<uint64_t>(rank) + 1);
  if (!is_float(c.type)) {
    std::memcpy(to, &random, size_of(c.type));
    return;
  }
  double value = (static_cast<double>(random % 4001) - 2000) * 0.037;
  if (c.how == Combine::product) value = 1 + (static_cast<double>(random % 200) - 100) / 256;
  if (i % 97 == 5) value = rank % 2 == 0 ? 0.0 : -0.0;
  if (i % 101 == 7 && rank == 1) value = NAN;
  store_float(c.type, value, to);
}

Bytes input_of(const CollectiveCase& c, int rank, int64_t elements) {
  Bytes data(static_cast<size_t>(elements) * size_of(c.type));
  for (int64_t i = 0; i < elements; ++i)
    fill_element(c, rank, i, data.data() + static_cast<size_t>(i) * size_of(c.type));
  return data;
}

int64_t extent(const std::vector<int64_t>& counts, const std::vector<int64_t>& at) {
  int64_t end = 0;
  for (size_t i = 0; i < counts.size(); ++i) end = std::max(end, counts[i] > 0 ? at[i] + counts[i] : 0);
  return end;
}

int64_t sum(const std::vector<int64_t>& values) {
  int64_t total = 0;
  for (const int64_t value : values) total += value;
  return total;
}

struct Extents {
  int64_t in = 0, out = 0;
};

Extents extents_of(const CollectiveCase& c, int rank) {
  const auto own = static_cast<size_t>(rank);
  const bool is_root = rank == c.root;
  const int64_t all = c.count * c.ranks;
  if (c.op == "reduce_scatter") return {all, c.count};
  if (c.op == "reduce_scatter_v") return {extent(c.counts, c.at), c.counts[own]};
  if (c.op == "all_gather") return {c.count, all};
  if (c.op == "all_gather_v") return {c.counts[own], extent(c.counts, c.at)};
  if (c.op == "scatter") return {is_root ? all : 0, c.count};
  if (c.op == "gather") return {c.count, is_root ? all : 0};
  if (c.op == "all_to_all") return {all, all};
  if (c.op == "reduce") return {c.count, is_root ? c.count : 0};
  if (c.op == "broadcast") return {is_root ? c.count : 0, c.count};
  if (!c.sends.empty()) {
    const ExchangeParts parts = exchange_parts(c, rank);
    return {sum(parts.send_counts), extent(parts.receive_counts, parts.receive_at)};
  }
  return {c.count, c.count};
}

// Elements [first, first + count) of all ranks' inputs, combined, as the type's bytes.
Bytes combined(const CollectiveCase& c, int64_t first, int64_t count) {
  const size_t size = size_of(c.type);
  Bytes result(static_cast<size_t>(count) * size);
  std::vector<double> floats(static_cast<size_t>(c.ranks));
  std::vector<Wide> integers(static_cast<size_t>(c.ranks));
  std::byte element[8];
  for (int64_t i = 0; i < count; ++i) {
    std::byte* to = result.data() + static_cast<size_t>(i) * size;
    for (size_t r = 0; r < static_cast<size_t>(c.ranks); ++r) {
      fill_element(c, static_cast<int>(r), first + i, element);
      if (is_float(c.type)) {
        floats[r] = load_float(c.type, element);
      } else {
        integers[r] = load_integer(c.type, element);
      }
    }
    if (is_float(c.type)) {
      const bool wide = c.type == DType::f64;
      store_float(c.type, wide ? combine_floats<double>(c.how, floats) : combine_floats<float>(c.how, floats), to);
    } else {
      const auto bits = static_cast<uint64_t>(combine_integers(c.type, c.how, integers));
      std::memcpy(to, &bits, size);
    }
  }
  return result;
}

// Puts `count` elements of rank `from`'s input, from element `first` on, at element `at` of the output.
void place(const CollectiveCase& c, Bytes& out, int64_t at, int from, int64_t first, int64_t count) {
  const size_t size = size_of(c.type);
  for (int64_t i = 0; i < count; ++i) fill_element(c, from, first + i, out.data() + static_cast<size_t>(at + i) * size);
}

void place(const CollectiveCase& c, Bytes& out, int64_t first, int64_t count) {
  const Bytes result = combined(c, first, count);
  std::copy(result.begin(), result.end(), out.begin());
}

// The part of rank r of a combination: first element in the inputs, and how many.
std::pair<int64_t, int64_t> combined_part(const CollectiveCase& c, int rank) {
  const auto own = static_cast<size_t>(rank);
  if (c.op == "reduce_scatter") return {c.count * rank, c.count};
  if (c.op == "reduce_scatter_v") return {c.at[own], c.counts[own]};
  return {0, c.op == "reduce" && rank != c.root ? 0 : c.count};
}

void place_moved(const CollectiveCase& c, int rank, Bytes& out) {
  const auto own = static_cast<size_t>(rank);
  if (c.op == "broadcast") place(c, out, 0, c.root, 0, c.count);
  if (c.op == "scatter") place(c, out, 0, c.root, c.count * rank, c.count);
  for (int peer = 0; peer < c.ranks; ++peer) {
    const auto index = static_cast<size_t>(peer);
    if (c.op == "all_gather" || (c.op == "gather" && rank == c.root)) place(c, out, c.count * peer, peer, 0, c.count);
    if (c.op == "all_to_all") place(c, out, c.count * peer, peer, c.count * rank, c.count);
    if (c.op == "all_gather_v") place(c, out, c.at[index], peer, 0, c.counts[index]);
    if (c.sends.empty()) continue;
    const ExchangeParts mine = exchange_parts(c, rank), theirs = exchange_parts(c, peer);
    place(c, out, mine.receive_at[index], peer, theirs.send_at[own], mine.receive_counts[index]);
  }
}

// Where `in` lies in `out` when the two are one buffer.
int64_t input_inside(const CollectiveCase& c, int rank) {
  if (c.op == "all_gather" || (c.op == "gather" && rank == c.root)) return c.count * rank;
  return 0;
}
// Where `out` lies in `in` when that is the larger one.
int64_t output_inside(const CollectiveCase& c, int rank) {
  if (c.op == "reduce_scatter" || (c.op == "scatter" && rank == c.root)) return c.count * rank;
  return 0;
}

CollectiveBuffers merge(const CollectiveCase& c, int rank, const Bytes& in, Bytes out) {
  CollectiveBuffers buffers;
  buffers.in_at = static_cast<size_t>(input_inside(c, rank)) * size_of(c.type);
  buffers.out_at = static_cast<size_t>(output_inside(c, rank)) * size_of(c.type);
  buffers.out = std::move(out);
  buffers.out.resize(std::max({buffers.out.size(), buffers.in_at + in.size()}), kUntouched);
  std::copy(in.begin(), in.end(), buffers.out.begin() + static_cast<std::ptrdiff_t>(buffers.in_at));
  return buffers;
}

// --- reading

std::vector<nlohmann::json> list_of(const nlohmann::json& family, const char* key, const nlohmann::json& fallback) {
  if (!family.contains(key)) return {fallback};
  return family[key].get<std::vector<nlohmann::json>>();
}

Combine combine_from(const std::string& name) {
  static const std::map<std::string, Combine> names = {{"sum", Combine::sum},
                                                       {"product", Combine::product},
                                                       {"maximum", Combine::maximum},
                                                       {"minimum", Combine::minimum},
                                                       {"average", Combine::average}};
  return names.at(name);
}

void add_layouts(const nlohmann::json& family, const CollectiveCase& base, std::vector<CollectiveCase>& cases) {
  for (const auto& parts : list_of(family, "parts", nullptr)) {
    for (const auto& sends : list_of(family, "sends", nullptr)) {
      CollectiveCase c = base;
      if (!parts.is_null()) {
        c.counts = parts["counts"].get<std::vector<int64_t>>();
        c.at = parts["at"].get<std::vector<int64_t>>();
      }
      for (const auto& row : sends) {
        for (const auto& count : row) c.sends.push_back(count.get<int64_t>());
      }
      if (!sends.is_null() && sends.size() != static_cast<size_t>(c.ranks)) continue;
      cases.push_back(c);
    }
  }
}

void add_family(const nlohmann::json& family, std::vector<CollectiveCase>& cases) {
  CollectiveCase c;
  c.family = family["name"];
  for (const auto& op : family["op"])
    for (const auto& how : list_of(family, "how", "sum"))
      for (const auto& type : family["type"])
        for (const auto& count : list_of(family, "count", 0))
          for (const auto& ranks : family["ranks"])
            for (const auto& in_place : family["in_place"]) {
              c.op = op;
              c.how = combine_from(how);
              c.type = dtype_from_name(type.get<std::string>());
              c.count = count;
              c.ranks = ranks;
              c.root = c.rooted() ? c.ranks - 1 : 0;
              c.in_place = in_place;
              add_layouts(family, c, cases);
            }
}

}  // namespace

bool CollectiveCase::reduces() const { return op.find("reduce") != std::string::npos; }
bool CollectiveCase::rooted() const { return op == "reduce" || op == "broadcast" || op == "scatter" || op == "gather"; }

std::string CollectiveCase::text() const {
  return fmt::format("{}: {} how={} type={} ranks={} count={} root={}{} counts=[{}] at=[{}] sends=[{}]", family, op,
                     static_cast<int>(how), dtype_name(type), ranks, count, root, in_place ? " in place" : "",
                     fmt::join(counts, ","), fmt::join(at, ","), fmt::join(sends, ","));
}

std::vector<CollectiveCase> read_collective_cases() {
  std::ifstream file(TANDEM_SOURCE_DIR "/tests/cases/collectives.json");
  const nlohmann::json all = nlohmann::json::parse(file);
  std::vector<CollectiveCase> cases;
  for (const auto& family : all["families"]) add_family(family, cases);
  return cases;
}

// all_to_all_v leaves a gap before each part; the vc form packs them.
ExchangeParts exchange_parts(const CollectiveCase& c, int rank) {
  ExchangeParts parts;
  const int64_t gap = c.op == "all_to_all_v" ? 3 : 0;
  int64_t sent = 0, received = 0;
  const auto ranks = static_cast<size_t>(c.ranks), own = static_cast<size_t>(rank);
  for (size_t peer = 0; peer < ranks; ++peer) {
    parts.send_counts.push_back(c.sends[own * ranks + peer]);
    parts.send_at.push_back(sent);
    parts.receive_counts.push_back(c.sends[peer * ranks + own]);
    parts.receive_at.push_back(received += gap);
    sent += parts.send_counts.back();
    received += parts.receive_counts.back();
  }
  return parts;
}

CollectiveBuffers make_buffers(const CollectiveCase& c, int rank) {
  const Extents extents = extents_of(c, rank);
  Bytes in = input_of(c, rank, extents.in);
  Bytes out(static_cast<size_t>(extents.out) * size_of(c.type), kUntouched);
  if (c.in_place || c.op == "broadcast") return merge(c, rank, in, std::move(out));
  return {std::move(in), std::move(out), 0, 0};
}

Bytes expected_output(const CollectiveCase& c, int rank) {
  CollectiveBuffers buffers = make_buffers(c, rank);
  Bytes result(buffers.out.begin() + static_cast<std::ptrdiff_t>(buffers.out_at), buffers.out.end());
  if (c.reduces()) {
    const auto [first, count] = combined_part(c, rank);
    place(c, result, first, count);
  } else {
    place_moved(c, rank, result);
  }
  std::copy(result.begin(), result.end(), buffers.out.begin() + static_cast<std::ptrdiff_t>(buffers.out_at));
  return buffers.out;
}

std::string outside_bound(const CollectiveCase& c, int rank, const Bytes& got) {
  if (!c.reduces() || !is_float(c.type) || (c.how != Combine::sum && c.how != Combine::average)) return {};
  const auto [first, count] = combined_part(c, rank);
  const double unit = c.type == DType::f64 ? 0x1p-53 : 0x1p-24;
  const double last = c.type == DType::f16 ? 0x1p-11 : c.type == DType::bf16 ? 0x1p-8 : 0;
  const double share = c.how == Combine::average ? 1.0 / c.ranks : 1.0;
  std::byte element[8];
  const size_t out_at = make_buffers(c, rank).out_at;
  for (int64_t i = 0; i < count; ++i) {
    double exact = 0, magnitude = 0;
    for (int r = 0; r < c.ranks; ++r) {
      fill_element(c, r, first + i, element);
      exact += load_float(c.type, element);
      magnitude += std::fabs(load_float(c.type, element));
    }
    const double value = load_float(c.type, got.data() + out_at + static_cast<size_t>(i) * size_of(c.type));
    if (std::isnan(exact) && std::isnan(value)) continue;
    const double bound = (unit * (c.ranks + 2) * magnitude + last * std::fabs(exact)) * share + 1e-300;
    if (std::fabs(value - exact * share) <= bound) continue;
    return fmt::format("element {}: {} where {} +- {} was expected", i, value, exact * share, bound);
  }
  return {};
}

Status call_collective(const CollectiveCase& c, Communicator& comm, const std::byte* in, std::byte* out, Lane& lane) {
  const Parts parts{c.counts, c.at};
  if (c.op == "all_reduce") return all_reduce(comm, in, out, c.count, c.type, c.how, lane);
  if (c.op == "reduce") return reduce(comm, in, out, c.count, c.type, c.how, c.root, lane);
  if (c.op == "reduce_scatter") return reduce_scatter(comm, in, out, c.count, c.type, c.how, lane);
  if (c.op == "reduce_scatter_v") return reduce_scatter_v(comm, in, parts, out, c.type, c.how, lane);
  if (c.op == "all_gather") return all_gather(comm, in, out, c.count, c.type, lane);
  if (c.op == "all_gather_v") return all_gather_v(comm, in, out, parts, c.type, lane);
  if (c.op == "broadcast") return broadcast(comm, out, c.count, c.type, c.root, lane);
  if (c.op == "scatter") return scatter(comm, in, out, c.count, c.type, c.root, lane);
  if (c.op == "gather") return gather(comm, in, out, c.count, c.type, c.root, lane);
  if (c.op == "all_to_all") return all_to_all(comm, in, out, c.count, c.type, lane);
  if (c.op == "all_to_all_vc") return all_to_all_vc(comm, in, out, c.sends, c.type, lane);
  const ExchangeParts e = exchange_parts(c, comm.rank());
  return all_to_all_v(comm, in, {e.send_counts, e.send_at}, out, {e.receive_counts, e.receive_at}, c.type, lane);
}

}  // namespace tandem::test
