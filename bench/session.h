// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bench/limits.h"
#include "bench/options.h"
#include "bench/row.h"
#include "tandem/exec/lane.h"
#include "tandem/exec/memory.h"
#include "tandem/exec/team.h"
#include "tandem/kernels/table.h"

namespace tandem::bench {

class Peers;

// A team of so many threads and its limits.
struct Crew {
  ThreadTeam team;
  Scratch scratch;
  Lane lane;
  int threads;
  LimitMaker limits;

  Crew(int count, size_t pool);
};

// Everything one run of the command shares; families add rows to it.
class Session {
 public:
  explicit Session(Options options);
  ~Session();

  const Options& options() const { return options_; }
  const std::vector<const KernelTable*>& tables() const { return tables_; }
  const std::vector<std::unique_ptr<Crew>>& crews() const { return crews_; }
  size_t pool_bytes() const { return pool_bytes_; }
  Peers& peers() { return *peers_; }
  bool wants(const std::string& family) const;
  bool spoils(const std::string& who) const { return options_.spoil == who; }

  // Measures the turns and keeps their rows; `what` is shown while it runs.
  void measure(Turns turns, const std::string& what);
  // Why something asked for has no row.
  void not_shown(const std::string& what);
  void plan(int turns) { planned_ += turns; }

  const std::vector<Row>& rows() const { return rows_; }          // verified
  const std::vector<Row>& refused() const { return refused_; }    // failed their check
  const std::vector<std::string>& missing() const { return not_shown_; }

 private:
  Options options_;
  size_t pool_bytes_;
  std::vector<const KernelTable*> tables_;
  std::vector<std::unique_ptr<Crew>> crews_;
  std::unique_ptr<Peers> peers_;
  std::vector<Row> rows_, refused_;
  std::vector<std::string> not_shown_;
  int planned_ = 0, done_ = 0;
  double started_ = 0;
};

// The families; each measures what the options ask of it. With `count_only` they only call Session::plan.
void bench_gemm(Session& session, bool count_only);
void bench_rows(Session& session, bool count_only);
void bench_attention(Session& session, bool count_only);

}  // namespace tandem::bench
