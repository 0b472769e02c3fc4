// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/quantize.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <memory>

#include "tandem/base/json.h"
#include "tools/commands.h"
#include "tools/job.h"
#include "tools/report.h"

namespace tandem::tool {
namespace {

constexpr size_t kReportLimit = size_t{256} << 20;

// A line that is written over where stderr is a terminal, else one a layer.
class Progress {
 public:
  void operator()(int64_t done, int64_t layers, bool again) {
    if (again) {
      ++found_;
      return;
    }
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
    const double left = spent.count() / static_cast<double>(done - found_) * static_cast<double>(layers - done);
    constexpr int64_t kWidth = 30;
    const auto filled = static_cast<size_t>(done * kWidth / layers);
    const std::string bar = std::string(filled, '#') + std::string(kWidth - filled, '.');
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    put(stderr, fmt::format("{}[{}] layer {} of {}, {:.0f} s left{}", terminal ? "\r" : "", bar, done, layers, left,
                            terminal && done < layers ? "   " : "\n"));
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  int64_t found_ = 0;
};

std::string text_of(const nlohmann::json& report) {
  std::string text;
  for (const auto& row : report["linears"]) {
    text += fmt::format("{}: {}, MSE {:.4g}", row["name"].get<std::string>(), row["type"].get<std::string>(),
                        row["mse"].get<double>());
    if (row.contains("clamp_thr")) {
      text += fmt::format(" with {} ({:.4g}); none {:.4g}", row["choice"].get<std::string>(), row["clip"].get<double>(),
                          row["mse_none"].get<double>());
      if (row.contains("mse_clamp_thr")) {
        text += fmt::format(", clamp_thr {:.4g} {:.4g}", row["clamp_thr"].get<double>(),
                            row["mse_clamp_thr"].get<double>());
      }
    }
    text += "\n";
  }
  return text + fmt::format("{} bytes of weights, calibrated on {} tokens of {} texts\n",
                            report["bytes"].get<uint64_t>(), report["tokens"].get<uint64_t>(),
                            report["texts"].get<uint64_t>());
}

int run(QuantizeOptions options, bool json) {
  if (auto status = check_table(); !status) return report_failure(status.error().message, json);
  auto progress = std::make_shared<Progress>();
  options.on_layer = [progress](int64_t done, int64_t layers, bool again) { (*progress)(done, layers, again); };
  const auto status = guarded([&] { return quantize(options); });
  if (!status) return report_failure(status.error().message, json);
  const auto report = read_json(options.out + "/tandem_quantize_report.json", kReportLimit);
  if (!report) return report_failure(report.error().message, json);
  put(stdout, json ? report->dump() + "\n" : text_of(*report));
  const auto arrived = stdout_arrived();
  return arrived ? 0 : report_failure(arrived.error().message, false);
}

}  // namespace

void add_quantize(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("quantize", "Write a model with integer weights in the vendor's format");
  auto options = std::make_shared<QuantizeOptions>();
  auto json = std::make_shared<bool>(false);
  command->add_option("--model", options->model, "folder of the float model")->required();
  command->add_option("--out", options->out, "folder to write")->required();
  command->add_option("--calib", options->calibration, "JSON lines with \"inputs_pretokenized\" or \"text\"")
      ->required();
  command->add_option("--recipe", options->recipe, "seed, w8a8, w8a8-dynamic, w8a16, w4a16 or w4a16-gN")
      ->capture_default_str();
  command->add_option("--clip", options->clip, "range of static inputs: none, percentile:P, mse (else the recipe's)");
  command->add_option("--smooth", options->smooth, "outliers into weights: none, m1, m3 (AWQ), m4, m6")
      ->capture_default_str();
  command->add_option("--texts", options->texts, "texts that are read, 0 = all")->capture_default_str();
  command->add_option("--tokens", options->tokens, "most tokens of a text, start token included")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "threads, 0 = cores")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_flag("--json", *json, "the report as one JSON object on stdout");
  command->footer(
      "seed: attention W8A8 with static scales whose clamp is the best of clamp_thr (the 99.9 percentile of |x|) x 0.5 "
      "..\n"
      "1.0 and none, ffn and experts W8A8 with a scale per token, router as it is. One layer is in memory at a time; "
      "a\n"
      "run that was ended goes on where it was when started with the same options.");
  command->callback([options, json, &exit_code] { exit_code = run(*options, *json); });
}

}  // namespace tandem::tool
