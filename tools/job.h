// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/llm/generate.h"
#include "tandem/llm/tokenizer.h"

namespace tandem {
class Communicator;
}

namespace tandem::tool {

// What `tandem generate` was asked for.
struct GenerateFlags {
  std::string model, ranks = "threads", prompt;
  int tp = 1;
  int threads = 0;
  int64_t max_tokens = 64;
  double temperature = 0;
  uint64_t seed = 0;
  int64_t repeat = 1;
  bool ignore_eos = false;
  bool json = false;
  bool hash_logits = false;
  std::vector<int64_t> logits;
};

// The same on every rank.
struct Job {
  GenerateFlags flags;
  std::string folder;
  std::shared_ptr<const Tokenizer> tokenizer;
  GenerateOptions options;
  int64_t positions = 0;  // room a run needs
};

// What a rank has to tell at its end.
struct RankReport {
  GenerateResult result;
  std::string text;
  uint64_t memory_bytes = 0;    // weights, cache, activations of the rank
  uint64_t resident_bytes = 0;  // peak of the rank's process
};

using Print = std::function<void(const std::string&)>;

inline Error out_of_memory() {
  return {ErrorCode::out_of_memory, "memory could not be had; use fewer ranks or a smaller --max-tokens"};
}

// What `body` returns; an exception, most of all want of memory, becomes an error.
template <class Body>
auto guarded(const Body& body) -> decltype(body()) {
  Error no_memory = out_of_memory();  // made while there is some
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return fail(std::move(no_memory));
  } catch (const std::length_error&) {
    return fail(std::move(no_memory));
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, error.what());
  }
}

// Whether TANDEM_TABLE, where it is set, names a table of this machine.
Status check_table();

Expected<Job> make_job(const GenerateFlags& flags);
// Runs one rank to its end; a failure aborts the communicator so that the others end too. `print` may be empty.
Expected<RankReport> run_rank(const Job& job, const std::shared_ptr<Communicator>& comm, const Print& print);
// Rank r's threads: all in this process. The result is rank 0's, memory is summed.
Expected<RankReport> run_threads(const Job& job, const Print& print);

}  // namespace tandem::tool
