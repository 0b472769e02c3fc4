// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tandem/exec/wait.h"
#include "tandem/kernels/table.h"
#include "tandem/llm/generator_state.h"
#include "tandem/llm/sampler.h"
#include "tandem/llm/sha256.h"

namespace tandem {

namespace {

double milliseconds_since(int64_t start_ns) { return static_cast<double>(monotonic_ns() - start_ns) * 1e-6; }

}  // namespace

// One run over a prompt.
class Generation {
 public:
  Generation(Decoder& decoder, KvCache& cache, Stream& stream, const ModelConfig& config,
             const GenerateOptions& options)
      : decoder_(decoder),
        cache_(cache),
        stream_(stream),
        config_(config),
        options_(options),
        sampler_(options.temperature, options.seed),
        row_(static_cast<size_t>(config.vocabulary)) {}
  ~Generation() { cache_.release(table_); }
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  // The whole sequence, prompt and all, stays within `positions`.
  Expected<GenerateResult> run(int64_t positions) {
    room_ = std::min(options_.max_tokens, positions - static_cast<int64_t>(options_.prompt.size()));
    const int64_t start = monotonic_ns();
    if (auto status = prefill(); !status) return fail(status.error());
    result_.first_token_ms = milliseconds_since(start);
    const int64_t decoding = monotonic_ns();
    while (take(next_)) {
      if (auto status = step(std::span(&result_.tokens.back(), 1)); !status) return fail(status.error());
    }
    const auto count = static_cast<double>(result_.tokens.size());
    const double decode_ms = milliseconds_since(decoding);
    const bool decoded = result_.tokens.size() > 1;
    const double seconds = 1e-3 * (decoded ? decode_ms : decode_ms + result_.first_token_ms);
    result_.tokens_per_second = seconds > 0 ? (decoded ? count - 1 : count) / seconds : 0;
    if (options_.hash_logits) result_.logits_sha256 = hash_.finish();
    return std::move(result_);
  }

 private:
  Status prefill() {
    std::span<const int32_t> rest = options_.prompt;
    while (!rest.empty()) {
      const size_t rows = std::min(rest.size(), static_cast<size_t>(Decoder::kMaxRows));
      picks_ = rows == rest.size();
      if (auto status = step(rest.first(rows)); !status) return status;
      rest = rest.subspan(rows);
    }
    return {};
  }

  // Whether generation goes on after `token`, which is kept unless it ends the text.
  bool take(int32_t token) {
    const bool ends = !options_.ignore_eos && config_.is_eos(token);
    if (ends || room_ <= 0) return false;
    result_.tokens.push_back(token);
    if (options_.on_token) options_.on_token(token);
    return std::cmp_less(result_.tokens.size(), room_);
  }

  // Forward of `tokens` at the next positions; picks the token after the last of them.
  Status step(std::span<const int32_t> tokens) {
    const auto rows = static_cast<int64_t>(tokens.size());
    if (auto status = cache_.reserve(table_, position_ + rows); !status) return status;
    if (auto status = decoder_.prepare(rows); !status) return status;
    const auto submitted = stream_.submit([this, tokens](Lane& lane) { return forward(tokens, lane); });
    if (!submitted) return submitted;
    if (auto status = stream_.synchronize(); !status) return status;
    position_ += rows;
    return {};
  }

  Status forward(std::span<const int32_t> tokens, Lane& lane) {
    if (auto status = decoder_.run(tokens, position_, table_, lane); !status) return status;
    const auto rows = static_cast<int64_t>(tokens.size());
    for (const int64_t wanted : options_.logits_at) {
      if (wanted >= position_ && wanted < position_ + rows) keep_logits(wanted, lane);
    }
    if (!picks_) return {};
    decoder_.logits(rows - 1, 1, row_.data(), lane);
    if (options_.hash_logits) hash_.update(std::as_bytes(std::span(row_)));
    next_ = sampler_.pick(row_);
    return {};
  }

  void keep_logits(int64_t position, Lane& lane) {
    std::vector<float>& kept = result_.logits[position];
    kept.resize(row_.size());
    decoder_.logits(position - position_, 1, kept.data(), lane);
  }

  Decoder& decoder_;
  KvCache& cache_;
  Stream& stream_;
  const ModelConfig& config_;
  const GenerateOptions& options_;
  Sampler sampler_;
  std::vector<float> row_;  // logits of the last position
  std::vector<int32_t> table_;
  int64_t position_ = 0;  // positions the cache holds
  int64_t room_ = 0;      // tokens that may be generated
  int32_t next_ = 0;
  bool picks_ = true;
  Sha256 hash_;
  GenerateResult result_;
};

Generator::Generator() : state_(std::make_unique<State>()) {}
Generator::~Generator() = default;

Expected<std::unique_ptr<Generator>> Generator::create(const Setup& setup, std::shared_ptr<Communicator> comm) {
  std::unique_ptr<Generator> generator(new Generator());
  State& s = *generator->state_;
  s.comm = std::move(comm);
  auto device = Device::get(s.comm->device());
  if (!device) return fail(device.error());
  s.device = *device;
  s.device->share_host_with(s.comm->size(), setup.threads);
  auto model = Model::load(setup.folder, s.comm->rank(), s.comm->size());
  if (!model) return fail(model.error());
  s.model = std::move(*model);
  const ModelConfig& config = s.model->config;
  s.positions = setup.positions > 0 ? std::min(setup.positions, config.context) : config.context;
  KvCache::Shape shape{.layers = config.layers, .head_dim = config.head_dim, .dtype = s.model->dtype};
  shape.blocks = (s.positions + KvCache::kBlock - 1) / KvCache::kBlock;
  for (const HeadPiece& piece : s.model->shard.pieces) shape.kv_heads.push_back(piece.kv.count);
  auto cache = KvCache::create(shape);
  if (!cache) return fail(cache.error());
  s.cache = std::move(*cache);
  s.rope = RopeTable(s.positions, config.head_dim, config.rope_theta);
  s.decoder = std::make_unique<Decoder>(*s.model, s.cache, s.rope, *s.device, s.comm->name());
  if (auto status = s.decoder->allocate(); !status) return fail(status.error());
  auto stream = Stream::create(*s.device);
  if (!stream) return fail(stream.error());
  s.stream = std::move(*stream);
  return generator;
}

Status Generator::State::check(std::span<const int32_t> prompt) const {
  if (prompt.empty()) return fail(ErrorCode::invalid_argument, "generate: prompt is empty, one token wanted");
  if (std::cmp_greater(prompt.size(), positions)) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("generate: prompt has {} tokens, at most {} wanted (context)", prompt.size(), positions));
  }
  for (const int32_t token : prompt) {
    if (token >= 0 && token < model->config.vocabulary) continue;
    return fail(ErrorCode::invalid_argument,
                fmt::format("generate: prompt token {}, a value in [0, {}) wanted (tokenizer and model disagree)",
                            token, model->config.vocabulary));
  }
  return {};
}

Expected<GenerateResult> Generator::run(const GenerateOptions& options) {
  const ModelConfig& config = state_->model->config;
  if (auto status = state_->check(options.prompt); !status) return fail(status.error());
  return Generation(*state_->decoder, state_->cache, *state_->stream, config, options).run(state_->positions);
}

size_t Generator::memory_bytes() const {
  return state_->model->store.bytes() + state_->cache.bytes() + state_->decoder->bytes();
}

std::string_view kernel_table_name() { return default_table().name; }

}  // namespace tandem
