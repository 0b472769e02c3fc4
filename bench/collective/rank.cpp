// SPDX-License-Identifier: Apache-2.0
#include "bench/collective/rank.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <optional>
#include <vector>

#include "bench/collective/buffers.h"
#include "bench/collective/calibrate.h"
#include "bench/collective/operation.h"
#include "bench/collective/peer.h"
#include "tandem/exec/device.h"
#include "tandem/exec/team.h"
#include "tandem/exec/wait.h"

namespace tandem::bench {
namespace {

using nlohmann::json;

constexpr int kMostIterations = 1'000'000;

double seconds_now() { return static_cast<double>(monotonic_ns()) * 1e-9; }

// Who is measured, and what it took: microseconds of each round, the slowest rank's.
struct Contender {
  std::string name;
  std::function<Status()> run;
  std::function<void()> refill;
  const std::byte* out = nullptr;
  int iterations = 0;
  int64_t wrong = 0;
  std::vector<double> rounds_us{};
};

class Rank {
 public:
  Rank(const std::shared_ptr<Communicator>& comm, const CollectiveOptions& options, Device& device)
      : comm_(comm), options_(options), team_(device.team()), lane_{team_.get(), nullptr, &scratch_} {
    team_->pin_caller();
  }
  Status prepare(const std::string& meeting);
  Expected<json> run();

 private:
  std::vector<Problem> plan() const;
  Expected<json> measure(const Problem& problem);
  std::vector<Contender> contenders(const Problem& problem);
  Contender ours(const Problem& problem, bool in_place);
  Status check(const Problem& problem, Contender& contender);
  Status settle_iterations(Contender& contender);
  Status visit(Contender& contender);
  Status agree(double& value, bool sum);
  void show(const Problem& problem, size_t done, size_t planned) const;
  json row_of(const Problem& problem, const std::vector<Contender>& contenders) const;

  std::shared_ptr<Communicator> comm_;
  const CollectiveOptions& options_;
  std::shared_ptr<ThreadTeam> team_;
  Scratch scratch_;
  Lane lane_;
  Buffer in_, out_, both_;
  std::unique_ptr<CollectivePeer> peer_;
  std::unique_ptr<CollectivePeer::Call> peer_call_;
  std::optional<Values> values_;
  DType values_type_ = DType::none;
  Combine values_how_ = Combine::sum;
  double started_ = seconds_now(), done_cost_ = 0, all_cost_ = 0;
};

// The work of a size, for the time left: a fixed part and the bytes.
double cost_of(const Problem& p) { return 1 + static_cast<double>(p.bytes()) * 1e-7; }

Status Rank::prepare(const std::string& meeting) {
  size_t most = 0;
  for (const Problem& p : plan()) {
    most = std::max({most, p.bytes(), dtype_bytes(p.type, std::max(p.in_elements(), p.out_elements()))});
    all_cost_ += cost_of(p);
  }
  for (Buffer* buffer : {&in_, &out_, &both_}) {
    auto made = Buffer::allocate(most + 64, options_.buffers == "device");
    if (!made) return fail(made.error());
    *buffer = std::move(*made);
  }
  if (options_.peer.empty()) return {};
  auto peer = CollectivePeer::start(options_.peer_folder, options_.peer, comm_->rank(), comm_->size(), meeting);
  if (!peer) return fail(peer.error());
  peer_ = std::move(*peer);
  return {};
}

std::vector<Problem> Rank::plan() const {
  std::vector<Problem> all;
  for (const std::string& name : options_.operations) {
    const Operation& operation = *find_operation(name);
    for (const std::string& type : options_.types) {
      for (const std::string& word : options_.combinations) {
        Combine how = Combine::sum;
        combination_from_word(word, how);
        if (!operation.reduces && &word != &options_.combinations.front()) continue;
        for (size_t bytes = options_.least; bytes <= options_.most;) {
          all.push_back(make_problem(operation, type_from_word(type), how, operation.rooted ? options_.root : 0,
                                     comm_->rank(), comm_->size(), bytes));
          const size_t next = options_.step > 0 ? bytes + options_.step : bytes * static_cast<size_t>(options_.factor);
          if (next <= bytes) break;
          bytes = next;
        }
      }
    }
  }
  return all;
}

Expected<json> Rank::run() {
  json rows = json::array();
  const std::vector<Problem> problems = plan();
  for (size_t i = 0; i < problems.size(); ++i) {
    show(problems[i], i, problems.size());
    auto row = measure(problems[i]);
    if (!row) return fail(row.error());
    rows.push_back(std::move(*row));
    done_cost_ += cost_of(problems[i]);
  }
  json result = {{"rows", rows}, {"communicator", comm_->describe()}};
  if (options_.calibrate) {
    auto parts = calibrate(*comm_, lane_);
    if (!parts) return fail(parts.error());
    result["calibration"] = std::move(*parts);
  }
  if (peer_) result["peer"] = {{"name", peer_->name()}, {"version", peer_->version()}};
  return comm_->rank() == 0 ? result : json();
}

void Rank::show(const Problem& p, size_t done, size_t planned) const {
  if (!options_.progress || comm_->rank() != 0) return;
  const double spent = seconds_now() - started_;
  const std::string left =
      done_cost_ > 0 ? fmt::format(", about {:.0f} s left", spent / done_cost_ * (all_cost_ - done_cost_)) : "";
  std::fputs(fmt::format("{} of {}: {} {} {} bytes{}\n", done + 1, planned, p.operation->name, word_of(p.type),
                         p.bytes(), left)
                 .c_str(),
             stderr);
}

Contender Rank::ours(const Problem& p, bool in_place) {
  std::byte* in = in_place ? both_.data() + dtype_bytes(p.type, p.in_at) : in_.data();
  std::byte* out = in_place ? both_.data() + dtype_bytes(p.type, p.out_at) : out_.data();
  if (p.operation->rooted && !p.operation->out_of_place) out = in;
  return {.name = in_place ? "in_place" : "out_of_place",
          .run = [this, &p, in, out] { return call(p, *comm_, in, out, lane_); },
          .refill =
              [this, &p, in, out] {
                std::memset(out, 0x55, dtype_bytes(p.type, p.out_elements()));
                values_->write(p.given, in);
              },
          .out = out};
}

std::vector<Contender> Rank::contenders(const Problem& p) {
  std::vector<Contender> all;
  if (p.operation->out_of_place) all.push_back(ours(p, false));
  if (p.operation->in_place) all.push_back(ours(p, true));
  if (!peer_) return all;
  std::byte* in = p.operation->out_of_place ? in_.data() : both_.data();
  std::byte* out = p.operation->out_of_place ? out_.data() : both_.data();
  peer_call_ = peer_->call(p, in, out);
  if (!peer_call_->valid()) return all;
  Contender peer = p.operation->out_of_place ? ours(p, false) : ours(p, true);
  peer.name = "peer";
  peer.run = [this] { return peer_call_->run(); };
  all.push_back(std::move(peer));
  return all;
}

// The largest value of all ranks, or the sum, for all of them.
Status Rank::agree(double& value, bool sum) {
  double given = value;
  return all_reduce(*comm_, &given, &value, 1, DType::f64, sum ? Combine::sum : Combine::maximum, lane_);
}

Status Rank::check(const Problem& p, Contender& contender) {
  if (options_.check == 0) return {};
  contender.refill();
  if (Status s = barrier(*comm_, lane_); !s) return s;
  if (Status s = contender.run(); !s) return s;
  if (options_.spoil && p.out_elements() > 0) const_cast<std::byte*>(contender.out)[0] ^= std::byte{1};
  double wrong = 0;
  for (const Stretch& stretch : p.wanted) wrong += static_cast<double>(values_->count_wrong(stretch, contender.out));
  if (Status s = agree(wrong, true); !s) return s;
  contender.wrong += static_cast<int64_t>(wrong);
  return {};
}

Status Rank::visit(Contender& contender) {
  if (Status s = barrier(*comm_, lane_); !s) return s;
  const double begin = seconds_now();
  for (int i = 0; i < contender.iterations; ++i) {
    if (Status s = contender.run(); !s) return s;
  }
  double spent = seconds_now() - begin;
  if (Status s = agree(spent, false); !s) return s;
  contender.rounds_us.push_back(spent * 1e6 / contender.iterations);
  return {};
}

// As many as fill a visit, from a short trial; all ranks the same.
Status Rank::settle_iterations(Contender& contender) {
  contender.iterations = std::max(1, options_.warmup);
  if (Status s = visit(contender); !s) return s;
  const double once = std::max(contender.rounds_us.back() * 1e-6, 1e-9);
  contender.rounds_us.clear();
  contender.iterations = options_.iterations;
  if (options_.iterations > 0) return {};
  contender.iterations = static_cast<int>(std::clamp(options_.visit / once, 1.0, double{kMostIterations}));
  // Trials of short calls are dominated by their start.
  if (once * 100 > options_.visit) return {};
  contender.iterations = std::max(10, contender.iterations / 10);
  if (Status s = visit(contender); !s) return s;
  const double again = std::max(contender.rounds_us.back() * 1e-6, 1e-9);
  contender.rounds_us.clear();
  contender.iterations = static_cast<int>(std::clamp(options_.visit / again, 1.0, double{kMostIterations}));
  return {};
}

Expected<json> Rank::measure(const Problem& p) {
  if (!values_ || values_type_ != p.type || values_how_ != p.how) {
    values_.emplace(p.type, p.how, p.ranks);
    values_type_ = p.type;
    values_how_ = p.how;
  }
  std::vector<Contender> all = contenders(p);
  for (Contender& c : all) {
    if (Status s = check(p, c); !s) return fail(s.error());
    if (Status s = settle_iterations(c); !s) return fail(s.error());
  }
  for (int round = 0; round < options_.rounds; ++round) {
    for (Contender& c : all) {
      if (Status s = visit(c); !s) return fail(s.error());
    }
  }
  for (Contender& c : all) {
    if (Status s = check(p, c); !s) return fail(s.error());
  }
  return row_of(p, all);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double median_ratio(const std::vector<double>& of, const std::vector<double>& to) {
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(of.size(), to.size()); ++i) ratios.push_back(of[i] / to[i]);
  return median(ratios);
}

json Rank::row_of(const Problem& p, const std::vector<Contender>& all) const {
  const double bytes = static_cast<double>(p.bytes()), bus = bus_factor(*p.operation, p.ranks);
  json row = {{"op", p.operation->name},
              {"bytes", p.bytes()},
              {"count", p.elements},
              {"type", word_of(p.type)},
              {"ranks", p.ranks},
              {"checked", options_.check != 0},
              {"root", p.operation->rooted ? p.root : -1},
              {"redop", p.operation->reduces ? word_of(p.how) : "none"}};
  for (const Contender& c : all) {
    const double us = median(c.rounds_us);
    const double rate = us > 0 ? bytes / us * 1e-3 : 0;
    row[c.name] = {{"us", us},
                   {"min_us", *std::min_element(c.rounds_us.begin(), c.rounds_us.end())},
                   {"algbw", rate},
                   {"busbw", rate * bus},
                   {"wrong", c.wrong},
                   {"iterations", c.iterations},
                   {"rounds_us", c.rounds_us}};
  }
  if (all.back().name == "peer") {
    const auto& first = all.front().rounds_us;
    row["ratio"] = median_ratio(all.back().rounds_us, first);
  }
  return row;
}

}  // namespace

Expected<json> run_collective_rank(const std::shared_ptr<Communicator>& comm, const CollectiveOptions& options,
                                   const std::string& meeting) {
  const auto device = Device::get(comm->device());
  if (!device) return fail(device.error());
  Rank rank(comm, options, **device);
  if (Status s = rank.prepare(meeting); !s) {
    comm->abort(s.error());
    return fail(s.error());
  }
  auto rows = rank.run();
  if (!rows) comm->abort(rows.error());
  return rows;
}

}  // namespace tandem::bench
