// SPDX-License-Identifier: Apache-2.0
#include "tools/job.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <system_error>
#include <thread>

#include "tandem/base/env.h"
#include "tandem/comm/communicator.h"
#include "tandem/exec/device.h"
#include "tandem/exec/topology.h"
#include "tandem/kernels/table.h"
#include "tandem/llm/config.h"
#include "tandem/llm/tokenizer_model.h"
#include "tools/model_folder.h"

namespace tandem::tool {
namespace {

// Peak resident memory of this process, from /proc; 0 when it cannot be read.
uint64_t peak_resident_bytes() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmHWM:")) return std::strtoull(line.c_str() + 6, nullptr, 10) * 1024;
  }
  return 0;
}

Expected<std::vector<int32_t>> encode_prompt(const std::string& prompt, const Tokenizer& tokenizer,
                                             const ModelConfig& config) {
  auto ids = tokenizer.encode(prompt);
  if (ids.empty() && config.bos >= 0) ids.push_back(static_cast<int32_t>(config.bos));
  if (ids.empty())
    return fail(ErrorCode::invalid_argument, "--prompt is empty and the model has no BOS token; give a text");
  return ids;
}

// Text of one run as it comes: what the prompt's tokens leave to print, then each new token.
class RunText {
 public:
  RunText(const Job& job, const Print& print) : stream_(*job.tokenizer), print_(print) {
    std::string prompt;
    for (const int32_t id : job.options.prompt) prompt += stream_.push(id);
    if (print_) print_(prompt);
  }
  void push(int32_t id) { put(stream_.push(id)); }
  std::string finish() {
    put(stream_.finish());
    if (print_) print_("\n");
    return text_;
  }

 private:
  void put(const std::string& piece) {
    text_ += piece;
    if (print_ && !piece.empty()) print_(piece);
  }
  TextStream stream_;
  const Print& print_;
  std::string text_;
};

// Logits are the same on all ranks: one of them keeps and hashes them.
Expected<RankReport> run_repeats(const Job& job, Generator& generator, bool keeps_logits, const Print& print) {
  RankReport report;
  for (int64_t turn = 0; turn < job.flags.repeat; ++turn) {
    RunText text(job, print);
    GenerateOptions options = job.options;
    if (!keeps_logits) {
      options.logits_at.clear();
      options.hash_logits = false;
    }
    options.on_token = [&](int32_t token) { text.push(token); };
    auto result = generator.run(options);
    if (!result) return fail(result.error());
    if (turn > 0 && result->tokens != report.result.tokens) {
      return fail(ErrorCode::internal, fmt::format("generate: run {} gave other tokens than the one before", turn + 1));
    }
    report.result = std::move(*result);
    report.text = text.finish();
  }
  report.memory_bytes = generator.memory_bytes();
  report.resident_bytes = peak_resident_bytes();
  return report;
}

Error of_rank(int rank, const Error& error) {
  const std::string name = fmt::format("rank {}", rank);
  if (error.message.find(name) != std::string::npos) return error;
  return {error.code, name + ": " + error.message};
}

// Telling the other ranks takes a little memory; as ranks end there is some again.
void abort_surely(Communicator& comm, const Error& reason) {
  constexpr int kAttempts = 100;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    try {
      return comm.abort(reason);
    } catch (const std::bad_alloc&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
}

template <class Body>
Status start_thread(std::vector<std::thread>& threads, const Body& body) {
  try {
    threads.emplace_back(body);
    return {};
  } catch (const std::system_error& error) {
    return fail(ErrorCode::out_of_memory, fmt::format("thread: {}; use fewer ranks or raise ulimit -u", error.what()));
  }
}

// Rank 0's report with the memory of all; the first rank that failed for itself, not because of another, is the error.
Expected<RankReport> sum_of(std::vector<Expected<RankReport>>& reports) {
  const auto failed_for_itself = [](const Expected<RankReport>& report) {
    return !report && report.error().code != ErrorCode::peer_lost && report.error().code != ErrorCode::cancelled;
  };
  const auto culprit = std::find_if(reports.begin(), reports.end(), failed_for_itself);
  if (culprit != reports.end()) return fail(culprit->error());
  RankReport total;
  for (size_t rank = reports.size(); rank-- > 0;) {
    Expected<RankReport>& report = reports[rank];
    if (!report) return report;
    const uint64_t others = total.memory_bytes;
    total = std::move(*report);
    total.memory_bytes += others;
  }
  return total;
}

}  // namespace

Status check_table() {
  const auto wanted = env_text("TANDEM_TABLE");
  if (!wanted || find_table(*wanted) != nullptr) return {};
  std::vector<std::string_view> names;
  for (const KernelTable* table : kernel_tables()) names.push_back(table->name);
  return fail(ErrorCode::invalid_argument,
              fmt::format("TANDEM_TABLE {}, one of {} wanted on this machine", *wanted, fmt::join(names, ", ")));
}

Expected<Job> make_job(const GenerateFlags& flags) {
  Job job;
  job.flags = flags;
  if (auto status = check_table(); !status) return fail(status.error());
  topology();  // now, while there is memory: what it asks of the system crashes where there is none
  if (flags.tp > Device::count()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("--tp {}, at most {} wanted (TANDEM_DEVICES raises it)", flags.tp, Device::count()));
  }
  if (!(flags.temperature >= 0)) {
    return fail(ErrorCode::invalid_argument, fmt::format("--temperature {}, 0 or more wanted", flags.temperature));
  }
  auto folder = model_folder(flags.model);
  if (!folder) return fail(folder.error());
  job.folder = *folder;
  const auto config = load_config(job.folder);
  if (!config) return fail(config.error());
  auto tokenizer = load_tokenizer(job.folder);
  if (!tokenizer) return fail(tokenizer.error());
  job.tokenizer = std::make_shared<const Tokenizer>(std::move(*tokenizer));
  auto prompt = encode_prompt(flags.prompt, *job.tokenizer, *config);
  if (!prompt) return fail(prompt.error());
  job.options = {.prompt = std::move(*prompt),
                 .max_tokens = std::min(flags.max_tokens, config->context),
                 .temperature = flags.temperature,
                 .seed = flags.seed,
                 .ignore_eos = flags.ignore_eos,
                 .logits_at = flags.logits,
                 .hash_logits = flags.hash_logits || flags.json};
  job.positions = std::min(config->context, static_cast<int64_t>(job.options.prompt.size()) + job.options.max_tokens);
  if (static_cast<int64_t>(job.options.prompt.size()) > config->context) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("--prompt has {} tokens, at most {} wanted (the model's context)",
                            job.options.prompt.size(), config->context));
  }
  return job;
}

Expected<RankReport> run_rank(const Job& job, const std::shared_ptr<Communicator>& comm, const Print& print) {
  auto report = guarded([&]() -> Expected<RankReport> {
    auto generator = Generator::create({job.folder, job.flags.threads, job.positions}, comm);
    if (!generator) return fail(generator.error());
    return run_repeats(job, **generator, comm->rank() == 0, print);
  });
  if (report) return report;
  abort_surely(*comm, report.error());
  return fail(of_rank(comm->rank(), report.error()));
}

Expected<RankReport> run_threads(const Job& job, const Print& print) {
  auto comms = Communicator::local(job.flags.tp);
  if (!comms) return fail(comms.error());
  std::vector<Expected<RankReport>> reports(comms->size(), fail(out_of_memory()));
  std::vector<std::thread> threads;
  threads.reserve(comms->size());
  for (size_t rank = 0; rank < comms->size(); ++rank) {
    const auto body = [&, rank] {
      try {
        reports[rank] = run_rank(job, (*comms)[rank], rank == 0 ? print : Print());
      } catch (const std::exception&) {
        abort_surely(*(*comms)[rank], reports[rank].error());
      }
    };
    if (auto status = start_thread(threads, body); !status) {
      abort_surely(*(*comms)[rank], status.error());
      reports[rank] = fail(of_rank(static_cast<int>(rank), status.error()));
    }
  }
  for (std::thread& thread : threads) thread.join();
  return sum_of(reports);
}

}  // namespace tandem::tool
