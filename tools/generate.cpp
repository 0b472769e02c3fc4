// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <string>

#include "tools/commands.h"
#include "tools/job.h"
#include "tools/launch.h"
#include "tools/rank_process.h"
#include "tools/report.h"

namespace tandem::tool {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  tandem generate                                          the embedded model from nothing\n"
    "  tandem generate --prompt \"And it came to pass\" --tp 4    on four ranks as threads\n"
    "  tandem generate --tp 2 --ranks processes --temperature 0.8 --seed 7\n"
    "  tandem generate --model DIR --max-tokens 16 --logits 0,7,15 --json\n"
    "Text goes to stdout as it comes, figures to stderr; with --json stdout holds one line.\n"
    "The same seed gives the same text and logits on 1, 2, 4 and 8 ranks, as threads or processes.";

int finish(const Job& job, const RankReport& report) {
  for (const int64_t position : job.flags.logits) {
    if (report.result.logits.contains(position)) continue;
    put(stderr,
        fmt::format("tandem: --logits {}: the text ended before that position; raise --max-tokens\n", position));
  }
  if (job.flags.json) {
    const auto line = result_json(job, report).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    put(stdout, line + "\n");
  } else {
    put(stderr, fmt::format("tandem: {}\n", closing_line(job, report)));
  }
  const auto arrived = stdout_arrived();
  return arrived ? 0 : report_failure(arrived.error().message, false);
}

int run(const GenerateFlags& flags) {
  if (is_rank_process()) return run_rank_process(flags);
  const auto job = make_job(flags);
  if (!job) return report_failure(job.error().message, flags.json);
  const Print print = flags.json ? Print() : Print([](const std::string& text) { put(stdout, text); });
  const auto report = flags.ranks == "threads" ? run_threads(*job, print) : launch_processes(*job);
  if (!report) return report_failure(report.error().message, flags.json);
  return finish(*job, *report);
}

}  // namespace

void add_generate(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("generate", "Write text with a model");
  auto flags = std::make_shared<GenerateFlags>();
  command->add_option(
      "--model", flags->model,
      "folder with config.json, tokenizer.json, *.safetensors (else TANDEM_MODEL, else the embedded model)");
  command->add_option("--tp", flags->tp, "ranks the model is split over")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--ranks", flags->ranks, "what a rank is")
      ->check(CLI::IsMember({"threads", "processes"}))
      ->capture_default_str();
  command->add_option("--threads", flags->threads, "threads of each rank, 0 = cores / ranks")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_option("--prompt", flags->prompt, "text to go on from; empty = the start-of-text token alone");
  command->add_option("--max-tokens", flags->max_tokens, "most tokens to write")
      ->check(CLI::Range(int64_t{0}, INT64_MAX / 2))
      ->capture_default_str();
  command->add_option("--temperature", flags->temperature, "0 = the likeliest token, 1 = the model's own distribution")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "of the random numbers")->capture_default_str();
  command->add_option("--repeat", flags->repeat, "times the prompt is run")
      ->check(CLI::Range(int64_t{1}, INT64_MAX))
      ->capture_default_str();
  command->add_flag("--ignore-eos", flags->ignore_eos, "write on after the end-of-text token");
  command->add_flag("--json", flags->json, "one JSON object on stdout");
  command->add_option("--logits", flags->logits, "positions whose logits --json holds, such as 0,7,15")
      ->delimiter(',')
      ->check(CLI::Range(int64_t{0}, INT64_MAX));
  command->add_flag("--logits-hash", flags->hash_logits,
                    "SHA-256 over all logits in the closing line (always in --json)");
  add_trace_option(*command);
  command->footer(kExamples);
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace tandem::tool
