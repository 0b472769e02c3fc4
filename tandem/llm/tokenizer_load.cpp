// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "tandem/base/json.h"
#include "tandem/llm/split.h"
#include "tandem/llm/tokenizer.h"

namespace tandem {
namespace {

using nlohmann::json;

constexpr size_t kTokenizerLimit = 256u << 20;
constexpr int64_t kMaxId = 1 << 22;
// How much longer chained replacements may make a text, and how many ids a template may add.
constexpr double kMaxGrowth = 256;
constexpr size_t kMaxTemplateIds = 64;
constexpr size_t kMaxSplits = 16;
// What ByteLevel cuts at when it names no pattern of its own.
constexpr const char* kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Value of "<0x41>", or -1.
int16_t byte_value(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') return -1;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(piece.data() + 3, piece.data() + 5, value, 16);
  return error == std::errc{} && end == piece.data() + 5 ? static_cast<int16_t>(value) : int16_t{-1};
}

// The member, or null.
json member_of(const json& object, const char* name) {
  const auto member = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && member != object.end() ? *member : json();
}

std::string text_of(const json& object, const char* name) {
  const json member = member_of(object, name);
  return member.is_string() ? member.get<std::string>() : std::string();
}

bool flag_of(const json& object, const char* name) {
  const json member = member_of(object, name);
  return member.is_boolean() && member.get<bool>();
}

// null, one step, or a Sequence of steps under `list`.
std::vector<json> steps_of(const json& value, const char* list) {
  if (value.is_null()) return {};
  const json steps = member_of(value, list);
  if (text_of(value, "type") != "Sequence" || !steps.is_array()) return {value};
  return steps.get<std::vector<json>>();
}

// "a b", or ["a", "b"].
std::optional<std::pair<std::string, std::string>> merge_sides(const json& merge) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return std::pair(merge[0].get<std::string>(), merge[1].get<std::string>());
  }
  if (!merge.is_string()) return std::nullopt;
  const std::string& text = merge.get_ref<const std::string&>();
  const size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) return std::nullopt;
  return std::pair(text.substr(0, space), text.substr(space + 1));
}

}  // namespace

// Reads the parts of tokenizer.json one by one; each returns what is wrong, or nothing.
class TokenizerLoader {
 public:
  TokenizerLoader(const json& source, Tokenizer& target) : json_(source), t_(target) {}

  std::string run() {
    for (const auto part :
         {&TokenizerLoader::model, &TokenizerLoader::vocabulary, &TokenizerLoader::added, &TokenizerLoader::bytes,
          &TokenizerLoader::merges, &TokenizerLoader::normaliser, &TokenizerLoader::pre_tokenizer,
          &TokenizerLoader::post_processor, &TokenizerLoader::decoder}) {
      if (auto wrong = (this->*part)(); !wrong.empty()) return wrong;
    }
    return {};
  }

 private:
  std::string model() {
    const json& model = model_ = member_of(json_, "model");
    const std::string type = text_of(model, "type");
    if (type != "BPE") return fmt::format("model.type {} given, BPE wanted", type.empty() ? "absent" : type);
    t_.fuse_unknown_ = flag_of(model, "fuse_unk");
    t_.byte_fallback_ = flag_of(model, "byte_fallback");
    t_.ignore_merges_ = flag_of(model, "ignore_merges");
    for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!text_of(model, name).empty()) return fmt::format("model.{} given, none wanted", name);
    }
    return {};
  }

  std::string place(const std::string& text, const json& id_value, bool special) {
    const bool fits = id_value.is_number_unsigned() && id_value.get<uint64_t>() < static_cast<uint64_t>(kMaxId);
    if (!fits) return fmt::format("token \"{}\" has id {}, [0, {}) wanted", text, id_value.dump(), kMaxId);
    const size_t id = id_value.get<size_t>();
    if (id >= t_.pieces_.size()) t_.pieces_.resize(id + 1);
    Tokenizer::Piece& piece = t_.pieces_[id];
    if (piece.known && piece.text != text) return fmt::format("id {} given to \"{}\" and \"{}\"", id, piece.text, text);
    piece = {text, special, special ? int16_t{-1} : byte_value(text), true};
    const auto [entry, fresh] = t_.ids_.emplace(text, static_cast<int32_t>(id));
    if (!fresh && entry->second != static_cast<int32_t>(id)) return fmt::format("token \"{}\" has two ids", text);
    return {};
  }

  std::string vocabulary() {
    const json vocabulary = member_of(model_, "vocab");
    if (!vocabulary.is_object() || vocabulary.empty()) return "model.vocab: an object of ids wanted";
    for (const auto& [text, id] : vocabulary.items()) {
      if (auto wrong = place(text, id, false); !wrong.empty()) return wrong;
    }
    const std::string unknown = text_of(model_, "unk_token");
    if (unknown.empty()) return {};
    const auto id = t_.find(unknown);
    if (!id) return fmt::format("unk_token \"{}\" is not in the vocabulary", unknown);
    t_.unknown_ = *id;
    return {};
  }

  std::string added() {
    const json list = member_of(json_, "added_tokens");
    if (list.is_null()) return {};
    if (!list.is_array()) return "added_tokens: a list wanted";
    for (const json& token : list) {
      const std::string content = text_of(token, "content");
      if (content.empty()) return "added_tokens: a content wanted";
      for (const char* name : {"lstrip", "rstrip", "single_word"}) {
        if (flag_of(token, name)) return fmt::format("added token \"{}\": {} true, false wanted", content, name);
      }
      auto wrong = place(content, member_of(token, "id"), flag_of(token, "special"));
      if (!wrong.empty()) return wrong;
      t_.added_.push_back({content, *t_.find(content)});
      t_.added_start_[static_cast<unsigned char>(content.front())] = true;
    }
    return {};
  }

  std::string bytes() {
    if (!t_.byte_fallback_) return {};
    for (unsigned value = 0; value < 256; ++value) {
      const std::string piece = fmt::format("<0x{:02X}>", value);
      const auto id = t_.find(piece);
      if (!id) return fmt::format("byte_fallback true and {} is not in the vocabulary", piece);
      t_.byte_ids_[value] = *id;
    }
    return {};
  }

  std::string merges() {
    const json list = member_of(model_, "merges");
    if (!list.is_array()) return "model.merges: a list wanted";
    int32_t rank = 0;
    for (const json& merge : list) {
      const auto sides = merge_sides(merge);
      if (!sides) return fmt::format("merge {}: two texts wanted, {} given", rank, merge.dump());
      const auto left = t_.find(sides->first);
      const auto right = t_.find(sides->second);
      const auto joined = t_.find(sides->first + sides->second);
      if (!left || !right || !joined) return fmt::format("merge {}: {} is not in the vocabulary", rank, merge.dump());
      const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(*left)) << 32 | static_cast<uint32_t>(*right);
      t_.merges_.emplace(key, Tokenizer::Merge{rank, *joined});
      ++rank;
    }
    return {};
  }

  static std::optional<Tokenizer::Replacement> replacement(const json& step) {
    Tokenizer::Replacement result{text_of(member_of(step, "pattern"), "String"), text_of(step, "content")};
    if (text_of(step, "type") != "Replace" || result.from.empty()) return std::nullopt;
    return result;
  }

  // The most a byte of text can become.
  static bool grows_too_much(const std::vector<Tokenizer::Replacement>& steps) {
    double growth = 1;
    for (const auto& [from, to] : steps) {
      const auto added = static_cast<double>(to.size());
      growth *= from.empty() ? 1 + added : std::max(1.0, added / static_cast<double>(from.size()));
    }
    return growth > kMaxGrowth;
  }

  std::string normaliser() {
    for (const json& step : steps_of(member_of(json_, "normalizer"), "normalizers")) {
      if (text_of(step, "type") == "NFC") {
        if (!composition_available()) return "normalizer NFC needs utf8proc, which this build was made without";
        t_.compose_ = true;
        continue;
      }
      const std::string prefix = text_of(step, "type") == "Prepend" ? text_of(step, "prepend") : std::string();
      const auto replace = replacement(step);
      if (prefix.empty() && !replace) {
        return fmt::format("normalizer {} given, Prepend or Replace of a String wanted", step.dump());
      }
      t_.normaliser_.push_back(replace ? *replace : Tokenizer::Replacement{"", prefix});
    }
    if (grows_too_much(t_.normaliser_)) return fmt::format("normalizer: text grows more than {} fold", kMaxGrowth);
    return {};
  }

  std::string add_split(const std::string& pattern) {
    if (t_.splits_.size() >= kMaxSplits) return fmt::format("pre_tokenizer: at most {} patterns wanted", kMaxSplits);
    auto compiled = SplitPattern::compile(pattern);
    if (!compiled) return "pre_tokenizer: " + compiled.error().message;
    t_.splits_.push_back(std::move(*compiled));
    return {};
  }

  std::string byte_level(const json& step) {
    t_.byte_level_ = true;
    t_.prefix_space_ = t_.prefix_space_ || flag_of(step, "add_prefix_space");
    const json own = member_of(step, "use_regex");
    return own.is_boolean() && !own.get<bool>() ? std::string() : add_split(kByteLevelPattern);
  }

  std::string pre_tokenizer() {
    for (const json& step : steps_of(member_of(json_, "pre_tokenizer"), "pretokenizers")) {
      const std::string type = text_of(step, "type");
      const std::string pattern = text_of(member_of(step, "pattern"), "Regex");
      const bool isolated = text_of(step, "behavior") == "Isolated" && !flag_of(step, "invert");
      if (type != "ByteLevel" && (type != "Split" || pattern.empty() || !isolated)) {
        return fmt::format("pre_tokenizer {} given, ByteLevel or an isolated Split by a Regex wanted", step.dump());
      }
      auto wrong = type == "Split" ? add_split(pattern) : byte_level(step);
      if (!wrong.empty()) return wrong;
    }
    return {};
  }

  std::string template_step(const json& step, const json& specials, bool& seen_text) {
    if (!member_of(step, "Sequence").is_null()) {
      seen_text = true;
      return {};
    }
    const std::string name = text_of(member_of(step, "SpecialToken"), "id");
    const json ids = member_of(member_of(specials, name.c_str()), "ids");
    if (name.empty() || !ids.is_array()) return fmt::format("post_processor: step {} is unknown", step.dump());
    if (t_.before_.size() + t_.after_.size() + ids.size() > kMaxTemplateIds) {
      return fmt::format("post_processor: at most {} ids wanted", kMaxTemplateIds);
    }
    for (const json& id : ids) {
      const bool known = id.is_number_unsigned() && id.get<uint64_t>() < t_.pieces_.size();
      if (!known) return fmt::format("post_processor: id {} is not in the vocabulary", id.dump());
      (seen_text ? t_.after_ : t_.before_).push_back(id.get<int32_t>());
    }
    return {};
  }

  std::string post_processor() {
    for (const json& post : steps_of(member_of(json_, "post_processor"), "processors")) {
      if (text_of(post, "type") == "ByteLevel") continue;  // moves offsets only
      if (auto wrong = add_template(post); !wrong.empty()) return wrong;
    }
    return {};
  }

  std::string add_template(const json& post) {
    const json steps = member_of(post, "single");
    if (text_of(post, "type") != "TemplateProcessing" || !steps.is_array()) {
      return fmt::format("post_processor {} given, TemplateProcessing wanted", text_of(post, "type"));
    }
    bool seen_text = false;
    for (const json& step : steps) {
      auto wrong = template_step(step, member_of(post, "special_tokens"), seen_text);
      if (!wrong.empty()) return wrong;
    }
    return {};
  }

  std::string decoder() {
    for (const json& step : steps_of(member_of(json_, "decoder"), "decoders")) {
      const std::string type = text_of(step, "type");
      if (type == "ByteFallback" || type == "Fuse" || (type == "ByteLevel" && t_.byte_level_)) continue;
      if (const auto replace = replacement(step)) {
        t_.decoder_.push_back(*replace);
        continue;
      }
      const json start = member_of(step, "start");
      const json stop = member_of(step, "stop");
      const bool strip = type == "Strip" && text_of(step, "content") == " " && start.is_number_unsigned() &&
                         (stop.is_null() || stop == 0);
      if (!strip) return fmt::format("decoder {} given, Replace, ByteFallback, Fuse or Strip wanted", step.dump());
      t_.strip_spaces_ = static_cast<int64_t>(std::min<uint64_t>(start.get<uint64_t>(), 1024));
    }
    if (grows_too_much(t_.decoder_)) return fmt::format("decoder: text grows more than {} fold", kMaxGrowth);
    return {};
  }

  const json& json_;
  json model_;
  Tokenizer& t_;
};

Expected<Tokenizer> Tokenizer::parse(const nlohmann::json& source, const std::string& what) {
  Tokenizer tokenizer;
  try {
    const std::string wrong = TokenizerLoader(source, tokenizer).run();
    if (!wrong.empty()) return fail(ErrorCode::malformed, what + ": " + wrong);
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorCode::malformed, what + ": " + error.what());
  }
  return tokenizer;
}

Expected<Tokenizer> Tokenizer::load(const std::string& path) {
  const auto source = read_json(path, kTokenizerLimit);
  if (!source) return fail(source.error());
  return parse(*source, path);
}

}  // namespace tandem
