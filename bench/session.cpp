// SPDX-License-Identifier: Apache-2.0
#include "bench/session.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "bench/peers.h"

namespace tandem::bench {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::vector<const KernelTable*> chosen_tables(const Options& options) {
  std::vector<const KernelTable*> list;
  for (const KernelTable* table : kernel_tables()) {
    const bool measured = table->name != "portable" && table->name != "reference";
    const bool named = std::find(options.tables.begin(), options.tables.end(), table->name) != options.tables.end();
    if (options.tables.empty() ? measured : named) list.push_back(table);
  }
  return list;
}

void say(const std::string& text) { std::fputs(text.c_str(), stderr); }

// One line that is written over on a terminal, lines elsewhere.
void show_progress(const std::string& what, int done, int planned, double spent) {
  const double left = done > 0 ? spent / done * (planned - done) : 0;
  const std::string time = done > 0 ? fmt::format(", {:.0f} s left", left) : "";
  const std::string text = fmt::format("[{}/{}{}] {}", done + 1, planned, time, what);
  const bool terminal = isatty(STDERR_FILENO) != 0;
  say(terminal ? fmt::format("\r\x1b[K{}", text) : text + "\n");
  if (terminal && done + 1 == planned) say("\n");
}

}  // namespace

Crew::Crew(int count, size_t pool)
    : team(count), lane{&team, nullptr, &scratch}, threads(count), limits(lane, count, pool) {}

Session::Session(Options options)
    : options_(std::move(options)), pool_bytes_(bench::pool_bytes(options_.quick)), tables_(chosen_tables(options_)),
      peers_(std::make_unique<Peers>(options_.peer_folder, options_.peers, options_.peers_avx2)) {
  set_kernel_float_mode();
  for (const std::string& missing : peers_->missing()) not_shown("comparison with " + missing);
  for (const std::string& name : options_.tables) {
    if (find_table(name) == nullptr) not_shown("table " + name + ": not in this build, or not on this machine");
  }
  for (const int threads : options_.threads) crews_.push_back(std::make_unique<Crew>(threads, pool_bytes_));
  started_ = now();
}

Session::~Session() = default;

bool Session::wants(const std::string& family) const {
  const auto& list = options_.families;
  return std::find(list.begin(), list.end(), family) != list.end() || std::find(list.begin(), list.end(), "all") != list.end();
}

void Session::not_shown(const std::string& what) {
  if (std::find(not_shown_.begin(), not_shown_.end(), what) == not_shown_.end()) not_shown_.push_back(what);
}

void Session::measure(Turns turns, const std::string& what) {
  show_progress(what, done_, planned_, now() - started_);
  bench::measure(turns, options_.rounds, options_.min_time);
  ++done_;
  std::map<std::string, std::vector<double>> peer_seconds;
  for (const Contender& contender : turns.contenders) {
    const Row& row = contender.row;
    if (!row.ours && row.verdict.verified) peer_seconds[row.who + " " + row.flags.substr(0, row.flags.find(';'))] = row.seconds;
  }
  for (Contender& contender : turns.contenders) {
    Row& row = contender.row;
    for (const auto& [peer, seconds] : peer_seconds) {
      if (row.ours) row.ratios[peer] = median_ratio(seconds, row.seconds);
    }
    (row.verdict.verified ? rows_ : refused_).push_back(row);
    if (!row.verdict.verified) say(fmt::format("\nnot verified: {} {}: {}\n", row.who, what, row.verdict.complaint));
  }
}

}  // namespace tandem::bench
