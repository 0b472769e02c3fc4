// SPDX-License-Identifier: Apache-2.0
#include "tools/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdio>

namespace tandem::tool {

using nlohmann::json;

namespace {

std::vector<uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<uint32_t> bits(values.size());
  std::transform(values.begin(), values.end(), bits.begin(),
                 [](float value) { return std::bit_cast<uint32_t>(value); });
  return bits;
}

std::vector<float> floats_of(const std::vector<uint32_t>& bits) {
  std::vector<float> values(bits.size());
  std::transform(bits.begin(), bits.end(), values.begin(), [](uint32_t value) { return std::bit_cast<float>(value); });
  return values;
}

}  // namespace

void put(std::FILE* stream, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

Status stdout_arrived() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return {};
  return fail(ErrorCode::io, "stdout: text could not be written; point it to an open file with room");
}

int report_failure(const std::string& message, bool as_json) {
  std::string line = message;
  std::replace(line.begin(), line.end(), '\n', ' ');
  put(stderr, "tandem: " + line + "\n");
  if (as_json) put(stdout, json{{"error", line}}.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
  return 1;
}

json to_json(const RankReport& report) {
  const GenerateResult& result = report.result;
  json logits = json::array();  // as bits: JSON has no NaN and no infinity
  for (const auto& [position, row] : result.logits) logits.push_back({position, bits_of(row)});
  return {{"tokens", result.tokens},
          {"text", report.text},
          {"logits", logits},
          {"logits_sha256", result.logits_sha256},
          {"first_token_ms", result.first_token_ms},
          {"tokens_per_second", result.tokens_per_second},
          {"memory_bytes", report.memory_bytes},
          {"resident_bytes", report.resident_bytes}};
}

// The sender is a child of ours, yet a message that does not parse must be an error and no exception.
Expected<RankReport> report_from_json(const json& source) {
  RankReport report;
  GenerateResult& result = report.result;
  try {
    source.at("tokens").get_to(result.tokens);
    source.at("text").get_to(report.text);
    for (const json& entry : source.at("logits")) {
      result.logits[entry.at(0).get<int64_t>()] = floats_of(entry.at(1).get<std::vector<uint32_t>>());
    }
    source.at("logits_sha256").get_to(result.logits_sha256);
    source.at("first_token_ms").get_to(result.first_token_ms);
    source.at("tokens_per_second").get_to(result.tokens_per_second);
    source.at("memory_bytes").get_to(report.memory_bytes);
    source.at("resident_bytes").get_to(report.resident_bytes);
  } catch (const json::exception& error) {
    return fail(ErrorCode::malformed, fmt::format("report of a rank: {}", error.what()));
  }
  return report;
}

json result_json(const Job& job, const RankReport& report) {
  const GenerateResult& result = report.result;
  json out = {{"text", report.text},
              {"prompt_ids", job.options.prompt},
              {"token_ids", result.tokens},
              {"tokens_per_second", result.tokens_per_second},
              {"ttft_ms", result.first_token_ms},
              {"ranks", job.flags.tp},
              {"ranks_as", job.flags.ranks},
              {"table", kernel_table_name()},
              {"memory_bytes", report.memory_bytes},
              {"peak_resident_bytes", report.resident_bytes},
              {"logits_sha256", result.logits_sha256}};
  if (job.flags.logits.empty()) return out;
  out["logits_positions"] = json::array();
  out["logits"] = json::array();
  for (const auto& [position, row] : result.logits) {
    out["logits_positions"].push_back(position);
    out["logits"].push_back(row);
  }
  return out;
}

std::string closing_line(const Job& job, const RankReport& report) {
  constexpr double kMiB = 1 << 20;
  std::string hash = job.flags.hash_logits ? ", logits sha256 " + report.result.logits_sha256 : "";
  return fmt::format("{} tokens, {:.1f} tokens/s, first token {:.1f} ms, memory {:.1f} MiB, {} ranks as {}, table {}{}",
                     report.result.tokens.size(), report.result.tokens_per_second, report.result.first_token_ms,
                     static_cast<double>(report.memory_bytes) / kMiB, job.flags.tp, job.flags.ranks,
                     kernel_table_name(), hash);
}

}  // namespace tandem::tool
