// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/parsers.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "tandem/base/json.h"
#include "tandem/comm/fault.h"
#include "tandem/comm/rank_table.h"
#include "tandem/llm/config.h"
#include "tandem/llm/description.h"
#include "tandem/llm/safetensors.h"
#include "tandem/llm/split.h"
#include "tandem/llm/tokenizer.h"
#include "tandem/llm/tokenizer_model.h"
#include "tests/fuzz/comm_parsers.h"

namespace tandem::fuzz {
namespace {

bool config(std::string_view bytes) {
  const auto json = parse_json(bytes, "fuzz");
  return json && parse_config(*json, "fuzz");
}

bool tokenizer(std::string_view bytes) {
  const auto json = parse_json(bytes, "fuzz");
  if (!json) return false;
  const auto made = Tokenizer::parse(*json, "fuzz");
  if (!made) return false;
  const auto ids = made->encode(bytes.substr(0, 200));
  return !made->decode(ids).empty() || ids.empty();
}

// A build without patterns refuses all of these.
bool byte_level(std::string_view bytes) {
  return composition_available() ? tokenizer(bytes) : parse_json(bytes, "fuzz").has_value();
}

bool tokenizer_model(std::string_view bytes) {
  const auto json = tokenizer_json_of_model(bytes, "fuzz");
  return json && Tokenizer::parse(*json, "fuzz");
}

bool description(std::string_view bytes) {
  const auto json = parse_json(bytes, "fuzz");
  if (!json) return false;
  const auto made = Description::parse(*json, "fuzz");
  return made && made->type_of("a") && made->group_size() >= 0;
}

bool safetensors(std::string_view bytes) {
  if (bytes.size() < kSafetensorsPrefix) return false;
  std::array<std::byte, kSafetensorsPrefix> prefix;
  std::memcpy(prefix.data(), bytes.data(), prefix.size());
  const auto length = safetensors_header_bytes(prefix, bytes.size());
  if (!length) return false;
  const std::string_view header = bytes.substr(kSafetensorsPrefix, *length);
  return parse_safetensors_header(header, bytes.size() - kSafetensorsPrefix - *length).has_value();
}

bool rank_table(std::string_view bytes) { return parse_rank_table(bytes, "fuzz").has_value(); }

bool fault(std::string_view bytes) { return parse_fault(bytes).has_value(); }

constexpr std::string_view kConfig = R"({"architectures":["MixtralForCausalLM"],"model_type":"mixtral","hidden_size":64,
"intermediate_size":172,"num_hidden_layers":5,"num_attention_heads":8,"num_key_value_heads":4,"head_dim":8,
"vocab_size":512,"max_position_embeddings":512,"rms_norm_eps":1e-05,"rope_theta":10000.0,"hidden_act":"silu",
"tie_word_embeddings":true,"attention_bias":false,"mlp_bias":false,"bos_token_id":1,"eos_token_id":2,
"torch_dtype":"float32","num_local_experts":4,"num_experts_per_tok":2})";

constexpr std::string_view kTokenizer = R"({"version":"1.0","added_tokens":[{"id":0,"content":"<unk>","special":true},
{"id":1,"content":"<s>","special":true}],"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"_"},
{"type":"Replace","pattern":{"String":" "},"content":"_"}]},"pre_tokenizer":null,"post_processor":null,"decoder":null,
"model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"byte_fallback":false,
"vocab":{"<unk>":0,"<s>":1,"a":2,"b":3,"ab":4,"_":5},"merges":["a b"]}})";

// The byte-level kind: its ways apart from the other.
constexpr std::string_view kByteLevel = R"J({"added_tokens":[],"normalizer":{"type":"NFC"},"pre_tokenizer":{
"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\p{L}+|\\s+(?!\\S)"},"behavior":"Isolated",
"invert":false},{"type":"ByteLevel","add_prefix_space":false,"use_regex":true}]},"post_processor":{"type":"ByteLevel"},
"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","ignore_merges":true,"vocab":{"a":0,"b":1,"ab":2},
"merges":[["a","b"]]}})J";

constexpr std::string_view kDescription =
    R"({"a.weight":"W8A8_DYNAMIC","a.weight_scale":"W8A8_DYNAMIC","version":"1.0.0","group_size":32,"metadata":{}})";

// Pieces <unk>, a, b, ab with scores and types, then settings: BPE, byte fallback off, no extra spaces removed.
constexpr std::string_view kTokenizerModel(
    "\x0a\x0e\x0a\x05<unk>\x15\x00\x00\x00\x00\x18\x02"
    "\x0a\x08\x0a\x01"
    "a\x15\x00\x00\x00\xc0"
    "\x0a\x08\x0a\x01"
    "b\x15\x00\x00\x40\xc0"
    "\x0a\x09\x0a\x02"
    "ab\x15\x00\x00\x80\xbf"
    "\x12\x02\x18\x02\x1a\x04\x18\x01\x20\x00",
    16 + 10 + 10 + 11 + 10);

// Every key the parser looks at.
constexpr std::string_view kRankTable = R"({"version":"1.2","status":"completed","server_count":"2","server_list":[
{"server_id":"10.0.0.1","host_ip":"10.0.0.1","device":[{"device_id":"0","super_device_id":"0","device_ip":"192.168.1.8",
"device_port":"16666","host_port":"16667","backup_device_ip":"192.168.1.9","backup_device_port":"16668","rank_id":"0"},
{"device_id":"1","device_ip":"","rank_id":"1"}]},{"server_id":"10.0.0.2","host_nic_ip":"reserve",
"device":[{"device_id":"0","rank_id":2}]}],"super_pod_list":[{"super_pod_id":"0",
"server_list":[{"server_id":"10.0.0.1"},{"server_id":"10.0.0.2"}]}]})";

constexpr std::string_view kSafetensors(
    "\x50\x00\x00\x00\x00\x00\x00\x00"
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"__metadata__":{"k":"v"}} )"
    "12345678",
    8 + 80 + 8);

constexpr std::array kParsers = {
    Parser{"config", config, kConfig},
    Parser{"tokenizer", tokenizer, kTokenizer},
    Parser{"byte_level", byte_level, kByteLevel},
    Parser{"tokenizer_model", tokenizer_model, kTokenizerModel},
    Parser{"description", description, kDescription},
    Parser{"safetensors", safetensors, kSafetensors},
    Parser{"rank_table", rank_table, kRankTable},
    Parser{"fault", fault, "kill:rank=1:step=ready:count=3"},
};

}  // namespace

std::span<const Parser> parsers() {
  static const std::vector<Parser> all = [] {
    std::vector<Parser> list(kParsers.begin(), kParsers.end());
    for (const auto& more : {comm_parsers(), far_parsers()}) list.insert(list.end(), more.begin(), more.end());
    return list;
  }();
  return all;
}

}  // namespace tandem::fuzz
