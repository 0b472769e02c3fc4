// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tandem/check/sweep.h"
#include "tools/commands.h"
#include "tools/report.h"

namespace tandem::tool {
namespace {

using check::Miss;
using check::Tally;
using nlohmann::json;

constexpr int kMisses = 3;  // of an operator; then it is left out

struct Flags {
  std::vector<std::string> operators, tables;
  int64_t cases = 100, only = -1;
  uint64_t seed = 1;
  bool json = false, progress = false;
  std::string fault;
};

volatile sig_atomic_t interrupted = 0;

// While it lives SIGINT and SIGTERM only ask for the end.
class Interrupts {
 public:
  Interrupts() {
    struct sigaction action {};
    action.sa_handler = [](int signal) { interrupted = signal; };
    ::sigaction(SIGINT, &action, &before_[0]);
    ::sigaction(SIGTERM, &action, &before_[1]);
  }
  ~Interrupts() {
    ::sigaction(SIGINT, &before_[0], nullptr);
    ::sigaction(SIGTERM, &before_[1], nullptr);
  }
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

 private:
  struct sigaction before_[2]{};
};

struct Row {
  std::string name;
  Tally tally;
  int misses = 0;
};

struct Outcome {
  std::vector<Row> rows;
  std::vector<Miss> misses;
  double seconds = 0;
};

// A bar on a terminal; lines, now and then, elsewhere.
class Progress {
 public:
  explicit Progress(bool wanted) : bar_(::isatty(STDERR_FILENO) != 0), wanted_(wanted || bar_) {}
  ~Progress() {
    if (wanted_ && bar_) put(stderr, "\r\x1b[K");
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  void show(double share, const std::string& name) {
    const double now = seconds();
    if (!wanted_ || now < next_) return;
    next_ = now + (bar_ ? 0.1 : 5);
    constexpr int kWidth = 30;
    const int full = static_cast<int>(share * kWidth);
    const std::string left = now > 1 && share > 0 ? fmt::format(", about {:.0f} s left", now / share - now) : "";
    const std::string text =
        fmt::format("[{:#<{}}{:.<{}}] {:3.0f} %{} {}", "", full, "", kWidth - full, 100 * share, left, name);
    put(stderr, bar_ ? "\r" + text + "\x1b[K" : "tandem: " + text + "\n");
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
  double next_ = 0;
  bool bar_, wanted_;
};

std::string complaint(const char* what, const std::string& given, const std::vector<std::string>& known) {
  return fmt::format("{} is {}, one of {} wanted", what, given, fmt::join(known, ", "));
}

Expected<std::vector<const KernelTable*>> chosen_tables(const Flags& flags) {
  std::vector<const KernelTable*> tables;
  std::vector<std::string> names;
  for (const KernelTable* table : kernel_tables()) {
    names.emplace_back(table->name);
    const bool wanted = flags.tables.empty() || std::count(flags.tables.begin(), flags.tables.end(), table->name) > 0;
    if (wanted) tables.push_back(table);
  }
  for (const std::string& name : flags.tables) {
    if (std::count(names.begin(), names.end(), name) == 0)
      return fail(ErrorCode::invalid_argument, complaint("--table", name, names));
  }
  return tables;
}

Expected<std::vector<Row>> chosen_rows(const Flags& flags) {
  const auto known = check::Sweep::operations();
  std::vector<Row> rows;
  for (const std::string& name : flags.operators.empty() ? known : flags.operators) {
    if (std::count(known.begin(), known.end(), name) == 0)
      return fail(ErrorCode::invalid_argument, complaint("--operator", name, known));
    rows.push_back({name, {}, 0});
  }
  return rows;
}

// Case by case through all operators, so that the time left is told truly.
Outcome sweep(const Flags& flags, check::Sweep& sweep, std::vector<Row> rows) {
  Outcome outcome;
  const Interrupts interrupts;
  Progress progress(flags.progress);
  const int64_t first = flags.only < 0 ? 0 : flags.only, end = flags.only < 0 ? flags.cases : flags.only + 1;
  for (int64_t i = first; i < end && interrupted == 0; ++i) {
    for (Row& row : rows) {
      if (row.misses >= kMisses || interrupted != 0) continue;
      progress.show(static_cast<double>(i - first) / static_cast<double>(end - first), row.name);
      if (auto miss = sweep.run(row.name, i, row.tally)) {
        ++row.misses;
        outcome.misses.push_back(std::move(*miss));
      }
    }
  }
  outcome.seconds = progress.seconds();
  outcome.rows = std::move(rows);
  return outcome;
}

std::string replay(const Flags& flags, const Miss& miss) {
  return fmt::format("tandem check --operator {} --seed {} --case {} --table {}{}", miss.operation, flags.seed,
                     miss.index, miss.tables, flags.fault.empty() ? "" : " --seed-fault " + flags.fault);
}

json report_json(const Flags& flags, const Outcome& outcome, const std::vector<std::string>& tables) {
  json report{{"seed", flags.seed},
              {"tables", tables},
              {"seconds", outcome.seconds},
              {"interrupted", interrupted != 0},
              {"ok", outcome.misses.empty() && interrupted == 0}};
  report["operators"] = json::array();
  for (const Row& row : outcome.rows) {
    json ulps = json::array();
    for (size_t i = 0; i < row.tally.ulps.size(); ++i) {
      ulps.push_back({{"up_to", i < check::kUlps.size() ? json(check::kUlps[i]) : json(nullptr)},
                      {"elements", row.tally.ulps[i]}});
    }
    report["operators"].push_back({{"name", row.name},
                                   {"cases", row.tally.cases},
                                   {"elements", row.tally.elements},
                                   {"worst_error_over_bound", row.tally.worst},
                                   {"ulps", ulps},
                                   {"misses", row.misses}});
  }
  report["misses"] = json::array();
  for (const Miss& miss : outcome.misses) {
    report["misses"].push_back({{"operator", miss.operation},
                                {"case", miss.index},
                                {"tables", miss.tables},
                                {"what", miss.what},
                                {"call", miss.spec},
                                {"again", replay(flags, miss)}});
  }
  return report;
}

std::string table_text(const Outcome& outcome) {
  std::string text =
      fmt::format("{:<24}{:>7}{:>11}{:>8}   {}\n{:<24}{:>7}{:>11}{:>8} ", "operator", "cases", "elements", "error/",
                  "% of elements within so many units in the last place", "", "", "", "bound");
  for (const double end : check::kUlps) text += fmt::format("{:>8}", end);
  text += fmt::format("{:>8}\n", "more");
  for (const Row& row : outcome.rows) {
    text += fmt::format("{:<24}{:>7}{:>11}{:>8.3f} ", row.name, row.tally.cases, row.tally.elements, row.tally.worst);
    for (const int64_t elements : row.tally.ulps) {
      const double share =
          row.tally.elements == 0 ? 0 : 100.0 * static_cast<double>(elements) / static_cast<double>(row.tally.elements);
      text += elements == 0 ? fmt::format("{:>8}", "-") : fmt::format("{:>8.2f}", share);
    }
    text += row.misses == 0 ? "\n" : fmt::format("  {} missed\n", row.misses);
  }
  return text;
}

std::string closing_text(const Flags& flags, const Outcome& outcome, const std::vector<std::string>& tables) {
  std::string text;
  for (const Miss& miss : outcome.misses) {
    text += fmt::format("{} case {}, table {}: {}\n  again: {}\n", miss.operation, miss.index, miss.tables, miss.what,
                        replay(flags, miss));
  }
  int64_t cases = 0;
  for (const Row& row : outcome.rows) cases += row.tally.cases;
  return text + fmt::format("{} cases on {} in {:.1f} s: {} missed{}\n", cases, fmt::join(tables, ", "),
                            outcome.seconds, outcome.misses.size(), interrupted != 0 ? "; interrupted" : "");
}

int run(const Flags& flags) {
  const auto refuse = [&](const Error& error) { return report_failure(error.message, flags.json); };
  const check::Fault* fault = flags.fault.empty() ? nullptr : check::find_fault(flags.fault);
  if (!flags.fault.empty() && fault == nullptr) {
    std::vector<std::string> known;
    for (const check::Fault& one : check::faults()) known.emplace_back(one.name);
    return report_failure(complaint("--seed-fault", flags.fault, known), flags.json);
  }
  const auto tables = chosen_tables(flags);
  if (!tables) return refuse(tables.error());
  auto rows = chosen_rows(flags);
  if (!rows) return refuse(rows.error());
  std::vector<std::string> names;
  for (const KernelTable* table : *tables) names.emplace_back(table->name);
  check::Sweep checker(flags.seed, *tables, fault);
  const Outcome outcome = sweep(flags, checker, std::move(*rows));
  put(stdout, flags.json
                  ? report_json(flags, outcome, names).dump(-1, ' ', false, json::error_handler_t::replace) + "\n"
                  : table_text(outcome) + closing_text(flags, outcome, names));
  if (const auto arrived = stdout_arrived(); !arrived) return refuse(arrived.error());
  if (interrupted != 0) return 128 + interrupted;
  return outcome.misses.empty() ? 0 : 1;
}

constexpr const char* kExamples =
    "Examples:\n"
    "  tandem check                                        every operator, 100 random cases each\n"
    "  tandem check --operator rms_norm,matmul --cases 2000\n"
    "  tandem check --operator matmul --seed 1 --case 17   one case again\n"
    "  tandem check --table avx2,portable --json\n"
    "Results must lie within bounds computed for each element in double precision, with the same bits on every kernel\n"
    "table and, for mm_all_reduce, on 1, 2 and 4 ranks. Exit code 1 on any miss, which is told with a line that "
    "repeats it.";

}  // namespace

void add_check(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("check", "Random cases of every operator against a double oracle");
  auto flags = std::make_shared<Flags>();
  command->add_option("--operator", flags->operators, "operators to check; default: all")->delimiter(',');
  command->add_option("--cases", flags->cases, "random cases of each operator")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "of the random cases")->capture_default_str();
  command->add_option("--case", flags->only, "this case only")->check(CLI::Range(int64_t{0}, int64_t{1} << 40));
  command->add_option("--table", flags->tables, "kernel tables; default: all that this machine runs")->delimiter(',');
  command->add_flag("--json", flags->json, "one JSON object on stdout");
  command->add_flag("--progress", flags->progress,
                    "progress and the time left on stderr, also when that is no terminal");
  command->add_option("--seed-fault", flags->fault)->group("");  // proves that a check can fail
  command->footer(kExamples);
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace tandem::tool
