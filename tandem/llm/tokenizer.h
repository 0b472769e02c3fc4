// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tandem/base/status.h"

#pragma GCC visibility push(default)
namespace tandem {

class SplitPattern;

// tokenizer.json with a BPE model: the sentencepiece kind (Prepend and Replace normalisers, byte fallback) and the
// byte-level kind (NFC, Split patterns, ByteLevel).
class Tokenizer {
 public:
  static Expected<Tokenizer> load(const std::string& path);
  static Expected<Tokenizer> parse(const nlohmann::json& json, const std::string& what);

  // Ids of `text`; with `special`, what the template puts before and after it. Bytes that are no UTF-8 go through
  // byte fallback one by one.
  std::vector<int32_t> encode(std::string_view text, bool special = true) const;
  // The text of a whole sequence, special tokens left out; always valid UTF-8.
  std::string decode(std::span<const int32_t> ids) const;
  // Largest id + 1.
  int64_t size() const { return static_cast<int64_t>(pieces_.size()); }
  std::optional<int32_t> find(std::string_view piece) const;

 private:
  friend class TokenizerLoader;
  friend class TextStream;

  struct Replacement {
    std::string from, to;  // from empty: prepend `to`
  };
  struct Merge {
    int32_t rank, id;
  };
  struct Added {
    std::string content;
    int32_t id;
  };
  struct Piece {
    std::string text;
    bool special = false;
    int16_t byte = -1;  // value of <0xNN>
    bool known = false;
  };

  void encode_plain(std::string_view text, std::vector<int32_t>& ids) const;
  void encode_piece(std::string_view piece, std::vector<int32_t>& ids) const;
  std::string normalised(std::string_view text) const;
  std::vector<int32_t> split_characters(std::string_view text) const;
  void push_unknown(std::string_view character, std::vector<int32_t>& ids, bool& after_unknown) const;
  void merge_all(std::vector<int32_t>& ids) const;
  const Added* added_at(std::string_view text) const;

  std::vector<Piece> pieces_;  // by id
  std::unordered_map<std::string, int32_t> ids_;
  std::unordered_map<uint64_t, Merge> merges_;  // left << 32 | right
  std::vector<Added> added_;
  std::array<bool, 256> added_start_{};
  std::vector<Replacement> normaliser_, decoder_;
  std::vector<std::shared_ptr<const SplitPattern>> splits_;
  std::vector<int32_t> before_, after_;
  std::array<int32_t, 256> byte_ids_{};
  int64_t strip_spaces_ = 0;  // leading spaces the decoder takes away
  int32_t unknown_ = -1;
  bool fuse_unknown_ = false;
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;
  bool byte_level_ = false;    // pieces are written in the characters of bytes
  bool prefix_space_ = false;  // a text begins with a space
  bool compose_ = false;       // NFC
};

// Decodes ids as they come and holds back bytes until they are whole characters.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer) : tokenizer_(tokenizer), spaces_to_strip_(tokenizer.strip_spaces_) {}
  std::string push(int32_t id);
  // What is still held back, broken characters as U+FFFD.
  std::string finish();

 private:
  std::string release(bool all);

  const Tokenizer& tokenizer_;
  std::string held_;
  int64_t spaces_to_strip_;
};

}  // namespace tandem
#pragma GCC visibility pop
