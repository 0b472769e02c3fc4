// SPDX-License-Identifier: Apache-2.0
// Runs every line of tests/cases/group_a.json through the vendor's interface, one thread and one device per rank, and
// ends with "group A: 67 lines, N run, M excused"; with --group B those of group_b.json, which it also runs through
// C++. Arguments choose lines (A24) or cases (A24/random); --summary FILE writes the closing line there too, --cases
// FILE reads other cases, --strict expects the vendor's exact codes (with TANDEM_STRICT=1 in the environment).
#include <fmt/format.h>

#include <algorithm>
#include <barrier>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "tests/group_a/cpp_twin.h"
#include "tests/group_a/judge.h"

namespace tandem::group_a {
namespace {

struct Group {
  const char *name, *cases;
  size_t lines;
  int most_excuses;
};
constexpr Group kGroups[] = {{"A", TANDEM_SOURCE_DIR "/tests/cases/group_a.json", 67, 3},
                             {"B", TANDEM_SOURCE_DIR "/tests/cases/group_b.json", 31, 3}};

// All ranks of one case, in step: nobody goes on when one of them met something unexpected.
class CaseRun {
 public:
  CaseRun(const Case& test, std::string group, const std::vector<fused::RankData>& data)
      : test_(test),
        group_(std::move(group)),
        data_(data),
        barrier_(test.problem.ranks),
        texts_(static_cast<size_t>(test.problem.ranks)),
        snapshots_(texts_.size()) {}

  void run() {
    std::vector<std::thread> threads;
    for (int rank = 0; rank < test_.problem.ranks; ++rank) threads.emplace_back([this, rank] { run_rank(rank); });
    for (std::thread& thread : threads) thread.join();
  }

  std::string text() const {
    for (size_t rank = 0; rank < texts_.size(); ++rank) {
      if (!texts_[rank].empty()) return fmt::format("rank {}: {}", rank, texts_[rank]);
    }
    return {};
  }
  const std::vector<std::vector<Snapshot>>& snapshots() const { return snapshots_; }

 private:
  void run_rank(int rank) {
    const auto index = static_cast<size_t>(rank);
    RankSession session(test_, rank, group_, data_.empty() ? fused::RankData{} : data_[index]);
    for (const Step& step : test_.steps) {
      texts_[index] = session.step(step);
      if (session.stuck()) give_up(rank);
      barrier_.arrive_and_wait();
      const bool over = !text().empty();
      barrier_.arrive_and_wait();
      if (over) break;
    }
    snapshots_[index] = session.snapshots();
  }

  // A rank that hangs holds its stream's worker: nothing can be taken down in order any more.
  [[noreturn]] void give_up(int rank) const {
    std::printf("%s: rank %d: %s; giving up\n", test_.id.c_str(), rank, texts_[static_cast<size_t>(rank)].c_str());
    std::fflush(stdout);
    std::_Exit(1);
  }

  const Case& test_;
  std::string group_;
  const std::vector<fused::RankData>& data_;
  std::barrier<> barrier_;
  std::vector<std::string> texts_;
  std::vector<std::vector<Snapshot>> snapshots_;
};

class Driver {
 public:
  explicit Driver(std::vector<std::string> arguments) : chosen_(std::move(arguments)) {
    strict_ = std::erase(chosen_, "--strict") > 0;
    if (take_option("--group") == "B") group_ = kGroups[1];
    cases_path_ = group_.cases;
    summary_path_ = take_option("--summary");
    if (const std::string path = take_option("--cases"); !path.empty()) cases_path_ = path;
  }

  int run() {
    const std::vector<Line> lines = read_lines(cases_path_, strict_);
    for (const Line& line : lines) run_line(line);
    if (lines.size() != group_.lines)
      complain("the file", fmt::format("has {} lines, {} wanted", lines.size(), group_.lines));
    if (excused_ > group_.most_excuses)
      complain("the file", fmt::format("excuses more than {} lines", group_.most_excuses));
    const std::string summary = fmt::format("group {}{}: {} lines, {} run, {} excused", group_.name,
                                            strict_ ? " strict" : "", lines.size(), run_, excused_);
    std::printf("%s\n", summary.c_str());
    if (!summary_path_.empty()) std::ofstream(summary_path_) << summary << (failures_ == 0 ? "" : ", FAILED") << '\n';
    return failures_ == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
  }

 private:
  // The word after `option`, both taken out of the arguments; "" when absent.
  std::string take_option(const std::string& option) {
    const auto found = std::find(chosen_.begin(), chosen_.end(), option);
    if (chosen_.end() - found < 2) return {};
    std::string value = found[1];
    chosen_.erase(found, found + 2);
    return value;
  }

  bool chosen(const Line& line, const Case& test) const {
    if (chosen_.empty()) return true;
    return std::find_if(chosen_.begin(), chosen_.end(),
                        [&](const std::string& name) { return name == line.name || name == test.id; }) != chosen_.end();
  }

  void run_line(const Line& line) {
    if (!line.excuse.empty()) {
      ++excused_;
      std::printf("%s excused: %s\n", line.name.c_str(), line.excuse.c_str());
      return;
    }
    if (line.cases.empty() && !strict_) complain(line.name, "has no case and no excuse");
    bool any = false;
    for (const Case& test : line.cases) {
      if (!chosen(line, test)) continue;
      any = true;
      if (std::string text = run_case(test); !text.empty()) complain(test.id, text);
    }
    run_ += any ? 1 : 0;
  }

  std::string run_case(const Case& test) {
    const bool has_data = test.status == 0 && !test.unreadable;
    const auto data = has_data ? fused::make_ranks(test.problem) : std::vector<fused::RankData>{};
    const std::string name = communicators_.name_of(test.problem.ranks);
    CaseRun run(test, test.group == "@" ? name : test.group, data);
    run.run();
    if (std::string text = run.text(); !text.empty()) return text;
    if (std::string text = judge_.judge(test, data, run.snapshots()); !text.empty()) return text;
    return twin_.run(test, test.group == "@" ? name : test.group, data, run.snapshots());
  }

  void complain(const std::string& where, const std::string& text) {
    ++failures_;
    std::printf("%s: %s\n", where.c_str(), text.c_str());
    std::fflush(stdout);
  }

  std::vector<std::string> chosen_;
  std::string summary_path_;
  Group group_ = kGroups[0];
  std::string cases_path_;
  bool strict_ = false;
  Communicators communicators_;
  Judge judge_;
  CppTwin twin_;
  int run_ = 0, excused_ = 0, failures_ = 0;
};

}  // namespace
}  // namespace tandem::group_a

int main(int argc, char** argv) {
  using namespace tandem::group_a;
  must(aclInit(nullptr), "aclInit");
  must(aclrtSetDevice(0), "aclrtSetDevice");
  int result = 0;
  {
    Driver driver({argv + 1, argv + argc});
    result = driver.run();
  }
  aclrtResetDevice(0);
  aclFinalize();
  return result;
}
