// SPDX-License-Identifier: Apache-2.0
#include "tests/cli/tool.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace tandem::cli {
namespace fs = std::filesystem;
namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> environment_with(const Variables& variables) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with("TANDEM_")) result.emplace_back(*entry);
  }
  for (const auto& [name, value] : variables) result.push_back(name + "=" + value);
  return result;
}

// Appends what a pipe holds; closes it at its end.
void drain(int& fd, std::string& to) {
  std::array<char, 65536> buffer;
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) return;
  if (got > 0) {
    to.append(buffer.data(), static_cast<size_t>(got));
    return;
  }
  ::close(fd);
  fd = -1;
}

}  // namespace

Tool::Tool(const std::vector<std::string>& arguments, const Variables& environment, const std::string& program) {
  std::array<int, 2> out{}, err{};
  if (::pipe2(out.data(), O_CLOEXEC) != 0 || ::pipe2(err.data(), O_CLOEXEC) != 0) return;
  std::vector<std::string> words = {program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables = environment_with(environment);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // a group of its own, as a shell gives
  if (::posix_spawn(&pid_, program.c_str(), &actions, &attributes, pointers(words).data(),
                    pointers(variables).data()) != 0) {
    pid_ = -1;
  }
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  ::close(out[1]);
  ::close(err[1]);
  out_ = out[0];
  err_ = err[0];
}

Tool::~Tool() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
  finish();
}

std::vector<pid_t> Tool::children() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_) + "/children");
  std::vector<pid_t> result;
  for (pid_t child = 0; file >> child;) result.push_back(child);
  return result;
}

bool Tool::read_some(int timeout_ms) {
  std::array<pollfd, 2> waits{pollfd{out_, POLLIN, 0}, pollfd{err_, POLLIN, 0}};
  if (out_ < 0 && err_ < 0) return false;
  ::poll(waits.data(), waits.size(), timeout_ms);
  if (out_ >= 0 && waits[0].revents != 0) drain(out_, outcome_.out);
  if (err_ >= 0 && waits[1].revents != 0) drain(err_, outcome_.err);
  return true;
}

bool Tool::wait_for_text(size_t count, std::string_view text, std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < end) {
    if (children().size() >= count && (outcome_.out + outcome_.err).find(text) != std::string::npos) return true;
    if (!read_some(50)) return false;
  }
  return false;
}

Outcome Tool::finish() {
  while (read_some(1000)) {
  }
  if (pid_ < 0) return outcome_;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  outcome_.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome_;
}

Outcome run(const std::vector<std::string>& arguments, const Variables& environment) {
  return Tool(arguments, environment).finish();
}

Outcome run_script(const std::string& script, const std::string& model) {
  return Tool({"-c", script}, {{"TOOL", TANDEM_TOOL}, {"MODEL", model}}, "/bin/sh").finish();
}

nlohmann::json generate(std::vector<std::string> arguments, const Variables& environment) {
  arguments.insert(arguments.begin(), {"generate", "--json"});
  const Outcome outcome = run(arguments, environment);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  auto json = nlohmann::json::parse(outcome.out, nullptr, false);
  EXPECT_TRUE(json.is_object()) << outcome.out;
  return json.is_object() ? json : nlohmann::json::object();
}

std::string file_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

ModelCopy::ModelCopy(const std::string& model, const std::string& file, const std::string& content)
    : folder(testing::TempDir() + "tandem-cli-XXXXXX") {
  EXPECT_NE(::mkdtemp(folder.data()), nullptr) << folder;
  for (const auto& entry : fs::directory_iterator(model)) {
    if (entry.is_regular_file()) fs::copy(entry, folder);
  }
  fs::remove(folder + "/" + file);
  std::ofstream(folder + "/" + file, std::ios::binary) << content;
}

ModelCopy::~ModelCopy() { fs::remove_all(folder); }

bool alive(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return false;
  const size_t end = text.rfind(')');
  return end != std::string::npos && end + 2 < text.size() && text[end + 2] != 'Z';
}

std::string shared_model(const std::string& name) {
  const char* folder = std::getenv("TANDEM_TEST_DATA");
  const fs::path root =
      folder != nullptr ? fs::path(folder) : fs::path(TANDEM_SOURCE_DIR).parent_path() / "shared/models";
  return fs::exists(root / name / "config.json") ? (root / name).string() : "";
}

std::string any_model() {
  const fs::path embedded = fs::path(TANDEM_SOURCE_DIR) / "model";
  if (fs::exists(embedded / "config.json") && fs::exists(embedded / "model.safetensors")) return embedded.string();
  return shared_model("stories260K-moe4top2");
}

}  // namespace tandem::cli
