// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "tandem/check/moe_ffn_problem.h"
#include "tandem/comm/communicator.h"
#include "tandem/exec/stream.h"

namespace tandem::moe_ffn_case {

// How a problem is spread over ranks.
struct Spread {
  int ranks = 1;
  bool expert_parallel = false;
  std::vector<int32_t> owner;
};

// May edit the parameter struct of a rank before it is planned.
using Adjust = std::function<void(int rank, MoeFfn&)>;

// Ranks as threads; communicators are made at first use and again after a failure.
class Groups {
 public:
  Expected<Result> run(const Problem& problem, const Data& data, const Spread& spread, const Adjust& adjust = {});

 private:
  struct Group {
    std::vector<std::shared_ptr<Communicator>> communicators;
    std::vector<std::unique_ptr<Stream>> streams;
  };
  Expected<Group*> find(int ranks);
  std::map<int, Group> groups_;
};

}  // namespace tandem::moe_ffn_case
