// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <thread>

#include "tandem/comm/communicator.h"
#include "tandem/exec/device.h"
#include "tandem/llm/texts.h"
#include "tandem/llm/tokenizer_model.h"
#include "tools/commands.h"
#include "tools/comparison.h"
#include "tools/comparison_page.h"
#include "tools/model_folder.h"
#include "tools/report.h"

namespace tandem::tool {
namespace {

struct Flags {
  std::string model, against, data, report;
  size_t stories = 0;
  int64_t tokens = 256;
  int tp = 1, threads = 0;
  bool json = false;
};

using Tokens = std::vector<std::vector<int32_t>>;

// What every rank does the same, and where rank 0 keeps the sums.
struct Measurement {
  const Flags& flags;
  std::string folder;
  ModelConfig config, against;
  Tokens texts;
  Figures figures;
  uint64_t memory_bytes = 0;
  double seconds = 0;
};

Expected<Tokens> encode(const Flags& flags, const std::string& folder, const ModelConfig& config) {
  auto tokenizer = load_tokenizer(folder);
  if (!tokenizer) return fail(tokenizer.error());
  const auto texts = read_texts(flags.data, flags.stories);
  if (!texts) return fail(texts.error());
  Tokens tokens;
  for (const std::string& text : *texts) {
    auto ids = tokenizer->encode(text);
    const auto bos = static_cast<int32_t>(config.bos);
    if (config.bos >= 0 && (ids.empty() || ids.front() != bos)) ids.insert(ids.begin(), bos);
    ids.resize(std::min(ids.size(), static_cast<size_t>(std::min(flags.tokens, config.context))));
    if (ids.size() > 1) tokens.push_back(std::move(ids));
  }
  if (tokens.empty()) return fail(ErrorCode::invalid_argument, flags.data + ": no text of two tokens, one wanted");
  return tokens;
}

// One rank's part: scores every text with the reference, then with the model.
class RankWork {
 public:
  RankWork(Measurement& all, bool keeps) : all_(all), keeps_(keeps) {}

  Status run(const std::shared_ptr<Communicator>& model, const std::shared_ptr<Communicator>& against) {
    const Flags& flags = all_.flags;
    auto generator = Generator::create({all_.folder, flags.threads, flags.tokens}, model);
    if (!generator) return fail(generator.error());
    std::unique_ptr<Generator> reference;
    if (against) {
      auto other = Generator::create({flags.against, flags.threads, flags.tokens}, against);
      if (!other) return fail(other.error());
      reference = std::move(*other);
    }
    if (keeps_) all_.memory_bytes = (*generator)->memory_bytes();
    for (const auto& tokens : all_.texts) {
      if (auto status = score(tokens, **generator, reference.get()); !status) return status;
    }
    return {};
  }

 private:
  Status score(const std::vector<int32_t>& tokens, Generator& model, Generator* reference) {
    Trace trace(all_.config, !all_.flags.report.empty());
    if (reference != nullptr) {
      auto status = reference->score(tokens, keeps_ ? trace.sink() : ScoreSink());
      if (!status) return status;
    }
    TextScorer scorer(all_.config, tokens, reference != nullptr ? &trace : nullptr, all_.figures);
    const auto start = std::chrono::steady_clock::now();
    if (auto status = model.score(tokens, keeps_ ? scorer.sink() : ScoreSink()); !status) return status;
    if (!keeps_) return {};
    all_.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    scorer.finish();
    return {};
  }

  Measurement& all_;
  bool keeps_;
};

using Communicators = std::vector<std::shared_ptr<Communicator>>;

Status first_failure(const std::vector<Status>& statuses) {
  const auto for_itself = [](const Status& status) {
    return !status && status.error().code != ErrorCode::peer_lost && status.error().code != ErrorCode::cancelled;
  };
  auto culprit = std::find_if(statuses.begin(), statuses.end(), for_itself);
  if (culprit == statuses.end()) {
    culprit = std::find_if(statuses.begin(), statuses.end(), [](const Status& status) { return !status; });
  }
  return culprit == statuses.end() ? Status() : *culprit;
}

Status run_ranks(Measurement& all, const Communicators& model, const Communicators& against) {
  std::vector<Status> statuses(model.size());
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < model.size(); ++rank) {
    threads.emplace_back([&, rank] {
      const auto other = against.empty() ? nullptr : against[rank];
      statuses[rank] = guarded([&] { return RankWork(all, rank == 0).run(model[rank], other); });
      if (statuses[rank]) return;
      model[rank]->abort(statuses[rank].error());
      if (other) other->abort(statuses[rank].error());
    });
  }
  for (std::thread& thread : threads) thread.join();
  return first_failure(statuses);
}

Status check_pair(const ModelConfig& model, const ModelConfig& against) {
  if (model.vocabulary == against.vocabulary && model.layers == against.layers && model.hidden == against.hidden &&
      model.experts == against.experts && model.top_k == against.top_k) {
    return {};
  }
  return fail(ErrorCode::invalid_argument, "--against: a model of the same shape wanted");
}

nlohmann::json summary(const Measurement& all) {
  const Figures& f = all.figures;
  const auto tokens = static_cast<double>(f.tokens);
  nlohmann::json json{{"perplexity", f.perplexity()},
                      {"tokens", f.tokens},
                      {"stories", all.texts.size()},
                      {"tp", all.flags.tp},
                      {"memory_bytes", all.memory_bytes},
                      {"tokens_per_second", static_cast<double>(f.rows) / std::max(all.seconds, 1e-9)}};
  if (all.config.experts > 0) json["expert_load"] = f.load;
  if (all.flags.against.empty()) return json;
  json["against_perplexity"] = std::exp(f.against_nll / tokens);
  json["kl_per_token"] = f.kl / tokens;
  json["top1_agreement"] = static_cast<double>(f.agree) / tokens;
  if (all.config.experts == 0) return json;
  std::vector<double> rates;
  for (const int64_t flips : f.flips) rates.push_back(static_cast<double>(flips) / static_cast<double>(f.rows));
  json["expert_flip_rate"] = rates;
  return json;
}

std::string text_of(const nlohmann::json& json) {
  std::string text = fmt::format("perplexity {:.4f} over {} tokens of {} texts\n", json["perplexity"].get<double>(),
                                 json["tokens"].get<int64_t>(), json["stories"].get<int64_t>());
  if (!json.contains("kl_per_token")) return text;
  text += fmt::format("against {:.4f}: KL {:.6f} per token, top-1 agreement {:.2f} %\n",
                      json["against_perplexity"].get<double>(), json["kl_per_token"].get<double>(),
                      100 * json["top1_agreement"].get<double>());
  if (!json.contains("expert_flip_rate")) return text;
  for (size_t layer = 0; layer < json["expert_flip_rate"].size(); ++layer) {
    const double rate = json["expert_flip_rate"][layer].get<double>();
    text += fmt::format("layer {}: experts differ at {:.1f} of 1000 tokens\n", layer, 1000 * rate);
  }
  return text;
}

Expected<Measurement> prepare(const Flags& flags) {
  if (auto status = check_table(); !status) return fail(status.error());
  if (flags.tp > Device::count()) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("--tp {}, at most {} wanted (TANDEM_DEVICES raises it)", flags.tp, Device::count()));
  }
  auto folder = model_folder(flags.model);
  if (!folder) return fail(folder.error());
  auto config = load_config(*folder);
  if (!config) return fail(config.error());
  Measurement all{flags, *folder, *config, {}, {}, Figures(*config)};
  if (!flags.against.empty()) {
    auto against = load_config(flags.against);
    if (!against) return fail(against.error());
    if (auto status = check_pair(*config, *against); !status) return fail(status.error());
    all.against = std::move(*against);
  }
  auto texts = encode(flags, *folder, *config);
  if (!texts) return fail(texts.error());
  all.texts = std::move(*texts);
  return all;
}

Status measure(Measurement& all) {
  auto model = Communicator::local(all.flags.tp);
  if (!model) return fail(model.error());
  Communicators against;
  if (!all.flags.against.empty()) {
    auto other = Communicator::local(all.flags.tp);
    if (!other) return fail(other.error());
    against = std::move(*other);
  }
  return run_ranks(all, *model, against);
}

int run(const Flags& flags) {
  auto all = prepare(flags);
  if (!all) return report_failure(all.error().message, flags.json);
  if (auto status = measure(*all); !status) return report_failure(status.error().message, flags.json);
  const auto json = summary(*all);
  if (!flags.report.empty()) {
    const PageFacts facts{all->folder, flags.against, json, all->config, all->figures};
    if (auto status = write_comparison_page(flags.report, facts); !status) {
      return report_failure(status.error().message, flags.json);
    }
  }
  put(stdout, flags.json ? json.dump() + "\n" : text_of(json));
  const auto arrived = stdout_arrived();
  return arrived ? 0 : report_failure(arrived.error().message, false);
}

}  // namespace

void add_perplexity(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("perplexity", "Measure a model on texts, alone or against another");
  auto flags = std::make_shared<Flags>();
  command->add_option("--model", flags->model, "folder of the model (else TANDEM_MODEL, else the embedded model)");
  command->add_option("--data", flags->data, "JSON lines with \"text\" or \"inputs_pretokenized\"")->required();
  command->add_option("--stories", flags->stories, "texts that are read, 0 = all")->capture_default_str();
  command->add_option("--against", flags->against, "folder of the model to compare with, most often the float one");
  command->add_option("--tokens", flags->tokens, "most tokens of a text, start token included")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--tp", flags->tp, "ranks the model is split over")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--threads", flags->threads, "threads of each rank, 0 = cores / ranks")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_option("--report", flags->report, "HTML page to write");
  command->add_flag("--json", flags->json, "one JSON object on stdout");
  command->footer(
      "Each text is scored by itself, the start token first: the mean over all next tokens.\n"
      "With --against: KL of the other model's distribution from this one's per token, the share of tokens where both\n"
      "prefer the same, and for experts the share of tokens that chose others, by layer.");
  command->callback([flags, &exit_code] { exit_code = run(*flags); });
}

}  // namespace tandem::tool
