// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <string>
#include <vector>

#include "tests/group_a/cases.h"
#include "tests/group_a/rank_session.h"

namespace tandem::group_a {

// Compares what the ranks saw with the double reference, with each other, with the case's own expectations and with
// earlier cases.
class Judge {
 public:
  // snapshots[rank][check]; "" when all is right.
  std::string judge(const Case& test, const std::vector<fused::RankData>& data,
                    const std::vector<std::vector<Snapshot>>& snapshots);

 private:
  std::map<std::string, Snapshot> first_rank_;  // by case, for same_as
};

}  // namespace tandem::group_a
