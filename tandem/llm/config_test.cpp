// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tandem/base/json.h"

namespace tandem {
namespace {

using nlohmann::json;

json llama() {
  return json::parse(R"({"architectures":["LlamaForCausalLM"],"hidden_size":64,"intermediate_size":172,
    "num_hidden_layers":5,"num_attention_heads":8,"num_key_value_heads":4,"vocab_size":512,
    "max_position_embeddings":512,"rms_norm_eps":1e-5,"tie_word_embeddings":true,"bos_token_id":1,"eos_token_id":[2,7]})");
}

json qwen3_moe() {
  json config = llama();
  config["architectures"] = {"Qwen3MoeForCausalLM"};
  config.update(json::parse(R"({"moe_intermediate_size":48,"num_experts":6,"num_experts_per_tok":2,
    "norm_topk_prob":true,"decoder_sparse_step":2,"mlp_only_layers":[3],"head_dim":32,"sliding_window":null,
    "rope_scaling":null,"use_sliding_window":false})"));
  return config;
}

std::string refusal(const json& config) {
  const auto parsed = parse_config(config, "config");
  return parsed ? "" : parsed.error().message;
}

TEST(Config, ReadsLlama) {
  const auto config = parse_config(llama(), "config");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->head_dim, 8);
  EXPECT_EQ(config->dense_ffn, 172);
  EXPECT_EQ(config->experts, 0);
  EXPECT_FALSE(config->head_norm);
  EXPECT_TRUE(config->is_eos(7));
  EXPECT_FALSE(config->is_eos(1));
}

TEST(Config, ReadsQwen3MoeAndItsDenseLayers) {
  const auto config = parse_config(qwen3_moe(), "config");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->sparse, (std::vector<bool>{false, true, false, false, false}));
  EXPECT_EQ(config->expert_ffn, 48);
  EXPECT_EQ(config->dense_ffn, 172);
  EXPECT_EQ(config->head_dim, 32);
  EXPECT_TRUE(config->head_norm);
  EXPECT_TRUE(config->normalise_top_k);
}

TEST(Config, ReadsMixtral) {
  json source = llama();
  source["architectures"] = {"MixtralForCausalLM"};
  source["num_local_experts"] = 4;
  source["num_experts_per_tok"] = 2;
  const auto config = parse_config(source, "config");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->expert_ffn, 172);
  EXPECT_EQ(config->sparse, std::vector<bool>(5, true));
  EXPECT_TRUE(config->normalise_top_k);
}

TEST(Config, RopeParametersOfNewerFiles) {
  json source = llama();
  source["rope_parameters"] = {{"rope_theta", 5000.0}, {"rope_type", "default"}};
  EXPECT_EQ(parse_config(source, "config")->rope_theta, 5000.0);
  source["rope_parameters"]["rope_type"] = "yarn";
  EXPECT_NE(refusal(source).find("yarn"), std::string::npos);
}

struct Bad {
  const char* member;
  const char* value;
};

void PrintTo(const Bad& bad, std::ostream* out) { *out << bad.member << "=" << bad.value; }

class BadConfig : public testing::TestWithParam<Bad> {};

TEST_P(BadConfig, IsRefusedByName) {
  json source = qwen3_moe();
  source[GetParam().member] = json::parse(GetParam().value);
  const std::string text = refusal(source);
  EXPECT_NE(text.find(GetParam().member), std::string::npos) << "refusal: \"" << text << "\"";
}

INSTANTIATE_TEST_SUITE_P(
    Members, BadConfig,
    testing::Values(Bad{"architectures", "[]"}, Bad{"architectures", "[\"A\",\"B\"]"}, Bad{"hidden_size", "0"},
                    Bad{"hidden_size", "-64"}, Bad{"hidden_size", "1e3"}, Bad{"hidden_size", "18446744073709551615"},
                    Bad{"hidden_size", "\"64\""}, Bad{"num_hidden_layers", "1000000"}, Bad{"num_attention_heads", "0"},
                    Bad{"num_key_value_heads", "3"}, Bad{"head_dim", "7"}, Bad{"vocab_size", "99999999999"},
                    Bad{"rms_norm_eps", "0"}, Bad{"rms_norm_eps", "\"x\""}, Bad{"eos_token_id", "512"},
                    Bad{"bos_token_id", "-2"}, Bad{"num_experts_per_tok", "7"}, Bad{"num_experts", "0"},
                    Bad{"mlp_only_layers", "[5]"}, Bad{"attention_bias", "1"}, Bad{"hidden_act", "\"gelu\""},
                    Bad{"tie_word_embeddings", "1"}, Bad{"rope_theta", "0"}, Bad{"decoder_sparse_step", "0"},
                    Bad{"quantization_config", "{}"}));

TEST(Config, MissingMembersAreNamed) {
  for (const char* member : {"hidden_size", "num_hidden_layers", "vocab_size", "intermediate_size", "architectures"}) {
    json source = llama();
    source.erase(member);
    EXPECT_NE(refusal(source).find(member), std::string::npos) << member;
  }
  EXPECT_FALSE(parse_config(json::array(), "config"));
}

TEST(Config, UnknownArchitectureIsUnsupported) {
  json source = llama();
  source["architectures"] = {"GPT2LMHeadModel"};
  const auto parsed = parse_config(source, "config");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, ErrorCode::unsupported);
}

TEST(Json, RefusesWhatTheLibraryWouldAccept) {
  EXPECT_FALSE(parse_json(R"({"a":1,"a":2})", "t"));
  EXPECT_FALSE(parse_json(R"({"b":{"a":1,"a":2}})", "t"));
  EXPECT_FALSE(parse_json(std::string(100, '[') + std::string(100, ']'), "t"));
  EXPECT_FALSE(parse_json("{\"a\":\"\xff\"}", "t"));
  EXPECT_FALSE(parse_json("{} x", "t"));
  EXPECT_FALSE(parse_json("", "t"));
  EXPECT_TRUE(parse_json(R"({"a":{"x":1},"b":{"x":1}})", "t"));
}

TEST(Json, FilesAreBounded) {
  EXPECT_FALSE(read_json("/nonexistent/file", 10));
  EXPECT_FALSE(read_file("/proc", 10));
}

}  // namespace
}  // namespace tandem
