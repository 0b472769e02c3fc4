// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/launch_environment.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace tandem {
namespace {

using nlohmann::json;

Lookup lookup_in(const json& variables) {
  return [&variables](std::string_view name) -> std::optional<std::string> {
    const auto found = variables.find(std::string(name));
    if (found == variables.end()) return std::nullopt;
    return found->get<std::string>();
  };
}

json as_json(const LaunchEnvironment& made) {
  return {{"launcher", std::string(made.launcher)},
          {"rank", made.rank},
          {"size", made.size},
          {"local_rank", made.local_rank},
          {"local_size", made.local_size},
          {"master", made.master},
          {"master_port", made.master_port},
          {"job", made.job},
          {"rank_table", made.rank_table}};
}

void check(const json& one) {
  const auto read = read_launch_environment(lookup_in(one["env"]));
  ASSERT_EQ(read.has_value(), !one.contains("says"));
  if (!read) {
    EXPECT_NE(read.error().message.find(one["says"].get<std::string>()), std::string::npos) << read.error().message;
    return;
  }
  ASSERT_EQ(read->has_value(), !one.contains("none"));
  if (!*read) return;
  const json given = as_json(**read);
  for (const auto& [key, wanted] : one.items()) {
    if (key == "name" || key == "env") continue;
    EXPECT_EQ(given[key], wanted) << key;
  }
}

TEST(LaunchEnvironment, Cases) {
  std::ifstream file(TANDEM_SOURCE_DIR "/tests/cases/launchers.json");
  const json all = json::parse(file);
  for (const json& one : all.at("cases")) {
    SCOPED_TRACE(one["name"]);
    check(one);
  }
}

TEST(LaunchEnvironment, RanksOfOneJobMeetAndOfTwoJobsDoNot) {
  LaunchEnvironment environment{
      .launcher = "torchrun", .rank = 1, .size = 2, .local_rank = 1, .local_size = 2, .job = "a"};
  const auto one = rendezvous_of(environment, "name");
  environment.rank = environment.local_rank = 0;
  const auto zero = rendezvous_of(environment, "name");
  environment.job = "b";
  const auto other = rendezvous_of(environment, "name");
  ASSERT_TRUE(one && zero && other);
  EXPECT_EQ(one->rank, 1);
  EXPECT_EQ(one->device, 1);
  EXPECT_EQ(one->address, zero->address);
  EXPECT_NE(one->address, other->address);
}

TEST(LaunchEnvironment, WithoutAJobItsParentNamesIt) {
  LaunchEnvironment environment{.launcher = "MPICH", .rank = 1, .size = 2, .local_rank = 1, .local_size = 2};
  EXPECT_TRUE(rendezvous_of(environment, "name"));
  environment.local_size = -1;
  const auto unknown = rendezvous_of(environment, "name");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("TANDEM_JOB"), std::string::npos) << unknown.error().message;
}

}  // namespace
}  // namespace tandem
