// SPDX-License-Identifier: Apache-2.0
#include "operators.h"

#include <cstring>
#include <memory>

#include "tandem/exec/device.h"
#include "tandem/exec/stream.h"
#include "tandem/ops/all_gather_mm.h"
#include "tandem/ops/mm_all_reduce.h"
#include "tandem/ops/mm_reduce_scatter.h"
#include "tests/ranks/collective_run.h"

namespace tandem::test {
namespace {

constexpr size_t kBuffer = 2 << 20;

CollectiveCase make_case(const std::string& name, int ranks) {
  CollectiveCase made{.op = name, .type = DType::i32, .ranks = ranks, .root = ranks - 1, .count = 20'000};
  if (name.starts_with("all_to_all") || name == "scatter" || name == "reduce_scatter") made.count = 6'000;
  int64_t at = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    made.counts.push_back(9'000 - 1'500 * rank);
    made.at.push_back(at);
    at += made.counts.back();
  }
  for (int pair = 0; pair < ranks * ranks; ++pair) made.sends.push_back(5'000 - 37 * pair);
  return made;
}

// Data and a lane that outlive every round of the process.
struct Session {
  OwnLane own;
  std::vector<std::byte> in = std::vector<std::byte>(kBuffer), out = std::vector<std::byte>(kBuffer);
  CollectiveCase one;
};

// From rank to rank along the line.
Status send_along(Communicator& c, Session& s) {
  constexpr int64_t kCount = 5'000;
  if (c.rank() > 0) {
    if (Status r = recv(c, s.out.data(), kCount, DType::i32, c.rank() - 1, s.own.lane); !r) return r;
  }
  if (c.rank() + 1 == c.size()) return {};
  return send(c, s.in.data(), kCount, DType::i32, c.rank() + 1, s.own.lane);
}

Status send_around(Communicator& c, Session& s) {
  constexpr int64_t kCount = 8'000;
  const int next = (c.rank() + 1) % c.size(), previous = (c.rank() + c.size() - 1) % c.size();
  const Message both[] = {{Message::Kind::send, s.in.data(), kCount, DType::i32, next},
                          {Message::Kind::receive, s.out.data(), kCount, DType::i32, previous}};
  return batch_send_recv(c, both, s.own.lane);
}

// Two chunks of the fused product with its tail.
struct Fused {
  static constexpr int64_t kRows = 24, kDepth = 16, kColumns = 256;
  std::vector<float> x1 = std::vector<float>(kRows * kDepth, 1), x2 = std::vector<float>(kDepth * kColumns, 0.5f);
  std::vector<float> residual = std::vector<float>(kRows * kColumns), gamma = std::vector<float>(kColumns, 1);
  std::vector<float> y = residual, norm = residual;
  std::vector<std::byte> workspace;
  std::unique_ptr<Stream> stream;
  std::unique_ptr<Plan> made;
};

int64_t first_row(const Communicator& c, int rank) { return Fused::kRows * rank / c.size(); }

Expected<Plan> plan_fused(Fused& f, const Communicator& c, const std::string& name, Device& device) {
  MmAllReduce op;
  op.x1 = make_tensor(f.x1.data(), DType::f32, {Fused::kRows, Fused::kDepth});
  op.x2 = make_tensor(f.x2.data(), DType::f32, {Fused::kDepth, Fused::kColumns});
  op.y = make_tensor(f.y.data(), DType::f32, {Fused::kRows, Fused::kColumns});
  op.then = AddRmsNorm{make_tensor(f.residual.data(), DType::f32, {Fused::kRows, Fused::kColumns}),
                       make_tensor(f.gamma.data(), DType::f32, {Fused::kColumns}), 1e-6,
                       make_tensor(f.norm.data(), DType::f32, {Fused::kRows, Fused::kColumns})};
  op.group = c.name();
  if (name == "mm_all_reduce") return plan(op, device);
  std::vector<int64_t> counts;
  for (int rank = 0; rank < c.size(); ++rank) counts.push_back(first_row(c, rank + 1) - first_row(c, rank));
  const int64_t own = counts[static_cast<size_t>(c.rank())];
  op.then.reset();
  if (name == "all_gather_mm") {
    op.x1 = make_tensor(f.x1.data(), DType::f32, {own, Fused::kDepth});
    return plan(AllGatherMm{op, {}, counts}, device);
  }
  op.y = make_tensor(f.y.data(), DType::f32, {own, Fused::kColumns});
  return plan(MmReduceScatter{op, counts}, device);
}

Status prepare(Fused& f, const Communicator& c, const std::string& name) {
  const auto device = Device::get(c.device());
  if (!device) return fail(device.error());
  auto planned = plan_fused(f, c, name, **device);
  if (!planned) return fail(planned.error());
  auto stream = Stream::create(**device);
  if (!stream) return fail(stream.error());
  f.stream = std::move(*stream);
  f.made = std::make_unique<Plan>(std::move(*planned));
  f.workspace.resize(f.made->workspace_bytes());
  return {};
}

Status run_fused(Fused& f, const Communicator& c, const std::string& name) {
  if (!f.made) {
    if (Status s = prepare(f, c, name); !s) return s;
  }
  if (Status s = f.made->run(f.workspace, *f.stream); !s) return s;
  return f.stream->synchronize();
}

}  // namespace

std::vector<std::string> operator_names() {
  std::vector<std::string> names = {
      "all_reduce", "reduce",    "reduce_scatter",  "reduce_scatter_v", "all_gather",        "all_gather_v",
      "broadcast",  "scatter",   "gather",          "all_to_all",       "all_to_all_v",      "all_to_all_vc",
      "barrier",    "send_recv", "batch_send_recv", "mm_all_reduce",    "mm_reduce_scatter", "all_gather_mm"};
  if (!runnable({.op = "all_reduce"}))
    std::erase_if(names, [](const std::string& n) { return n.find("reduce") != n.npos; });
  return names;
}

std::function<Status()> make_round(const std::string& name, Communicator& comm) {
  if (name.find("mm") != name.npos) {
    return [f = std::make_shared<Fused>(), name, &comm] { return run_fused(*f, comm, name); };
  }
  auto session = std::make_shared<Session>();
  session->one = make_case(name, comm.size());
  return [session, name, &comm]() -> Status {
    if (name == "barrier") return barrier(comm, session->own.lane);
    if (name == "send_recv") return send_along(comm, *session);
    if (name == "batch_send_recv") return send_around(comm, *session);
    return call_collective(session->one, comm, session->in.data(), session->out.data(), session->own.lane);
  };
}

}  // namespace tandem::test
