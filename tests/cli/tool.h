// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace tandem::cli {

using Variables = std::vector<std::pair<std::string, std::string>>;

// Limits on time are for release builds; sanitizers take this much longer.
#ifdef TANDEM_SANITIZED
inline constexpr int kSlower = 10;
#else
inline constexpr int kSlower = 1;
#endif
// From the death of a rank to the end of the last survivor.
inline constexpr std::chrono::milliseconds kNotice{200 * kSlower};

struct Outcome {
  int exit_code = -1;  // 128 + signal when killed by one
  std::string out, err;
};

// The built tool or another program, started with these arguments; ends with this object at the latest.
class Tool {
 public:
  explicit Tool(const std::vector<std::string>& arguments, const Variables& environment = {},
                const std::string& program = TANDEM_TOOL);
  ~Tool();
  Tool(const Tool&) = delete;
  Tool& operator=(const Tool&) = delete;

  pid_t pid() const { return pid_; }
  // Process ids of its children, in the order they were started.
  std::vector<pid_t> children() const;
  // Waits until `count` children run and `text` was printed.
  bool wait_for_text(size_t count, std::string_view text, std::chrono::seconds limit = std::chrono::seconds(60));
  Outcome finish();

 private:
  bool read_some(int timeout_ms);

  pid_t pid_ = -1;
  int out_ = -1, err_ = -1;
  Outcome outcome_;
};

Outcome run(const std::vector<std::string>& arguments, const Variables& environment = {});
// Runs a script of sh that finds the tool in $TOOL and the model in $MODEL.
Outcome run_script(const std::string& script, const std::string& model);
// Runs `generate --json` with these arguments and fails the test when that fails.
nlohmann::json generate(std::vector<std::string> arguments, const Variables& environment = {});

std::string file_bytes(const std::string& path);

// A copy of a model's folder with other content in one file; gone with this object.
struct ModelCopy {
  ModelCopy(const std::string& model, const std::string& file, const std::string& content);
  ~ModelCopy();
  ModelCopy(const ModelCopy&) = delete;
  ModelCopy& operator=(const ModelCopy&) = delete;
  std::string folder;
};

// Whether the process exists and is no zombie.
bool alive(pid_t pid);

// Folder of an optional test model, or empty.
std::string shared_model(const std::string& name);
// The embedded model where it is complete, else an optional one, or empty.
std::string any_model();

}  // namespace tandem::cli
