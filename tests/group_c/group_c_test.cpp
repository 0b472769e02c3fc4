// SPDX-License-Identifier: Apache-2.0
// Every numbered line of group C through C++ and each front end that offers the operator.
#include <acl/acl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>

#include "tests/group_c/cases.h"

namespace tandem::group_c {
namespace {

constexpr int kLines = 36;

struct Line {
  bool run = false;
  std::string wrong;
};

class Lines {
 public:
  void add(const std::string& line, const std::string& name, const std::string& wrong) {
    lines_[line].run = true;
    if (!wrong.empty()) lines_[line].wrong += name + " " + wrong + "; ";
  }

  void values(const nlohmann::json& file) {
    const std::pair<const char*, std::string (*)(const Case&)> forms[] = {
        {"cpp", run_cpp}, {"hccl", run_hccl}, {"atb", run_atb}};
    for (const Case& c : read_values(file)) {
      for (const auto& [form, run] : forms) {
        if (std::find(c.forms.begin(), c.forms.end(), form) != c.forms.end()) add(c.line, c.name, run(c));
      }
    }
  }

  void refusals(const nlohmann::json& file) {
    for (const nlohmann::json& refusal : file.at("refusals"))
      add(refusal.at("line"), refusal.value("name", ""), refuse_atb(refusal));
  }

  void properties() {
    for (const auto& all : {cpp_properties(), hccl_properties(), atb_properties()}) {
      for (const Property& property : all) add(property.line, "", property.check());
    }
  }

  // What is wrong, and the summary where ctest's last words are read from.
  std::string finish(const nlohmann::json& excused) {
    std::string wrong;
    int run = 0, excuses = 0;
    for (int i = 1; i <= kLines; ++i) {
      const std::string name = "C" + std::to_string(i);
      const Line& line = lines_[name];
      if (!line.wrong.empty()) wrong += name + ": " + line.wrong + "\n";
      if (!line.run && !excused.contains(name)) wrong += name + ": neither run nor excused\n";
      run += line.run ? 1 : 0;
      excuses += !line.run && excused.contains(name) ? 1 : 0;
    }
    const std::string summary = "group C: " + std::to_string(run) + " run, " + std::to_string(excuses) + " excused\n";
    std::ofstream(TANDEM_BINARY_DIR "/group_C.summary") << summary;
    std::fputs(summary.c_str(), stdout);
    return wrong;
  }

 private:
  std::map<std::string, Line> lines_;
};

TEST(Contract, GroupC) {
  ASSERT_EQ(aclInit(nullptr), ACL_SUCCESS);
  const nlohmann::json file = read_file();
  Lines lines;
  lines.values(file);
  lines.refusals(file);
  lines.properties();
  EXPECT_EQ(lines.finish(file.at("excused")), "");
}

}  // namespace
}  // namespace tandem::group_c
