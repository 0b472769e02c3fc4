// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

// Every state a small model can reach, each once.
namespace tandem::model {

struct Exploration {
  size_t states = 0, ends = 0;
  std::string wrong;     // first violation; "" when there is none
  size_t depth = 0;      // steps to it
  bool complete = true;  // the bound was not hit
};

// A set of states that answers whether one is new. States are compared as bytes, so they have no gaps.
template <class State>
class SeenStates {
 public:
  static_assert(std::has_unique_object_representations_v<State>);
  SeenStates() : slots_(1 << 12, kNone) {}

  bool insert(const State& state) {
    if (2 * states_.size() >= slots_.size()) grow();
    const size_t at = place(state);
    if (slots_[at] != kNone) return false;
    slots_[at] = static_cast<uint32_t>(states_.size());
    states_.push_back(state);
    return true;
  }
  size_t size() const { return states_.size(); }
  const State& operator[](size_t i) const { return states_[i]; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;

  static uint64_t hash(const State& state) {
    uint64_t value = 0xcbf29ce484222325u;
    unsigned char bytes[sizeof state];
    std::memcpy(bytes, &state, sizeof state);
    for (const unsigned char byte : bytes) value = (value ^ byte) * 0x100000001b3u;
    return value ^ value >> 29;
  }
  size_t place(const State& state) const {
    size_t at = hash(state) & (slots_.size() - 1);
    while (slots_[at] != kNone && std::memcmp(&states_[slots_[at]], &state, sizeof state) != 0) {
      at = (at + 1) & (slots_.size() - 1);
    }
    return at;
  }
  void grow() {
    slots_.assign(2 * slots_.size(), kNone);
    for (size_t i = 0; i < states_.size(); ++i) slots_[place(states_[i])] = static_cast<uint32_t>(i);
  }

  std::vector<State> states_;
  std::vector<uint32_t> slots_;
};

// Breadth first, so that the first violation is one of the shortest. A Model has a State, initial(), next(state, out),
// wrong(state) -> text, and over(state): whether nothing needs to follow.
template <class Model>
Exploration explore(const Model& model, size_t bound = 4'000'000) {
  using State = typename Model::State;
  Exploration result;
  SeenStates<State> seen;
  std::vector<State> following;
  seen.insert(model.initial());
  size_t level_end = 1;
  for (size_t i = 0; i < seen.size(); ++i) {
    if (i == level_end) {
      level_end = seen.size();
      ++result.depth;
    }
    const State state = seen[i];
    following.clear();
    model.next(state, following);
    result.wrong = model.wrong(state);
    if (result.wrong.empty() && following.empty() && !model.over(state)) result.wrong = "nobody can go on";
    result.ends += following.empty() ? 1 : 0;
    if (!result.wrong.empty()) break;
    for (const State& next : following) seen.insert(next);
    if (seen.size() > bound) {
      result.complete = false;
      break;
    }
  }
  result.states = seen.size();
  return result;
}

}  // namespace tandem::model
