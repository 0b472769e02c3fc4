// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "atb/infer_op_params.h"
#include "front/atb/operation.h"
#include "front/hccl/enqueued.h"
#include "tandem/comm/collectives.h"
#include "tandem/comm/communicator.h"

namespace tandem::atbfront {

// The members that say between whom an operation runs; every such parameter struct has them.
struct Group {
  int rank = 0, size = 0, root = 0;
  std::string_view backend;
  HcclComm handle = nullptr;
  int mode = atb::infer::COMM_MULTI_PROCESS;
  std::string_view table, domain;
};

template <class P>
Group group_of(const P& param) {
  return {param.rank,     param.rankSize, param.rankRoot,      param.backend,
          param.hcclComm, param.commMode, param.rankTableFile, param.commDomain};
}

// `backends`: names separated by blanks.
Outcome<> check_group(const Group& group, std::string_view backends);

// The communicator of a group for a rank on `device`: the program's own, or one that ranks make when they first meet
// here and that lasts as long as the process. Blocks until all ranks have come or the deadline of connecting passes.
Outcome<std::shared_ptr<Communicator>> communicator_of(const Group& group, const Device& device);

// Its size as far as it is known before ranks meet: of the program's own communicator, or the one given.
int size_of(const Group& group);
int rank_of(const Group& group);

// sum, prod, max, min.
Outcome<Combine> combine_of(std::string_view name);

// Adds a collective to a run.
template <class Work>
Outcome<> collect(Run& run, std::string_view name, const Group& group, Work&& work) {
  auto comm = communicator_of(group, run.device);
  if (!comm) return refuse(comm.error());
  auto body = std::make_shared<front::Enqueued>();
  body->comm = std::move(*comm);
  body->call = name;
  body->work = std::forward<Work>(work);
  run.plans.push_back(Plan(std::move(body)));
  return {};
}

}  // namespace tandem::atbfront
