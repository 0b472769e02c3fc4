// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

// The counters called, ready, done, free and the memory they guard, as docs/protocol.md has them: exchanges in turns
// (collectives) and exchanges of rows (the fused product), one operator after the other, death at every step.
namespace tandem::model {

inline constexpr int kMostRanks = 4;
inline constexpr int kCells = 4;  // of a window: slots 0, 1 and results 0, 1, or half 0 (two cells) and half 1

enum class Kind : uint8_t { rows, one_shot, everyone, from_root, to_root, uneven };

struct Operator {
  Kind kind = Kind::rows;
  int turns = 1;  // chunks of rows; of uneven: of rank 0, the others have one
  int root = 0;
  int buffers = 2;  // of rows: slots, and results; 1 where the window holds no more
};

// What is left out or turned round, to see that the explorer finds it.
enum class Mutation : uint8_t {
  none,
  no_wait_for_free,     // a slot is written again although peers may still read it
  slot_one_step_early,  // the wait is for the exchange before the right one
  ready_before_write,
  no_wait_for_ready,
  no_wait_for_done,
  free_before_read,
  free_never_published,
  no_wait_for_call,
  one_fingerprint_slot,
  one_half,
  no_wait_for_readers,   // from a root, to a root
  ahead_without_asking,  // first half written before the peers have read the last one
  ahead_after_rows,      // the same after an operator that uses the window in another way
  shorter_rank_says_nothing,
  count
};
const char* name_of(Mutation mutation);

class WindowsModel {
 public:
  struct State {
    uint8_t pc[kMostRanks];
    uint8_t status[kMostRanks];
    uint8_t counters[kMostRanks][4];
    uint8_t cells[kMostRanks][kCells];
    uint8_t slots[kMostRanks][2];  // fingerprints: number of the operator
    uint8_t wrong;
    uint8_t deaths;
  };

  WindowsModel(int ranks, const std::vector<Operator>& operators, int deaths, Mutation mutation = Mutation::none);

  State initial() const;
  void next(const State& state, std::vector<State>& out) const;
  std::string wrong(const State& state) const;
  bool over(const State& state) const;

 private:
  enum Counter : uint8_t { called, ready, done, free };
  enum Status : uint8_t { running, finished, failed, dead };
  struct Wait {
    int peer;
    Counter counter;
    int value;
  };
  struct Read {
    int peer;
    int cell;  // kCells + slot: a fingerprint
    int stamp;
  };
  // Waits, then one effect.
  struct Action {
    std::vector<Wait> waits;
    enum Effect : uint8_t { nothing, count, write, write_half, write_slot, read } effect = nothing;
    int place = 0, value = 0;
    std::vector<Read> reads = {};
    bool enters = false;  // looks at the communicator's health
  };
  using Program = std::vector<Action>;
  struct Builder;

  bool may_go(const State& state, const Action& action) const;
  bool broken(const State& state) const;
  State step(const State& state, int rank) const;

  int ranks_, deaths_;
  std::vector<Program> programs_;
};

}  // namespace tandem::model
