// SPDX-License-Identifier: Apache-2.0
#include "bench/op/rank.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "bench/op/contender.h"
#include "bench/op/op_limits.h"
#include "bench/op/verify.h"
#include "tandem/comm/collectives.h"
#include "tandem/exec/team.h"
#include "tandem/exec/trace.h"
#include "tandem/exec/wait.h"
#include "tandem/kernels/table.h"

namespace tandem::bench::op {
namespace {

using nlohmann::json;

constexpr int kMostIterations = 100'000;
constexpr int kTracedCalls = 3;

double seconds_now() { return static_cast<double>(monotonic_ns()) * 1e-9; }

double processor_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// Nothing is traced while times are taken.
class TracePause {
 public:
  TracePause() : before_(trace_detail::on.exchange(false)) {}
  ~TracePause() { trace_detail::on.store(before_); }
  TracePause(const TracePause&) = delete;
  TracePause& operator=(const TracePause&) = delete;

 private:
  bool before_;
};

class OpRank {
 public:
  OpRank(const std::shared_ptr<Communicator>& comm, const OpOptions& options, Device& device)
      : comm_(comm), options_(options), device_(device), team_(device.team()), lane_{team_.get(), nullptr, &scratch_} {
    team_->pin_caller();
  }
  Status start_peer();
  ~OpRank() {
    if (peer_ != nullptr) peer_->stop();
  }
  OpRank(const OpRank&) = delete;
  OpRank& operator=(const OpRank&) = delete;
  Expected<json> run();

 private:
  Expected<json> measure(const OpProblem& problem);
  Status check(const Operands& operands, std::vector<Contender>& all);
  Status visit(Contender& contender);
  Status settle_iterations(Contender& contender);
  Status rounds(std::vector<Contender>& all);
  Status agree(double& value, Combine how);
  json row_of(const Operands& operands, const std::vector<Contender>& all, const std::string& line) const;

  std::shared_ptr<Communicator> comm_;
  const OpOptions& options_;
  Device& device_;
  std::shared_ptr<ThreadTeam> team_;
  Scratch scratch_;
  Lane lane_;
  const TandemCollectivePeer* peer_ = nullptr;
  std::vector<std::string> not_shown_;
};

Status OpRank::start_peer() {
  if (options_.peer.empty()) return {};
  const auto path = (std::filesystem::path(options_.peer_folder) / ("peer_" + options_.peer + ".so")).string();
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (handle == nullptr) return fail(ErrorCode::unsupported, fmt::format("{}: {}", options_.peer, ::dlerror()));
  const auto entry = reinterpret_cast<decltype(&tandem_collective_peer)>(::dlsym(handle, "tandem_collective_peer"));
  if (entry == nullptr) return fail(ErrorCode::unsupported, options_.peer + ": no module of this command");
  const char* wrong = entry()->start(comm_->rank(), comm_->size(), "");
  if (wrong != nullptr) return fail(ErrorCode::unsupported, fmt::format("{}: {}", options_.peer, wrong));
  peer_ = entry();
  return {};
}

Status OpRank::agree(double& value, Combine how) {
  double given = value;
  return all_reduce(*comm_, &given, &value, 1, DType::f64, how, lane_);
}

Status OpRank::visit(Contender& c) {
  if (Status s = barrier(*comm_, lane_); !s) return s;
  const double begin = seconds_now(), busy = processor_seconds();
  for (int i = 0; i < c.iterations; ++i) {
    if (Status s = c.run(c.next++ % c.copies); !s) return s;
  }
  double spent = seconds_now() - begin, used = processor_seconds() - busy;
  if (Status s = agree(spent, Combine::maximum); !s) return s;
  if (Status s = agree(used, Combine::sum); !s) return s;
  c.rounds_us.push_back(spent * 1e6 / c.iterations);
  c.cpu_us.push_back(used * 1e6 / c.iterations);
  return {};
}

// As many as fill a visit; all ranks find the same because visit() agrees on the time.
Status OpRank::settle_iterations(Contender& c) {
  for (c.iterations = 1;;) {
    if (Status s = visit(c); !s) return s;
    const double once = std::max(c.rounds_us.back() * 1e-6, 1e-9);
    const int before = c.iterations;
    c.iterations = static_cast<int>(std::clamp(options_.visit / once, 1.0, double{kMostIterations}));
    if (c.iterations <= 8 * before) break;
    c.iterations = 8 * before;
  }
  c.rounds_us.clear();
  c.cpu_us.clear();
  return {};
}

// Alternating: every round visits each once, one round later than the first in another order.
Status OpRank::rounds(std::vector<Contender>& all) {
  for (int round = 0; round < options_.rounds; ++round) {
    for (size_t i = 0; i < all.size(); ++i) {
      if (Status s = visit(all[(i + static_cast<size_t>(round)) % all.size()]); !s) return s;
    }
  }
  return {};
}

// Results of every contender that has some: bits as the operator's on every rank, rows of rank 0 against the oracle.
Status OpRank::check(const Operands& operands, std::vector<Contender>& all) {
  const bool first = comm_->rank() == 0;
  std::unique_ptr<Verifier> verifier;
  if (first) verifier = std::make_unique<Verifier>(operands, 0);
  for (Contender& c : all) {
    if (c.out == nullptr) continue;
    auto& out = const_cast<fused::Outputs&>(*c.out);
    std::fill(out.y.begin(), out.y.end(), std::byte{0x55});
    std::fill(out.norm.begin(), out.norm.end(), std::byte{0x55});
    if (Status s = c.run(0); !s) return s;
    if (options_.spoil && !out.y.empty() && &c == &all.front()) out.y[0] ^= std::byte{0x40};
    const size_t bytes = dtype_bytes(operands.problem().data.output, operands.out_rows() * operands.problem().data.n);
    const bool same = !c.same_bits || std::equal(out.y.begin(), out.y.begin() + static_cast<std::ptrdiff_t>(bytes),
                                                 all.front().out->y.begin());
    double different = same ? 0 : 1;
    if (Status s = agree(different, Combine::sum); !s) return s;
    if (different > 0) c.wrong = "other bits than the operator";
    if (first && c.wrong.empty()) c.wrong = verifier->check(out, c.same_bits ? 1 : 4);
    double failed = c.wrong.empty() ? 0 : 1;
    if (Status s = agree(failed, Combine::sum); !s) return s;
    if (failed > 0 && c.wrong.empty()) c.wrong = "wrong on rank 0";
  }
  return {};
}

json OpRank::row_of(const Operands& operands, const std::vector<Contender>& all, const std::string& line) const {
  const OpProblem& p = operands.problem();
  json row = {{"op", p.operation},
              {"type", p.type},
              {"math", p.math == Math::fast ? "fast" : "exact"},
              {"layout", p.layout},
              {"ranks", p.ranks},
              {"m", p.data.m},
              {"n", p.data.n},
              {"k", p.data.k},
              {"line", line},
              {"flops", p.flops()},
              {"weight_bytes", p.weight_bytes()},
              {"communicated_bytes", p.communicated_bytes()},
              {"peak_operations", operations_of_peak(p, lane_)},
              {"contenders", json::array()}};
  for (const Contender& c : all) {
    row["contenders"].push_back({{"name", c.name},
                                 {"us", median(c.rounds_us)},
                                 {"min_us", *std::min_element(c.rounds_us.begin(), c.rounds_us.end())},
                                 {"cpu_us", median(c.cpu_us)},
                                 {"rounds_us", c.rounds_us},
                                 {"verified", c.out != nullptr},
                                 {"wrong", c.wrong}});
  }
  return row;
}

Expected<json> OpRank::measure(const OpProblem& problem) {
  const size_t pool = static_cast<size_t>(options_.pool_mb << 20) / static_cast<size_t>(comm_->size());
  auto made = Operands::make(problem, *comm_, pool);
  if (!made) return fail(made.error());
  const std::shared_ptr<Operands> operands = std::move(*made);
  const ChainContext context{comm_, device_, lane_};
  auto own = own_contenders(operands, context);
  if (!own) return fail(own.error());
  std::vector<Contender> all = std::move(*own);
  not_shown_.clear();
  for (auto& chain : peer_contenders(operands, context, options_, peer_, not_shown_)) all.push_back(std::move(chain));
  {
    const TracePause pause;
    if (Status s = check(*operands, all); !s) return fail(s.error());
    for (auto& limit : limit_contenders(problem, lane_, pool)) all.push_back(std::move(limit));
    for (Contender& c : all) {
      if (Status s = settle_iterations(c); !s) return fail(s.error());
    }
    if (Status s = rounds(all); !s) return fail(s.error());
    if (Status s = barrier(*comm_, lane_); !s) return fail(s.error());
  }
  for (int i = 0; tracing() && i < kTracedCalls; ++i) {
    if (Status s = all.front().run(0); !s) return fail(s.error());
  }
  const auto plan = operands->plan_of(0, device_);
  return row_of(*operands, all, plan ? plan->describe() : "");
}

Expected<json> OpRank::run() {
  json rows = json::array();
  const std::vector<OpProblem> problems = problems_of(options_, comm_->size());
  for (size_t i = 0; i < problems.size(); ++i) {
    if (options_.progress && comm_->rank() == 0) {
      std::fputs(fmt::format("{} of {}: {} {} m={} k={} n={}\n", i + 1, problems.size(), problems[i].operation,
                             problems[i].type, problems[i].data.m, problems[i].data.k, problems[i].data.n)
                     .c_str(),
                 stderr);
    }
    auto row = measure(problems[i]);
    if (!row) return fail(row.error());
    rows.push_back(std::move(*row));
  }
  if (comm_->rank() != 0) return json();
  json result = {{"rows", rows},
                 {"communicator", comm_->describe()},
                 {"table", default_table().name},
                 {"threads", team_->size()},
                 {"not_shown", not_shown_}};
  if (peer_ != nullptr) result["peer"] = {{"name", peer_->name}, {"version", peer_->version()}};
  return result;
}

}  // namespace

Expected<json> run_op_rank(const std::shared_ptr<Communicator>& comm, const OpOptions& options) {
  const auto device = Device::get(comm->device());
  if (!device) return fail(device.error());
  OpRank rank(comm, options, **device);
  if (Status s = rank.start_peer(); !s) {
    comm->abort(s.error());
    return fail(s.error());
  }
  auto rows = rank.run();
  if (!rows) comm->abort(rows.error());
  return rows;
}

}  // namespace tandem::bench::op
