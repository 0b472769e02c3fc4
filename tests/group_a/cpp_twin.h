// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "tests/fused/checks.h"
#include "tests/group_a/cases.h"
#include "tests/group_a/rank_session.h"

namespace tandem::group_a {

// A case of a form without a tail through C++: the bits the vendor's interface gave, or a refusal where it refused.
class CppTwin {
 public:
  // `seen`: what the vendor's interface wrote, by rank. "" or what is wrong.
  std::string run(const Case& test, const std::string& group, const std::vector<fused::RankData>& data,
                  const std::vector<std::vector<Snapshot>>& seen);

 private:
  std::string same_bits(const Case& test, const std::vector<fused::RankData>& data,
                        const std::vector<std::vector<Snapshot>>& seen);

  fused::Groups groups_;
};

}  // namespace tandem::group_a
