// SPDX-License-Identifier: Apache-2.0
#include "claim_model.h"

#include <algorithm>

namespace tandem::model {

const char* name_of(ClaimMutation mutation) {
  constexpr const char* kNames[] = {"none", "claim_is_no_exchange", "published_before_written",
                                    "loser_keeps_its_reason", "no_patience"};
  return kNames[static_cast<int>(mutation)];
}

ClaimModel::State ClaimModel::initial() const {
  State state{};
  for (int rank = 0; rank < ranks_; ++rank) state.alive[rank] = 1;
  return state;
}

// A death, an abort of its own, or a peer's published words.
void ClaimModel::notice(const State& state, int rank, std::vector<State>& out) const {
  for (int other = 0; other < ranks_; ++other) {
    if (other == rank) continue;
    State after = state;
    after.pc[rank] = claiming;
    after.own[rank] = static_cast<uint8_t>(other + 1);
    if (state.alive[other] == 0) out.push_back(after);
    if (state.published[other] == 0) continue;
    after.own[rank] = state.text[other][0];
    if (state.text[other][0] != state.text[other][1]) after.wrong = 1;
    out.push_back(after);
  }
  if (state.aborts != 0) return;
  out.push_back(state);
  out.back().aborts = static_cast<uint8_t>(rank + 1);
  out.back().pc[rank] = claiming;
  out.back().own[rank] = static_cast<uint8_t>(rank + 1);
}

// The loser waits for the claimant's words, with patience for one that died.
void ClaimModel::take(const State& state, int rank, std::vector<State>& out) const {
  const int first = state.seen[rank] - 1;
  if (state.published[first] != 0) {
    out.push_back(state);
    if (mutation_ != ClaimMutation::loser_keeps_its_reason) out.back().own[rank] = state.text[first][0];
    if (state.text[first][0] != state.text[first][1]) out.back().wrong = 1;
    out.back().pc[rank] = writing;
  } else if (state.alive[first] == 0 && mutation_ != ClaimMutation::no_patience) {
    out.push_back(state);
    out.back().pc[rank] = writing;
  }
}

void ClaimModel::go(const State& state, int rank, std::vector<State>& out) const {
  State after = state;
  after.pc[rank] = static_cast<uint8_t>(state.pc[rank] + 1);
  const auto mine = static_cast<uint8_t>(rank + 1);
  const bool early = mutation_ == ClaimMutation::published_before_written;
  switch (state.pc[rank]) {
    case working: notice(state, rank, out); return;
    case claiming:
      after.seen[rank] = state.claim;
      if (mutation_ == ClaimMutation::claim_is_no_exchange) break;
      if (state.claim == 0) after.claim = mine;
      after.pc[rank] = looking;
      break;
    case storing:
      if (state.seen[rank] == 0) after.claim = mine;
      break;
    case looking:
      after.seen[rank] = mutation_ == ClaimMutation::claim_is_no_exchange && state.seen[rank] == 0 ? mine : state.claim;
      after.pc[rank] = after.seen[rank] == mine ? writing : taking;
      break;
    case taking: take(state, rank, out); return;
    case writing:
      if (early) after.published[rank] = 1;
      after.text[rank][0] = state.own[rank];
      break;
    case writing_rest: after.text[rank][1] = state.own[rank]; break;
    case publishing:
      after.published[rank] = 1;
      after.result[rank] = state.own[rank];
      break;
    default: return;
  }
  out.push_back(after);
}

void ClaimModel::next(const State& state, std::vector<State>& out) const {
  if (state.wrong != 0) return;
  for (int rank = 0; rank < ranks_; ++rank) {
    if (state.alive[rank] == 0) continue;
    go(state, rank, out);
    if (state.deaths >= deaths_ || state.pc[rank] == done) continue;
    out.push_back(state);
    out.back().alive[rank] = 0;
    ++out.back().deaths;
  }
}

std::string ClaimModel::wrong(const State& state) const {
  if (state.wrong != 0) return "half of a reason was read";
  const int first = state.claim - 1;
  for (int rank = 0; rank < ranks_; ++rank) {
    const int culprit = state.result[rank] - 1;
    if (culprit < 0) continue;
    if (state.alive[culprit] != 0 && state.aborts != culprit + 1)
      return "a rank is named that neither died nor aborted";
    const bool settled = first >= 0 && state.result[first] != 0;
    if (settled && state.result[rank] != state.result[first]) return "two ranks name different root causes";
  }
  return "";
}

bool ClaimModel::over(const State& state) const {
  for (int rank = 0; rank < ranks_; ++rank) {
    if (state.alive[rank] != 0 && state.pc[rank] != done) return false;
  }
  return true;
}

}  // namespace tandem::model
