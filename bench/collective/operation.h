// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/comm/collectives.h"

// The collectives `tandem bench collective` knows: sizes as nccl-tests count them, what every rank gives, and what it
// must find. Values are small whole numbers, so every order of a sum is exact in every type.
namespace tandem::bench {

struct Operation {
  std::string_view name;
  bool reduces = false, rooted = false;
  bool per_rank = false;  // `count` is one rank's block of the largest buffer
  bool uneven = false;    // parts of 1 : 2 : 1 : 2 ...
  bool in_place = false, out_of_place = true;
  double bus_of_ranks = 1;  // bus bandwidth = algorithm bandwidth * this * (ranks - 1) / ranks; 0: the same
};
const std::vector<Operation>& operations();
const Operation* find_operation(std::string_view name);
double bus_factor(const Operation& operation, int ranks);

// nccl-tests' and hccl_test's words for types and combinations.
DType type_from_word(std::string_view word);
std::string_view word_of(DType type);
// False when there is no such combination.
bool combination_from_word(std::string_view word, Combine& how);
std::string_view word_of(Combine how);

// A stretch of elements: `count` values of rank `source` (-1: all ranks combined) from value `first` on, at `at`.
struct Stretch {
  int source = 0;
  int64_t first = 0, count = 0, at = 0;
};

// One operation at one size, as one rank sees it.
struct Problem {
  const Operation* operation = nullptr;
  DType type = DType::f32;
  Combine how = Combine::sum;
  int root = 0, rank = 0, ranks = 1;
  int64_t count = 0;                           // as the call takes it
  int64_t elements = 0;                        // of the largest buffer
  std::vector<int64_t> counts, displacements;  // uneven ones; of all_to_all_v what this rank sends
  Stretch given;                               // at 0 of `in`; count 0 where this rank gives nothing
  std::vector<Stretch> wanted;                 // of `out`
  // In place: where `in` and `out` begin in one buffer of `elements`.
  int64_t in_at = 0, out_at = 0;

  size_t bytes() const;
  int64_t in_elements() const { return given.count; }
  int64_t out_elements() const;
};
// `bytes` is cut down to whole elements of all ranks.
Problem make_problem(const Operation& operation, DType type, Combine how, int root, int rank, int ranks, size_t bytes);

Status call(const Problem& problem, Communicator& comm, const void* in, void* out, Lane& lane);

// Values of all ranks for one type and combination; they repeat after a prime number of elements.
class Values {
 public:
  Values(DType type, Combine how, int ranks);
  void write(const Stretch& stretch, void* to) const;
  // Elements of `got` that are not those of the stretch.
  int64_t count_wrong(const Stretch& stretch, const void* got) const;

 private:
  const std::byte* of(int source) const;
  size_t element_;
  std::vector<std::vector<std::byte>> tables_;  // a rank each, then all combined
};

}  // namespace tandem::bench
