// SPDX-License-Identifier: Apache-2.0
#include "windows_model.h"

#include <algorithm>

namespace tandem::model {
const char* name_of(Mutation mutation) {
  constexpr const char* kNames[] = {"none",
                                    "no_wait_for_free",
                                    "slot_one_step_early",
                                    "ready_before_write",
                                    "no_wait_for_ready",
                                    "no_wait_for_done",
                                    "free_before_read",
                                    "free_never_published",
                                    "no_wait_for_call",
                                    "one_fingerprint_slot",
                                    "one_half",
                                    "no_wait_for_readers",
                                    "ahead_without_asking",
                                    "ahead_after_rows",
                                    "shorter_rank_says_nothing"};
  return kNames[static_cast<int>(mutation)];
}

// The program of one rank, operator by operator; values are what Communicator, Exchange and RowExchange compute.
struct WindowsModel::Builder {
  int rank, ranks;
  Mutation mutation;
  Program program = {};
  int sequence = 0, base = 0, turns_base = 0, stamp = 0;

  bool is(Mutation m) const { return mutation == m; }
  int half(int turn) const { return is(Mutation::one_half) ? 0 : (base + 1 + turn) % 2; }

  std::vector<Wait> all(Counter counter, int value) const {
    std::vector<Wait> waits;
    for (int peer = 0; peer < ranks; ++peer) {
      if (peer != rank) waits.push_back({peer, counter, value});
    }
    return waits;
  }
  void count(Counter counter, int value) { program.push_back({{}, Action::count, counter, value}); }
  void wait(std::vector<Wait> waits) { program.push_back({std::move(waits), Action::nothing}); }
  int fingerprint_slot() const { return is(Mutation::one_fingerprint_slot) ? 0 : sequence % 2; }

  void enter() {
    program.push_back({{}, Action::nothing});
    program.back().enters = true;
  }
  // Impl::announce(): fingerprint, perhaps ready, called; then wait for all calls and compare.
  void announce(int ready_value) {
    ++sequence;
    program.push_back({{}, Action::write_slot, fingerprint_slot(), sequence});
    if (ready_value > 0) count(ready, ready_value);
    count(called, sequence);
    Action compare{is(Mutation::no_wait_for_call) ? std::vector<Wait>{} : all(called, sequence), Action::read};
    for (int peer = 0; peer < ranks; ++peer) compare.reads.push_back({peer, kCells + fingerprint_slot(), sequence});
    program.push_back(std::move(compare));
  }

  // --- RowExchange: slot = cell step % 2, result = cell 2 + chunk % 2

  void open(int step, int buffers) {
    if (step <= buffers || is(Mutation::no_wait_for_free)) return;
    const int early = is(Mutation::slot_one_step_early) ? 1 : 0;
    wait(all(free, base + step - buffers - early));
  }
  void read_all(std::vector<Wait> waits, int cell, int wanted) {
    Action action{std::move(waits), Action::read};
    for (int peer = 0; peer < ranks; ++peer) action.reads.push_back({peer, cell, wanted});
    program.push_back(std::move(action));
  }
  void rows(const Operator& op) {
    enter();
    announce(0);
    for (int chunk = 0; chunk < op.turns; ++chunk) row_chunk(chunk, op);
    count(done, base + op.turns);
    base += op.turns;
  }
  void row_chunk(int chunk, const Operator& op) {
    const int step = chunk + 1, slot = step % op.buffers, result = 2 + chunk % op.buffers;
    const int partial = ++stamp, sum = ++stamp;
    const bool one_shot = op.kind == Kind::one_shot;
    open(step, op.buffers);
    if (is(Mutation::ready_before_write)) count(ready, base + step);
    program.push_back({{}, Action::write, slot, partial});
    if (!is(Mutation::ready_before_write)) count(ready, base + step);
    if (is(Mutation::free_before_read)) count(free, base + step);
    read_all(is(Mutation::no_wait_for_ready) ? std::vector<Wait>{} : all(ready, base + step), slot, partial);
    if (!one_shot) {
      program.push_back({{}, Action::write, result, sum});
      count(done, base + step);
      read_all(is(Mutation::no_wait_for_done) ? std::vector<Wait>{} : all(done, base + step), result, sum);
    }
    if (!is(Mutation::free_before_read) && !is(Mutation::free_never_published)) count(free, base + step);
  }

  // --- Exchange: half v % 2

  bool reads_from(const Operator& op, int peer) const {
    if (op.kind == Kind::from_root) return peer == op.root;
    return op.kind != Kind::to_root || rank == op.root;
  }
  bool read_by(const Operator& op, int peer) const {
    if (op.kind == Kind::from_root) return rank == op.root;
    return op.kind != Kind::to_root || peer == op.root;
  }
  std::vector<Wait> waits_for(const Operator& op, bool readers, int value) const {
    std::vector<Wait> waits = all(ready, value);
    std::erase_if(waits, [&](const Wait& w) { return readers ? !read_by(op, w.peer) : !reads_from(op, w.peer); });
    return waits;
  }
  int turns_of(const Operator& op, int of_rank) const { return op.kind == Kind::uneven && of_rank != 0 ? 1 : op.turns; }

  void give(int turn, int first_stamp) { program.push_back({{}, Action::write_half, half(turn), first_stamp + turn}); }
  void take(const Operator& op, int turn, int first_stamp) {
    Action action{{}, Action::read};
    for (int peer = 0; peer < ranks; ++peer) {
      if (peer == rank || !reads_from(op, peer) || turn >= turns_of(op, peer)) continue;
      for (const int cell : {2 * half(turn), 2 * half(turn) + 1}) {
        action.reads.push_back({peer, cell, first_stamp + turn});
      }
    }
    program.push_back(std::move(action));
  }
  void turns(const Operator& op) {
    const int first_stamp = stamp + 1, mine = turns_of(op, rank);
    stamp += op.turns;
    enter();
    const bool ahead = turns_base == base || is(Mutation::ahead_after_rows);
    if (ahead && !is(Mutation::ahead_without_asking)) wait(all(ready, base));
    if (ahead) give(0, first_stamp);
    announce(ahead ? base + 1 : 0);
    for (int turn = 0; turn < mine; ++turn) {
      if (turn > 0 && !is(Mutation::no_wait_for_readers)) wait(waits_for(op, true, base + turn));
      if (turn > 0 || !ahead) {
        give(turn, first_stamp);
        count(ready, base + 1 + turn);
        wait(waits_for(op, false, base + 1 + turn));
      }
      take(op, turn, first_stamp);
    }
    if (mine < op.turns && !is(Mutation::shorter_rank_says_nothing)) count(ready, base + op.turns);
    count(done, base + op.turns);
    count(free, base + op.turns);
    base += op.turns;
    turns_base = base;
  }
};

WindowsModel::WindowsModel(int ranks, const std::vector<Operator>& operators, int deaths, Mutation mutation)
    : ranks_(ranks), deaths_(deaths) {
  for (int rank = 0; rank < ranks; ++rank) {
    Builder builder{rank, ranks, mutation};
    for (const Operator& op : operators) {
      const bool by_rows = op.kind == Kind::rows || op.kind == Kind::one_shot;
      if (by_rows) builder.rows(op);
      if (!by_rows) builder.turns(op);
    }
    programs_.push_back(std::move(builder.program));
  }
}

WindowsModel::State WindowsModel::initial() const {
  State state{};
  for (int rank = ranks_; rank < kMostRanks; ++rank) state.status[rank] = finished;
  return state;
}

bool WindowsModel::may_go(const State& state, const Action& action) const {
  return std::all_of(action.waits.begin(), action.waits.end(),
                     [&](const Wait& w) { return state.counters[w.peer][w.counter] >= w.value; });
}

// Somebody died or published a failure: whoever cannot go on learns of it.
bool WindowsModel::broken(const State& state) const {
  return std::any_of(state.status, state.status + ranks_, [](uint8_t s) { return s == dead || s == failed; });
}

WindowsModel::State WindowsModel::step(const State& state, int rank) const {
  State after = state;
  const Program& program = programs_[static_cast<size_t>(rank)];
  const Action& action = program[state.pc[rank]];
  const auto value = static_cast<uint8_t>(action.value);
  switch (action.effect) {
    case Action::nothing: break;
    case Action::count:
      // Counters only grow.
      if (value < after.counters[rank][action.place]) after.wrong = 2;
      after.counters[rank][action.place] = value;
      break;
    case Action::write: after.cells[rank][action.place] = value; break;
    case Action::write_half:
      after.cells[rank][2 * action.place] = after.cells[rank][2 * action.place + 1] = value;
      break;
    case Action::write_slot: after.slots[rank][action.place] = value; break;
    case Action::read:
      for (const Read& r : action.reads) {
        const uint8_t found = r.cell < kCells ? state.cells[r.peer][r.cell] : state.slots[r.peer][r.cell - kCells];
        if (found != r.stamp) after.wrong = 1;
      }
      break;
  }
  ++after.pc[rank];
  if (after.pc[rank] == program.size()) after.status[rank] = finished;
  return after;
}

void WindowsModel::next(const State& state, std::vector<State>& out) const {
  if (state.wrong != 0) return;
  for (int rank = 0; rank < ranks_; ++rank) {
    if (state.status[rank] != running) continue;
    const Action& action = programs_[static_cast<size_t>(rank)][state.pc[rank]];
    const bool goes = may_go(state, action);
    if (goes) out.push_back(step(state, rank));
    if (broken(state) && (!goes || action.enters)) {
      out.push_back(state);
      out.back().status[rank] = failed;
    }
    if (state.deaths >= deaths_) continue;
    out.push_back(state);
    out.back().status[rank] = dead;
    ++out.back().deaths;
  }
}

std::string WindowsModel::wrong(const State& state) const {
  if (state.wrong == 1) return "a rank read what was not meant for it: a lost update or memory used again too early";
  if (state.wrong == 2) return "a counter went back";
  const bool gave_up = std::count(state.status, state.status + ranks_, failed) > 0;
  return gave_up && state.deaths == 0 ? "a rank gave up although nobody died" : "";
}

bool WindowsModel::over(const State& state) const {
  return std::none_of(state.status, state.status + ranks_, [](uint8_t s) { return s == running; });
}

}  // namespace tandem::model
