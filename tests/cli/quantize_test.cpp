// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "tests/cli/tool.h"

namespace tandem::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A safetensors file as a reader of its own sees it.
struct Tensors {
  json header;
  std::string data;

  explicit Tensors(const std::string& path) {
    const std::string bytes = file_bytes(path);
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    header = json::parse(bytes.substr(8, length));
    data = bytes.substr(8 + length);
  }
  std::string bytes(const std::string& name) const {
    const auto& at = header[name]["data_offsets"];
    return data.substr(at[0], at[1].get<size_t>() - at[0].get<size_t>());
  }
  float* floats(const std::string& name) {
    return reinterpret_cast<float*>(data.data() + header[name]["data_offsets"][0].get<size_t>());
  }
  void write(const std::string& path) const {
    const std::string text = header.dump();
    const uint64_t length = text.size();
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&length), sizeof length);
    file << text << data;
  }
};

// Sanitizers see less of the same.
const std::string kTexts = kSlower > 1 ? "3" : "16";
const std::string kStories = kSlower > 1 ? "4" : "32";
constexpr double kSlack = kSlower > 1 ? 2 : 1;

constexpr const char* kFirstPart = "/quant_model_weights-00001-of-00001.safetensors";

class Quantize : public testing::Test {
 protected:
  void SetUp() override {
    moe_ = shared_model("stories260K-moe4top2");
    if (moe_.empty()) GTEST_SKIP() << "TANDEM_TEST_DATA has no stories260K-moe4top2";
    root_ = fs::path(moe_).parent_path();
    out_ = testing::TempDir() + "tandem-quantize-XXXXXX";
    ASSERT_NE(::mkdtemp(out_.data()), nullptr);
  }
  void TearDown() override { fs::remove_all(out_); }

  std::vector<std::string> arguments(const std::string& model, const std::string& out,
                                     std::vector<std::string> more) const {
    more.insert(more.begin(), {"quantize", "--json", "--model", model, "--out", out, "--calib",
                               root_ / "text/calib_tinystories_50.jsonl"});
    return more;
  }
  json quantized(const std::string& model, std::vector<std::string> more) const {
    more.insert(more.end(), {"--texts", kTexts});
    const Outcome outcome = run(arguments(model, out_, more));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return json::parse(outcome.out, nullptr, false);
  }
  json measured(const std::string& model, const std::string& against) const {
    const Outcome outcome = run({"perplexity", "--json", "--model", model, "--against", against, "--data",
                                 root_ / "text/eval_tinystories_96.jsonl", "--stories", kStories});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return json::parse(outcome.out, nullptr, false);
  }
  std::string hf() const { return root_ / "stories260K-hf"; }

  std::string moe_, out_;
  fs::path root_;
};

TEST_F(Quantize, SeedRecipeKeepsTheClampOfLeastError) {
  const json report = quantized(moe_, {"--recipe", "seed"});
  int fixed = 0;
  for (const json& row : report["linears"]) {
    if (row["type"] != "W8A8") continue;
    ++fixed;
    EXPECT_LE(row["mse"].get<double>(), std::min(row["mse_none"].get<double>(), row["mse_clamp_thr"].get<double>()));
    EXPECT_NE(row["name"].get<std::string>().find("self_attn"), std::string::npos);
  }
  EXPECT_EQ(fixed, 10);
  EXPECT_LE(measured(out_, moe_)["kl_per_token"].get<double>(), 0.014 * kSlack);
}

// A folder of the same mixture by another writer.
TEST_F(Quantize, SameTensorsAsTheVendorsFolder) {
  quantized(moe_, {"--recipe", "seed"});
  const fs::path folder = root_ / "stories260K-moe4top2-w8a8-ascendv1";
  const Tensors wanted(folder.string() + kFirstPart), got(out_ + kFirstPart);
  ASSERT_EQ(got.header.size(), wanted.header.size());
  size_t equal = 0;
  for (const auto& [name, tensor] : wanted.header.items()) {
    if (name == "__metadata__") continue;
    ASSERT_TRUE(got.header.contains(name)) << name;
    EXPECT_EQ(got.header[name]["dtype"], tensor["dtype"]) << name;
    EXPECT_EQ(got.header[name]["shape"], tensor["shape"]) << name;
    const bool weight = tensor["dtype"] == "I8" || name.ends_with("weight_scale") || name.ends_with("weight_offset");
    if (!weight) continue;
    ++equal;
    EXPECT_EQ(got.bytes(name), wanted.bytes(name)) << name;
  }
  EXPECT_EQ(equal, 200u);
  EXPECT_EQ(got.header["model.layers.0.block_sparse_moe.gate.weight"]["dtype"], "F32");
  for (const char* name : {"/quant_model_description.json", "/quant_model_weights.safetensors.index.json"}) {
    EXPECT_EQ(json::parse(file_bytes(out_ + name)), json::parse(file_bytes(folder.string() + name))) << name;
  }
}

struct Gate {
  const char* recipe;
  double kl;
};
class Divergence : public Quantize, public testing::WithParamInterface<Gate> {};
TEST_P(Divergence, OfTheDenseModelIsSmall) {
  quantized(hf(), {"--recipe", GetParam().recipe});
  EXPECT_LE(measured(out_, hf())["kl_per_token"].get<double>(), GetParam().kl * kSlack);
}
INSTANTIATE_TEST_SUITE_P(Recipes, Divergence,
                         testing::Values(Gate{"w8a8-dynamic", 0.003}, Gate{"seed", 0.004}, Gate{"w8a16", 0.001},
                                         Gate{"w4a16-g32", 0.2}));

// A few channels of each norm times 50, what reads them divided by 50: the same function in floats.
void add_outliers(Tensors& model) {
  for (int layer = 0; layer < 5; ++layer) {
    const std::string base = "model.layers." + std::to_string(layer);
    const auto scale = [&](const std::string& norm, const std::vector<std::string>& readers) {
      for (const size_t channel : {size_t{3}, size_t{40}}) {
        model.floats(base + norm)[channel] *= 50;
        for (const std::string& name : readers) {
          const auto rows = model.header[base + name]["shape"][0].get<size_t>();
          for (size_t row = 0; row < rows; ++row) model.floats(base + name)[row * 64 + channel] /= 50;
        }
      }
    };
    scale(".input_layernorm.weight",
          {".self_attn.q_proj.weight", ".self_attn.k_proj.weight", ".self_attn.v_proj.weight"});
    scale(".post_attention_layernorm.weight", {".mlp.gate_proj.weight", ".mlp.up_proj.weight"});
  }
}

TEST_F(Quantize, SmoothingRecoversFromOutliers) {
  Tensors model(hf() + "/model.safetensors");
  add_outliers(model);
  const ModelCopy copy(hf(), "model.safetensors", "");
  model.write(copy.folder + "/model.safetensors");
  quantized(copy.folder, {"--recipe", "w8a8"});
  const json rough = measured(out_, copy.folder);
  const double plain = measured(hf(), copy.folder)["perplexity"].get<double>();
  EXPECT_NEAR(rough["against_perplexity"].get<double>(), plain, 0.0005);
  EXPECT_GE(rough["perplexity"].get<double>(), 2 * plain);
  quantized(copy.folder, {"--recipe", "w8a8", "--smooth", "m4"});
  EXPECT_LE(measured(out_, copy.folder)["perplexity"].get<double>(), (1 + 0.02 * kSlack) * plain);
}

std::map<std::string, std::string> files_of(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    files[entry.path().filename()] = entry.is_regular_file() ? file_bytes(entry.path()) : "a folder";
  }
  return files;
}

TEST_F(Quantize, AKilledRunGoesOnToTheSameBytes) {
  const std::string whole = out_ + "/whole", cut = out_ + "/cut", texts = kSlower > 1 ? "4" : "24";
  ASSERT_EQ(run(arguments(moe_, whole, {"--texts", texts})).exit_code, 0);
  Tool tool(arguments(moe_, cut, {"--texts", texts}));
  EXPECT_TRUE(tool.wait_for_text(0, "layer 2 of 5"));
  ::kill(tool.pid(), SIGKILL);
  // On a busy machine it may have been faster.
  const bool killed =
      tool.finish().exit_code == 128 + SIGKILL && fs::exists(cut + "/.tandem-quantize/layer-00000.json");
  const Outcome again = run(arguments(moe_, cut, {"--texts", texts}));
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_TRUE(!killed || again.err.find("layer 1 of 5") == std::string::npos) << again.err;
  EXPECT_TRUE(files_of(cut) == files_of(whole));
}

TEST_F(Quantize, RefusesWhatItCannotDo) {
  const auto refusal = [&](std::vector<std::string> more) {
    const Outcome outcome = run(arguments(moe_, out_, std::move(more)));
    EXPECT_EQ(outcome.exit_code, 1);
    return outcome.err;
  };
  EXPECT_NE(refusal({"--recipe", "w3"}).find("--recipe w3, seed, w8a8"), std::string::npos);
  EXPECT_NE(refusal({"--clip", "percentile:2"}).find("percentile:P (0 < P <= 1)"), std::string::npos);
  EXPECT_NE(refusal({"--smooth", "m2"}).find("--smooth m2, none, m1"), std::string::npos);
  const Outcome twice = run(arguments(root_ / "stories260K-moe4top2-w8a8-ascendv1", out_, {}));
  EXPECT_NE(twice.err.find("quantised already"), std::string::npos) << twice.err;
}

}  // namespace
}  // namespace tandem::cli
