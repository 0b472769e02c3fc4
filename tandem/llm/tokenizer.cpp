// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/tokenizer.h"

#include <queue>

#include "tandem/llm/byte_level.h"
#include "tandem/llm/split.h"
#include "tandem/llm/utf8.h"

namespace tandem {
namespace {

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  size_t begin = 0;
  for (size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, begin)) {
    out.append(text.substr(begin, at - begin)).append(to);
    begin = at + from.size();
  }
  return out.append(text.substr(begin));
}

constexpr uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// A pair that may be merged; lowest rank first, then leftmost.
struct Candidate {
  int32_t rank;
  int32_t left;
  int32_t id;
  uint64_t key;
  bool operator<(const Candidate& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
};

// Symbols as a linked list in arrays; a merged right neighbour gets id -1.
struct Symbols {
  std::vector<int32_t> id, previous, next;

  explicit Symbols(const std::vector<int32_t>& ids) : id(ids), previous(ids.size()), next(ids.size()) {
    for (size_t i = 0; i < ids.size(); ++i) {
      previous[i] = static_cast<int32_t>(i) - 1;
      next[i] = i + 1 < ids.size() ? static_cast<int32_t>(i) + 1 : -1;
    }
  }
  int32_t at(int32_t index) const { return id[static_cast<size_t>(index)]; }
  int32_t after(int32_t index) const { return next[static_cast<size_t>(index)]; }
  int32_t before(int32_t index) const { return previous[static_cast<size_t>(index)]; }

  void join(int32_t left, int32_t merged) {
    const int32_t right = after(left);
    const int32_t rest = after(right);
    id[static_cast<size_t>(left)] = merged;
    id[static_cast<size_t>(right)] = -1;
    next[static_cast<size_t>(left)] = rest;
    if (rest >= 0) previous[static_cast<size_t>(rest)] = left;
  }
};

}  // namespace

std::optional<int32_t> Tokenizer::find(std::string_view piece) const {
  const auto found = ids_.find(std::string(piece));
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const Tokenizer::Added* Tokenizer::added_at(std::string_view text) const {
  if (!added_start_[static_cast<unsigned char>(text.front())]) return nullptr;
  const Added* best = nullptr;
  for (const Added& token : added_) {
    const bool longer = best == nullptr || token.content.size() > best->content.size();
    if (longer && text.starts_with(token.content)) best = &token;
  }
  return best;
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool special) const {
  std::vector<int32_t> ids;
  if (special) ids = before_;
  size_t plain = 0;
  for (size_t at = 0; at < text.size();) {
    const Added* token = added_at(text.substr(at));
    if (token == nullptr) {
      ++at;
      continue;
    }
    encode_plain(text.substr(plain, at - plain), ids);
    ids.push_back(token->id);
    at += token->content.size();
    plain = at;
  }
  encode_plain(text.substr(plain), ids);
  if (special) ids.insert(ids.end(), after_.begin(), after_.end());
  return ids;
}

std::string Tokenizer::normalised(std::string_view text) const {
  std::string normal(text);
  if (compose_) normal = composed(normal);
  for (const Replacement& step : normaliser_) {
    normal = step.from.empty() ? step.to + normal : replaced(normal, step.from, step.to);
  }
  if (prefix_space_ && !normal.starts_with(' ')) normal.insert(0, 1, ' ');
  return normal;
}

void Tokenizer::encode_plain(std::string_view text, std::vector<int32_t>& ids) const {
  if (text.empty()) return;
  const std::string normal = normalised(text);
  std::vector<std::string_view> pieces = {normal};
  for (const auto& pattern : splits_) {
    std::vector<std::string_view> finer;
    for (const std::string_view piece : pieces) pattern->split(piece, finer);
    pieces = std::move(finer);
  }
  for (const std::string_view piece : pieces) encode_piece(piece, ids);
}

void Tokenizer::encode_piece(std::string_view piece, std::vector<int32_t>& ids) const {
  std::string text;
  if (byte_level_) {
    for (const char c : piece) text += byte_text(static_cast<unsigned char>(c));
  } else {
    text = piece;
  }
  const auto whole = ignore_merges_ ? find(text) : std::nullopt;
  if (whole) return ids.push_back(*whole);
  std::vector<int32_t> symbols = split_characters(text);
  merge_all(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

std::vector<int32_t> Tokenizer::split_characters(std::string_view text) const {
  std::vector<int32_t> ids;
  bool after_unknown = false;
  while (!text.empty()) {
    const Utf8Start start = utf8_start(text);
    const size_t bytes = start.kind == Utf8Start::Kind::whole ? start.bytes : 1;
    const std::string_view character = text.substr(0, bytes);
    text.remove_prefix(bytes);
    if (const auto id = find(character)) {
      ids.push_back(*id);
      after_unknown = false;
    } else {
      push_unknown(character, ids, after_unknown);
    }
  }
  return ids;
}

void Tokenizer::push_unknown(std::string_view character, std::vector<int32_t>& ids, bool& after_unknown) const {
  if (byte_fallback_) {
    for (const char c : character) ids.push_back(byte_ids_[static_cast<unsigned char>(c)]);
    return;
  }
  if (unknown_ >= 0 && !(fuse_unknown_ && after_unknown)) ids.push_back(unknown_);
  after_unknown = true;
}

void Tokenizer::merge_all(std::vector<int32_t>& ids) const {
  Symbols symbols(ids);
  std::priority_queue<Candidate> queue;
  const auto consider = [&](int32_t left) {
    if (left < 0 || symbols.after(left) < 0) return;
    const uint64_t key = pair_key(symbols.at(left), symbols.at(symbols.after(left)));
    const auto merge = merges_.find(key);
    if (merge != merges_.end()) queue.push({merge->second.rank, left, merge->second.id, key});
  };
  for (size_t i = 0; i + 1 < ids.size(); ++i) consider(static_cast<int32_t>(i));
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    const int32_t right = symbols.at(best.left) < 0 ? -1 : symbols.after(best.left);
    const bool stale = right < 0 || pair_key(symbols.at(best.left), symbols.at(right)) != best.key;
    if (stale) continue;
    symbols.join(best.left, best.id);
    consider(symbols.before(best.left));
    consider(best.left);
  }
  std::erase_if(symbols.id, [](int32_t id) { return id < 0; });
  ids = std::move(symbols.id);
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  TextStream stream(*this);
  std::string text;
  for (const int32_t id : ids) text += stream.push(id);
  return text + stream.finish();
}

std::string TextStream::push(int32_t id) {
  if (id < 0 || id >= tokenizer_.size()) return {};
  const Tokenizer::Piece& piece = tokenizer_.pieces_[static_cast<size_t>(id)];
  if (piece.special || !piece.known) return {};
  if (piece.byte >= 0 && !tokenizer_.byte_level_) {
    held_ += static_cast<char>(piece.byte);
    return release(false);
  }
  if (tokenizer_.byte_level_) {
    held_ += bytes_of(piece.text);
    return release(false);
  }
  std::string text = piece.text;
  for (const Tokenizer::Replacement& step : tokenizer_.decoder_) text = replaced(text, step.from, step.to);
  // A piece is whole characters: bytes held back before it can no longer become one.
  std::string out = release(true);
  held_ += text;
  return out + release(false);
}

std::string TextStream::finish() { return release(true); }

std::string TextStream::release(bool all) {
  std::string out;
  size_t at = 0;
  while (at < held_.size()) {
    const Utf8Start start = utf8_start(std::string_view(held_).substr(at));
    if (start.kind == Utf8Start::Kind::incomplete && !all) break;
    const bool whole = start.kind == Utf8Start::Kind::whole;
    if (spaces_to_strip_ > 0 && held_[at] == ' ') {
      --spaces_to_strip_;
    } else {
      spaces_to_strip_ = 0;
      out += whole ? std::string_view(held_).substr(at, start.bytes) : kReplacementCharacter;
    }
    at += whole ? start.bytes : 1;
  }
  held_.erase(0, at);
  return out;
}

}  // namespace tandem
