// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/base/status.h"

#pragma GCC visibility push(default)
namespace tandem {

class Communicator;

struct GenerateOptions {
  std::vector<int32_t> prompt;  // ids, at least one
  int64_t max_tokens = 64;
  double temperature = 0;
  uint64_t seed = 0;
  bool ignore_eos = false;
  std::vector<int64_t> logits_at;  // positions whose logits are kept
  bool hash_logits = false;
  std::function<void(int32_t)> on_token;  // called on the caller's thread as tokens come
};

struct GenerateResult {
  std::vector<int32_t> tokens;                   // the generated ones, without the end token
  std::map<int64_t, std::vector<float>> logits;  // by position
  std::string logits_sha256;                     // over the logits of every position a token was picked from
  double first_token_ms = 0;
  double tokens_per_second = 0;
};

// Where the values of a text go; members may be empty. All are called on a worker's thread, in order of positions.
struct ScoreSink {
  std::function<void(int64_t position, std::span<const float> logits)> logits;
  std::function<void(int64_t first, size_t layer, std::span<const int32_t> experts)> experts;  // rows x top_k
  std::function<void(int64_t first, size_t layer, std::span<const float> hidden)> hidden;      // rows x hidden
};

// One rank of a model: its weights, cache and stream. All ranks make the same calls with the same options, but which
// logits are kept or hashed each rank chooses for itself.
class Generator {
 public:
  struct Setup {
    std::string folder;
    int threads = 0;        // of this rank; 0 = what the device gives
    int64_t positions = 0;  // room for a sequence; 0 = the model's context
  };
  static Expected<std::unique_ptr<Generator>> create(const Setup& setup, std::shared_ptr<Communicator> comm);
  ~Generator();
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  Expected<GenerateResult> run(const GenerateOptions& options);
  // Forward over all of `tokens`; nothing is generated.
  Status score(std::span<const int32_t> tokens, const ScoreSink& sink);
  // Bytes of weights, cache and activations of this rank.
  size_t memory_bytes() const;

  struct State;

 private:
  Generator();
  std::unique_ptr<State> state_;
};

// Name of the kernel table that runs.
std::string_view kernel_table_name();

}  // namespace tandem
#pragma GCC visibility pop
