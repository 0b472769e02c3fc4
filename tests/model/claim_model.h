// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

// How the ranks of a dead communicator agree on one root cause (Board::settle): a claim by compare-exchange, words
// written, then `published`. Ranks die at every step of it.
namespace tandem::model {

enum class ClaimMutation : uint8_t {
  none,
  claim_is_no_exchange,  // read, then written
  published_before_written,
  loser_keeps_its_reason,
  no_patience,  // waits for the claimant's words for ever
  count
};
const char* name_of(ClaimMutation mutation);

class ClaimModel {
 public:
  static constexpr int kMost = 4;
  struct State {
    uint8_t pc[kMost];
    uint8_t alive[kMost];
    uint8_t own[kMost];      // 1 + culprit this rank would name; 0 while it knows of none
    uint8_t seen[kMost];     // claim as it read it
    uint8_t text[kMost][2];  // what it wrote: two parts of one text
    uint8_t published[kMost];
    uint8_t result[kMost];  // what it returns: 1 + culprit
    uint8_t claim;          // 1 + rank
    uint8_t deaths;
    uint8_t aborts;
    uint8_t wrong;
  };

  ClaimModel(int ranks, int deaths, ClaimMutation mutation = ClaimMutation::none)
      : ranks_(ranks), deaths_(deaths), mutation_(mutation) {}

  State initial() const;
  void next(const State& state, std::vector<State>& out) const;
  std::string wrong(const State& state) const;
  bool over(const State& state) const;

 private:
  enum Step : uint8_t { working, claiming, storing, looking, taking, writing, writing_rest, publishing, done };
  void notice(const State& state, int rank, std::vector<State>& out) const;
  void take(const State& state, int rank, std::vector<State>& out) const;
  void go(const State& state, int rank, std::vector<State>& out) const;

  int ranks_, deaths_;
  ClaimMutation mutation_;
};

}  // namespace tandem::model
