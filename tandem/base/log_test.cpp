// SPDX-License-Identifier: Apache-2.0
#include "tandem/base/log.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <utility>

#include "tandem/base/env.h"
#include "tandem/base/matches_test.h"

namespace tandem {
namespace {

constexpr const char* kAll[] = {"TANDEM_LOG",
                                "ASCEND_GLOBAL_LOG_LEVEL",
                                "ASCEND_MODULE_LOG_LEVEL",
                                "ASCEND_SLOG_PRINT_TO_STDOUT",
                                "ASCEND_PROCESS_LOG_PATH",
                                "ASDOPS_LOG_LEVEL",
                                "ASDOPS_LOG_TO_STDOUT"};

LogSettings with(std::initializer_list<std::pair<const char*, const char*>> variables) {
  for (const char* name : kAll) unsetenv(name);
  for (const auto& [name, value] : variables) setenv(name, value, 1);
  const LogSettings settings = log_settings();
  for (const char* name : kAll) unsetenv(name);
  return settings;
}

TEST(Log, LevelsOfTheVendorAndOurs) {
  EXPECT_EQ(with({}).level, LogLevel::warn);
  EXPECT_EQ(with({{"TANDEM_LOG", "trace"}, {"ASCEND_GLOBAL_LOG_LEVEL", "3"}}).level, LogLevel::trace);
  EXPECT_EQ(with({{"TANDEM_LOG", "loud"}}).level, LogLevel::warn);
  EXPECT_EQ(with({{"ASCEND_GLOBAL_LOG_LEVEL", "0"}}).level, LogLevel::debug);
  EXPECT_EQ(with({{"ASCEND_GLOBAL_LOG_LEVEL", "1"}}).level, LogLevel::info);
  EXPECT_EQ(with({{"ASCEND_GLOBAL_LOG_LEVEL", "4"}}).level, LogLevel::off);
  EXPECT_EQ(with({{"ASCEND_GLOBAL_LOG_LEVEL", "5"}}).level, LogLevel::warn);
  EXPECT_EQ(with({{"ASCEND_GLOBAL_LOG_LEVEL", "x"}}).level, LogLevel::warn);
  EXPECT_EQ(with({{"ASCEND_MODULE_LOG_LEVEL", "GE=3:HCCL=0"}, {"ASCEND_GLOBAL_LOG_LEVEL", "3"}}).level,
            LogLevel::debug);
  EXPECT_EQ(with({{"ASCEND_MODULE_LOG_LEVEL", "HCCL=1:GE=3"}}).level, LogLevel::info);
  EXPECT_EQ(with({{"ASCEND_MODULE_LOG_LEVEL", "XHCCL=1"}}).level, LogLevel::warn);
  EXPECT_EQ(with({{"ASCEND_MODULE_LOG_LEVEL", "HCCL="}}).level, LogLevel::warn);
  EXPECT_EQ(with({{"ASDOPS_LOG_LEVEL", "INFO"}}).level, LogLevel::info);
  EXPECT_EQ(with({{"ASDOPS_LOG_LEVEL", "FATAL"}}).level, LogLevel::error);
}

TEST(Log, PlacesOfTheVendor) {
  EXPECT_FALSE(with({}).to_stdout);
  EXPECT_TRUE(with({{"ASCEND_SLOG_PRINT_TO_STDOUT", "1"}}).to_stdout);
  EXPECT_FALSE(with({{"ASCEND_SLOG_PRINT_TO_STDOUT", "0"}}).to_stdout);
  EXPECT_TRUE(with({{"ASDOPS_LOG_TO_STDOUT", "1"}}).to_stdout);
  EXPECT_EQ(with({{"ASCEND_PROCESS_LOG_PATH", "/logs"}}).folder, "/logs");
}

// What the process of LinesInTheVendorsForm does.
TEST(Log, DISABLED_OneLine) { log_warn("text {}", 7); }

// The logger is made once, so that each of these is a process of its own. The line of the log among all it printed.
std::string logged_line(const char* variable, const char* value, const std::string& folder) {
  const pid_t child = fork();
  if (child == 0) {
    for (const char* name : kAll) unsetenv(name);
    setenv(variable, value, 1);
    if (freopen((folder + "/stdout").c_str(), "w", stdout) == nullptr) _exit(1);
    execl("/proc/self/exe", "base_test", "--gtest_also_run_disabled_tests", "--gtest_filter=Log.DISABLED_OneLine",
          nullptr);
    _exit(127);
  }
  int status = -1;
  while (waitpid(child, &status, 0) < 0) {
  }
  EXPECT_EQ(status, 0);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream stream(entry.path());
    for (std::string line; std::getline(stream, line);) {
      if (line.find("text 7") != std::string::npos) return line;
    }
  }
  return {};
}

TEST(Log, LinesInTheVendorsForm) {
#ifdef TANDEM_EMULATED
  GTEST_SKIP() << "the emulator starts no program anew by /proc/self/exe";
#endif
  const std::string form =
      R"(^\[WARNING\] HCCL\([0-9]+,[^)]+\):[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6} )"
      R"(\[tandem:0\]\[[0-9]+\]text 7$)";
  const std::string folder = ::testing::TempDir() + "tandem-log-" + std::to_string(getpid());
  for (const bool to_stdout : {true, false}) {
    std::filesystem::create_directories(folder);
    const std::string line = logged_line(to_stdout ? "ASCEND_SLOG_PRINT_TO_STDOUT" : "ASCEND_PROCESS_LOG_PATH",
                                         to_stdout ? "1" : folder.c_str(), folder);
    EXPECT_TRUE(testing::matches(line, form)) << line;
    std::filesystem::remove_all(folder);
  }
}

TEST(Environment, OneLineAboutVariablesWithoutEffect) {
  setenv("HCCL_ALGO", "level0:NA;level1:ring", 1);
  ::testing::internal::CaptureStderr();
  warn_of_unused_variables();
  warn_of_unused_variables();
  const std::string text = ::testing::internal::GetCapturedStderr();
  unsetenv("HCCL_ALGO");
  EXPECT_NE(text.find("set but without effect: HCCL_ALGO (algorithms are chosen by size)"), std::string::npos) << text;
  EXPECT_EQ(text.find("HCCL_ALGO"), text.rfind("HCCL_ALGO")) << text;
}

TEST(Environment, OfAChild) {
  setenv("RANK", "7", 1);
  const EnvSetting settings[] = {{"RANK", "0"}, {"WORLD_SIZE", "2"}};
  int ranks = 0, sizes = 0;
  for (const std::string& variable : env_for_child(settings)) {
    ranks += variable.starts_with("RANK=") ? 1 : 0;
    sizes += variable == "WORLD_SIZE=2" ? 1 : 0;
    EXPECT_NE(variable, "RANK=7");
  }
  unsetenv("RANK");
  EXPECT_EQ(ranks, 1);
  EXPECT_EQ(sizes, 1);
}

}  // namespace
}  // namespace tandem
