// SPDX-License-Identifier: Apache-2.0
// Traces of ranks, `tandem trace-stats`, `tandem bench op` and the replay of a verbose line. No time is judged.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "tests/cli/tool.h"

namespace tandem::cli {
namespace {

using nlohmann::json;

class Folder {
 public:
  Folder() : path_((std::filesystem::temp_directory_path() / "tandem-trace-XXXXXX").string()) {
    ::mkdtemp(path_.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  size_t files() const { return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path_), {})); }

 private:
  std::string path_;
};

std::vector<std::string> op(std::vector<std::string> more) {
  std::vector<std::string> all = {"bench",      "op",        "mm_all_reduce_add_rms_norm",
                                  "-k",         "16",        "-n",
                                  "1024",       "--rounds",  "1",
                                  "--visit",    "0.00001",   "--pool-mb",
                                  "1",          "--compare", "none",
                                  "--products", "none"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

void expect_brackets(const json& trace) {
  std::map<std::pair<int64_t, int64_t>, int> depth;
  for (const json& event : trace.at("traceEvents")) {
    if (event.at("ph") == "M") continue;
    int& open = depth[{event.at("pid"), event.at("tid")}];
    open += event.at("ph") == "B" ? 1 : -1;
    ASSERT_GE(open, 0);
  }
  for (const auto& [lane, open] : depth) EXPECT_EQ(open, 0);
}

TEST(Trace, OfFourRanksTellsWhetherCommunicationWasHidden) {
  const Folder folder;
  for (const std::string overlap : {"on", "off"}) {
    const std::string file = folder.file(overlap + ".json");
    const Outcome bench =
        run(op({"-p", "4", "-m", "300", "-d", "fp16", "--trace", file}), {{"TANDEM_OVERLAP", overlap}});
    ASSERT_EQ(0, bench.exit_code) << bench.err;
    expect_brackets(json::parse(file_bytes(file)));
    const Outcome stats = run({"trace-stats", file, "--json"});
    ASSERT_EQ(0, stats.exit_code) << stats.err;
    const json figures = json::parse(stats.out);
    ASSERT_EQ(4u, figures.at("ranks").size());
    for (const json& rank : figures.at("ranks")) {
      EXPECT_GT(rank.at("compute_us").get<double>(), 0);
      EXPECT_GT(rank.at("reduce_us").get<double>(), 0);
      EXPECT_GT(rank.at("published_bytes").get<int64_t>(), 0);
      EXPECT_EQ(0, rank.at("dropped").get<int64_t>());
    }
    // Without overlap nobody computes while somebody still sums.
    if (overlap == "off") {
      EXPECT_EQ(0, figures.at("hidden_percent").get<double>());
    }
  }
  EXPECT_EQ(2u, folder.files());
  EXPECT_EQ(0, run({"trace-stats", folder.file("on.json"), "--min-hidden", "0"}).exit_code);
  const Outcome shown = run({"trace-stats", folder.file("off.json"), "--min-hidden", "80"});
  EXPECT_NE(0, shown.exit_code);
  EXPECT_NE(std::string::npos, shown.err.find("80 % wanted")) << shown.err;
}

TEST(Trace, OfEveryToolIsWholeAndAlone) {
  const Folder folder;
  const std::string file = folder.file("run.json");
  const std::vector<std::vector<std::string>> commands = {
      {"generate", "--tp", "2", "--ranks", "threads", "--max-tokens", "2", "--trace", file},
      {"generate", "--tp", "2", "--ranks", "processes", "--max-tokens", "2", "--trace", file},
      {"bench", "collective", "-p", "2", "-b", "1K", "-e", "1K", "--rounds", "1", "-n", "2", "--trace", file},
      {"launch", "-n", "2", "--trace", file, "--", TANDEM_TOOL, "bench", "collective", "-b", "1K", "-e", "1K",
       "--rounds", "1", "-n", "2"}};
  for (const auto& command : commands) {
    const Outcome outcome = run(command);
    ASSERT_EQ(0, outcome.exit_code) << outcome.err;
    const Outcome stats = run({"trace-stats", file, "--json"});
    ASSERT_EQ(0, stats.exit_code) << stats.err;
    EXPECT_EQ(2u, json::parse(stats.out).at("ranks").size()) << command[0];
    EXPECT_EQ(1u, folder.files());
  }
}

TEST(TraceStats, MalformedFilesAreRefused) {
  const Folder folder;
  const auto event = [](const std::string& more) { return R"({"traceEvents":[)" + more + "]}"; };
  const std::string begin = R"({"ph":"B","cat":"reduce","ts":2,"pid":0,"tid":0})";
  const std::string end = R"({"ph":"E","ts":3,"pid":0,"tid":0})";
  const std::vector<std::string> wrong = {
      "",
      "{",
      "[]",
      "{}",
      R"({"traceEvents":{}})",
      event("1"),
      event(begin),
      event(end),
      event(begin + "," + end + "," + end),
      event(R"({"ph":"B","cat":"reduce","ts":2,"pid":-1,"tid":0})"),
      event(R"({"ph":"B","cat":"reduce","ts":"2","pid":0,"tid":0})"),
      event(R"({"ph":"B","ts":2,"pid":0,"tid":0})"),
      event(R"({"ph":"X","ts":2,"pid":0,"tid":0})"),
      event(begin + R"(,{"ph":"E","ts":1,"pid":0,"tid":0})"),
      event(begin + R"(,{"ph":"E","ts":3,"pid":0,"tid":1})"),
      event(R"({"ph":"B","cat":"reduce","ts":1e300,"pid":0,"tid":0})"),
      event(R"({"ph":"B","cat":1,"ts":1,"pid":0,"tid":0})"),
      event(R"({"ph":"M","name":"dropped","pid":0,"tid":0,"args":{"count":-1}})"),
      std::string(100, '['),
      event(R"({"ph":"B","cat":"publish","ts":2,"pid":0,"tid":0,"args":{"bytes":-1}})" + ("," + end))};
  for (const std::string& text : wrong) {
    std::ofstream(folder.file("t")) << text << std::flush;
    EXPECT_NE(0, run({"trace-stats", folder.file("t")}).exit_code) << text;
  }
  std::ofstream(folder.file("t")) << event(begin + "," + end) << std::flush;
  EXPECT_EQ(0, run({"trace-stats", folder.file("t")}).exit_code);
  EXPECT_NE(0, run({"trace-stats", folder.file("absent")}).exit_code);
}

TEST(BenchOp, EveryOperatorIsVerifiedBesideItsChain) {
  for (const std::string name : {"mm_all_reduce_add_rms_norm", "mm_reduce_scatter", "all_gather_mm_add_rms_norm"}) {
    auto arguments = op({"-p", "2", "-m", "5", "-d", "int4-g8,w8a8", "--packed", "--json"});
    arguments[2] = name;
    const Outcome outcome = run(arguments);
    ASSERT_EQ(0, outcome.exit_code) << name << ": " << outcome.err;
    const json report = json::parse(outcome.out);
    ASSERT_EQ(2u, report.at("rows").size());
    for (const json& row : report.at("rows")) {
      const json& all = row.at("contenders");
      EXPECT_EQ("fused", all.at(0).at("name"));
      EXPECT_EQ("unfused", all.at(1).at("name"));
      EXPECT_TRUE(all.at(0).at("verified").get<bool>() && all.at(1).at("verified").get<bool>());
      for (const json& one : all) EXPECT_EQ("", one.at("wrong")) << row;
    }
  }
}

TEST(BenchOp, FalsifiedResultsAreRefused) {
  const Outcome outcome = run(op({"-m", "1", "-d", "fp16", "--spoil"}));
  EXPECT_NE(0, outcome.exit_code);
  EXPECT_NE(std::string::npos, outcome.out.find("not shown")) << outcome.out;
}

TEST(BenchOp, ReplaysAVerboseLine) {
  const Outcome spoken = run(op({"-p", "2", "-m", "3", "-d", "int4-g8", "--offset", "--packed", "--math", "fast"}),
                             {{"TANDEM_VERBOSE", "1"}});
  ASSERT_EQ(0, spoken.exit_code) << spoken.err;
  const size_t at = spoken.err.find("tandem,mm_all_reduce,rank=");
  ASSERT_NE(std::string::npos, at) << spoken.err;
  const std::string line = spoken.err.substr(at, spoken.err.find('\n', at) - at);
  EXPECT_NE(std::string::npos, line.find("overlap=off(")) << line;
  EXPECT_NE(std::string::npos, line.find("predicted=")) << line;
  const Outcome again = run({"bench", "op", "--rounds", "1", "--visit", "0.00001", "--pool-mb", "1", "--compare",
                             "none", "--products", "none", "--json", "--replay", line});
  ASSERT_EQ(0, again.exit_code) << again.err;
  const json row = json::parse(again.out).at("rows").at(0);
  EXPECT_EQ(3, row.at("m").get<int>());
  // The line of the replayed call says the same up to this rank's number and the prediction.
  const std::string told = row.at("line");
  const size_t from = line.find(" m="), length = line.find(" predicted=") - from;
  EXPECT_EQ(line.substr(from, length), told.substr(told.find(" m="), told.find(" predicted=") - told.find(" m=")));
  for (const char* wrong : {"tandem,rms_norm,rows=1", "tandem,mm_all_reduce,rank=0/2 m=1 n=0 k=1",
                            "tandem,mm_all_reduce,rank=0/9999 m=1 n=2 k=1 x=f16 w=f16 y=f16 layout=row quant=none"}) {
    EXPECT_NE(0, run({"bench", "op", "--replay", wrong}).exit_code) << wrong;
  }
}

TEST(BenchOp, DrawsLanesAndARoofline) {
  const Folder folder;
  const Outcome outcome = run(op({"-p", "2", "-m", "300", "-d", "fp16", "--plot", folder.file("p.svg")}));
  ASSERT_EQ(0, outcome.exit_code) << outcome.err;
  const std::string svg = file_bytes(folder.file("p.svg"));
  EXPECT_TRUE(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
  EXPECT_NE(std::string::npos, svg.find("rank 1"));
  EXPECT_NE(std::string::npos, svg.find("compute"));
  EXPECT_EQ(1u, folder.files());
}

}  // namespace
}  // namespace tandem::cli
