// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/tokenizer_model.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <unordered_set>
#include <vector>

#include "tandem/base/json.h"

namespace tandem {
namespace {

using nlohmann::json;

constexpr size_t kMostPieces = 1 << 22;
constexpr size_t kModelLimit = size_t{256} << 20;
constexpr size_t kLongestPiece = 256;
constexpr int64_t kBytePairs = 2;  // of TrainerSpec.model_type
enum PieceType : int64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kByte = 6 };

// One field of a protobuf message.
struct Field {
  uint64_t number = 0;
  uint64_t value = 0;     // varint or fixed
  std::string_view text;  // of a length-delimited field
};

class Message {
 public:
  explicit Message(std::string_view bytes) : rest_(bytes) {}
  bool broken() const { return broken_; }

  // False at the end, or where the bytes are no message.
  bool next(Field& field) {
    if (rest_.empty() || broken_) return false;
    const uint64_t key = varint();
    field = {key >> 3, 0, {}};
    switch (key & 7) {
      case 0: field.value = varint(); break;
      case 1: field.value = fixed(8); break;
      case 2: field.text = take(varint()); break;
      case 5: field.value = fixed(4); break;
      default: broken_ = true;
    }
    return !broken_;
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    broken_ = true;
    return 0;
  }
  uint64_t fixed(size_t bytes) {
    const std::string_view raw = take(bytes);
    uint64_t value = 0;
    for (size_t i = raw.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(raw[i]);
    return value;
  }
  std::string_view take(uint64_t bytes) {
    if (bytes > rest_.size()) {
      broken_ = true;
      return {};
    }
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }

  std::string_view rest_;
  bool broken_ = false;
};

struct Piece {
  std::string text;
  float score = 0;
  int64_t type = kNormal;
};

struct Source {
  std::vector<Piece> pieces;
  int64_t model_type = 1;
  bool byte_fallback = false, dummy_prefix = true, table = false, squeeze = true;
};

bool read_piece(std::string_view bytes, Piece& piece) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (field.number == 1) piece.text = field.text;
    if (field.number == 2) {
      const auto bits = static_cast<uint32_t>(field.value);
      std::memcpy(&piece.score, &bits, sizeof bits);
    }
    if (field.number == 3) piece.type = static_cast<int64_t>(field.value);
  }
  return !message.broken() && !piece.text.empty() && piece.text.size() <= kLongestPiece && piece.score == piece.score;
}

bool read_specs(const Field& field, Source& source) {
  Message message(field.text);
  for (Field own; message.next(own);) {
    if (field.number == 2 && own.number == 3) source.model_type = static_cast<int64_t>(own.value);
    if (field.number == 2 && own.number == 35) source.byte_fallback = own.value != 0;
    if (field.number == 3 && own.number == 2) source.table = !own.text.empty();
    if (field.number == 3 && own.number == 3) source.dummy_prefix = own.value != 0;
    if (field.number == 3 && own.number == 4) source.squeeze = own.value != 0;
  }
  return !message.broken();
}

std::string read(std::string_view bytes, Source& source) {
  Message message(bytes);
  for (Field field; message.next(field);) {
    if (field.number == 1) {
      if (source.pieces.size() == kMostPieces) return "too many pieces";
      Piece piece;
      if (!read_piece(field.text, piece)) return fmt::format("piece {} is broken", source.pieces.size());
      source.pieces.push_back(std::move(piece));
    }
    if ((field.number == 2 || field.number == 3) && !read_specs(field, source)) return "its settings are broken";
  }
  if (message.broken()) return "no protobuf message";
  if (source.pieces.empty()) return "no pieces in it";
  if (source.model_type != kBytePairs) return fmt::format("model_type {} given, BPE (2) wanted", source.model_type);
  if (source.table) return "a table of characters for normalisation given, none wanted";
  if (source.squeeze) return "remove_extra_whitespaces true, false wanted";
  return {};
}

// Every way to put a piece together, better scores first.
json merges_of(const Source& source) {
  std::unordered_set<std::string_view> known;
  for (const Piece& piece : source.pieces) known.insert(piece.text);
  std::vector<size_t> order(source.pieces.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return source.pieces[a].score > source.pieces[b].score; });
  json merges = json::array();
  for (const size_t index : order) {
    const Piece& piece = source.pieces[index];
    if (piece.type != kNormal) continue;
    const std::string_view text = piece.text;
    for (size_t at = 1; at < text.size(); ++at) {
      const bool inside = (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
      if (inside || !known.contains(text.substr(0, at)) || !known.contains(text.substr(at))) continue;
      merges.push_back({text.substr(0, at), text.substr(at)});
    }
  }
  return merges;
}

}  // namespace

Expected<json> tokenizer_json_of_model(std::string_view bytes, const std::string& what) {
  Source source;
  if (const std::string wrong = read(bytes, source); !wrong.empty())
    return fail(ErrorCode::malformed, what + ": " + wrong);
  json vocabulary = json::object(), added = json::array(), normalisers = json::array();
  std::string unknown;
  json post;
  for (size_t id = 0; id < source.pieces.size(); ++id) {
    const Piece& piece = source.pieces[id];
    if (!vocabulary.emplace(piece.text, id).second) {
      return fail(ErrorCode::malformed, fmt::format("{}: piece {} is there twice", what, id));
    }
    if (piece.type == kUnknown) unknown = piece.text;
    if (piece.type == kControl) added.push_back({{"id", id}, {"content", piece.text}, {"special", true}});
    if (piece.type == kControl && piece.text == "<s>") {
      post = {{"type", "TemplateProcessing"},
              {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
              {"special_tokens", {{"<s>", {{"ids", {id}}}}}}};
    }
  }
  const std::string space = "\u2581";
  if (source.dummy_prefix) normalisers.push_back({{"type", "Prepend"}, {"prepend", space}});
  normalisers.push_back({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", space}});
  json decoders = json::array();
  decoders.push_back({{"type", "Replace"}, {"pattern", {{"String", space}}}, {"content", " "}});
  decoders.push_back({{"type", "ByteFallback"}});
  if (source.dummy_prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1u}, {"stop", 0u}});
  return json{{"model",
               {{"type", "BPE"},
                {"unk_token", unknown},
                {"fuse_unk", true},
                {"byte_fallback", source.byte_fallback},
                {"vocab", std::move(vocabulary)},
                {"merges", merges_of(source)}}},
              {"added_tokens", std::move(added)},
              {"normalizer", {{"type", "Sequence"}, {"normalizers", std::move(normalisers)}}},
              {"post_processor", std::move(post)},
              {"decoder", {{"type", "Sequence"}, {"decoders", std::move(decoders)}}}};
}

Expected<Tokenizer> load_tokenizer(const std::string& folder) {
  const std::string path = folder + "/tokenizer.json", model = folder + "/tokenizer.model";
  if (::access(path.c_str(), F_OK) == 0 || ::access(model.c_str(), F_OK) != 0) return Tokenizer::load(path);
  const auto bytes = read_file(model, kModelLimit);
  if (!bytes) return fail(bytes.error());
  const auto source = tokenizer_json_of_model(*bytes, model);
  if (!source) return fail(source.error());
  return Tokenizer::parse(*source, model);
}

}  // namespace tandem
