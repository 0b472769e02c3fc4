// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/weights.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "tandem/base/json.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "tandem-weights-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }
  // A file of that header and `data` zero bytes.
  std::string file_of(const std::string& header, size_t data) const {
    std::string bytes(8, '\0');
    for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(header.size() >> (8 * i) & 0xff);
    return bytes + header + std::string(data, '\0');
  }
  std::string refusal(const std::string& header, size_t data) const {
    write("model.safetensors", file_of(header, data));
    const auto opened = Checkpoint::open(folder_.string());
    return opened ? "" : opened.error().message;
  }

  fs::path folder_;
};

constexpr const char* kTwo = R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},
 "b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"__metadata__":{"format":"pt"}})";

// Opening a FIFO that nobody writes to would wait for ever.
TEST_F(Files, AFifoIsRefusedAtOnce) {
  ASSERT_EQ(::mkfifo((folder_ / "model.safetensors").c_str(), 0600), 0);
  const auto opened = Checkpoint::open(folder_.string());
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("a regular file wanted"), std::string::npos) << opened.error().message;
  const auto text = read_file((folder_ / "model.safetensors").string(), 100);
  ASSERT_FALSE(text);
  EXPECT_NE(text.error().message.find("a regular file wanted"), std::string::npos) << text.error().message;
}

TEST_F(Files, ReadsRows) {
  std::string bytes = file_of(std::string(kTwo) + "     ", 32);
  const std::array<float, 3> row{1.5f, -2.f, 3.25f};
  std::memcpy(bytes.data() + bytes.size() - 32 + 12, row.data(), sizeof row);
  write("model.safetensors", bytes);
  const auto opened = Checkpoint::open(folder_.string());
  ASSERT_TRUE(opened) << opened.error().message;
  const auto tensor = opened->require("a", {2, 3});
  ASSERT_TRUE(tensor);
  std::array<float, 3> got{};
  ASSERT_TRUE(opened->read_rows(**tensor, 1, 1, std::as_writable_bytes(std::span(got))));
  EXPECT_EQ(got, row);
  EXPECT_EQ(opened->find("b")->dtype, DType::bf16);
  EXPECT_FALSE(opened->read_rows(**tensor, 1, 2, std::as_writable_bytes(std::span(got))));
  EXPECT_FALSE(opened->read_rows(**tensor, 0, 2, std::as_writable_bytes(std::span(got))));
  EXPECT_FALSE(opened->read_rows(**tensor, -1, 1, std::as_writable_bytes(std::span(got))));
}

TEST_F(Files, RequireNamesWhatIsWrong) {
  write("model.safetensors", file_of(R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}})", 4));
  const auto opened = Checkpoint::open(folder_.string());
  ASSERT_TRUE(opened);
  EXPECT_NE(opened->require("x", {4}).error().message.find("missing"), std::string::npos);
  EXPECT_NE(opened->require("a", {2, 2}).error().message.find("[2,2]"), std::string::npos);
  EXPECT_EQ(opened->require("a", {4}).error().code, ErrorCode::unsupported);
}

TEST_F(Files, AFileThatShrinksIsAnError) {
  write("model.safetensors", file_of(kTwo, 32));
  const auto opened = Checkpoint::open(folder_.string());
  ASSERT_TRUE(opened);
  fs::resize_file(folder_ / "model.safetensors", 60);
  std::array<float, 6> got{};
  const auto status = opened->read_rows(*opened->find("a"), 0, 2, std::as_writable_bytes(std::span(got)));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::io);
}

TEST_F(Files, HostileLengths) {
  for (const std::string& bytes :
       {std::string(), std::string(7, 'x'), std::string(8, '\xff'), std::string(8, '\0'),
        std::string("\x10\0\0\0\0\0\0\0{}", 10), std::string("\x00\xe1\xf5\x05\0\0\0\0", 8)}) {
    write("model.safetensors", bytes);
    EXPECT_FALSE(Checkpoint::open(folder_.string())) << bytes.size();
  }
  EXPECT_FALSE(Checkpoint::open((folder_ / "nowhere").string()));
}

struct Hostile {
  const char* header;
  size_t data;
  const char* why;
};

void PrintTo(const Hostile& hostile, std::ostream* out) { *out << hostile.why; }

class HostileHeader : public Files, public testing::WithParamInterface<Hostile> {};

TEST_P(HostileHeader, IsRefused) {
  const std::string text = refusal(GetParam().header, GetParam().data);
  EXPECT_NE(text.find(GetParam().why), std::string::npos) << "refusal: \"" << text << "\"";
}

INSTANTIATE_TEST_SUITE_P(
    Headers, HostileHeader,
    testing::Values(
        Hostile{"[]", 0, "object"}, Hostile{"{", 0, "JSON"}, Hostile{"{\"a\":1}", 0, "object"},
        Hostile{
            R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
            8, "twice"},
        Hostile{R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "shape"},
        Hostile{R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, "shape"},
        Hostile{R"({"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}})", 4, "shape"},
        Hostile{R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})", 4, "shape"},
        Hostile{R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}})", 0, "impossible"},
        Hostile{R"({"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}})", 4, "unknown"},
        Hostile{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", 8, "span"},
        Hostile{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "begin, end"},
        Hostile{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "begin, end"},
        Hostile{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "hole"},
        Hostile{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 8, "end at"},
        Hostile{R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4, "end at"},
        Hostile{
            R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
            8, "overlap"},
        Hostile{R"({"__metadata__":{"a":1}})", 0, "__metadata__"},
        Hostile{R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":0}})", 4, "object"}));

constexpr const char* kOne = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";

TEST_F(Files, Shards) {
  write("one", file_of(kOne, 4));
  write("two", file_of(R"({"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8));
  write("model.safetensors.index.json", R"({"metadata":{"total_size":12},"weight_map":{"a":"one","b":"two"}})");
  const auto opened = Checkpoint::open(folder_.string());
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->tensors().size(), 2u);
  EXPECT_NE(opened->find("a")->file, opened->find("b")->file);
}

TEST_F(Files, HostileIndexes) {
  write("one", file_of(kOne, 4));
  write("two", file_of(kOne, 4));
  fs::create_directory(folder_ / "sub");
  for (const char* index :
       {R"({"weight_map":{"a":"../one"}})", R"({"weight_map":{"a":"/etc/passwd"}})", R"({"weight_map":{"a":"gone"}})",
        R"({"weight_map":{"x":"one"}})", R"({"weight_map":{"a":1}})", R"({"weight_map":{"a":""}})",
        R"({"weight_map":[]})", R"({"weight_map":{"a":".."}})", R"({"weight_map":{"a":"sub"}})",
        R"({"weight_map":{"a":"one","a":"two"}})", "{}"}) {
    write("model.safetensors.index.json", index);
    EXPECT_FALSE(Checkpoint::open(folder_.string())) << index;
  }
}

TEST_F(Files, ATensorInTwoShardsIsRefused) {
  write("one", file_of(kOne, 4));
  write(
      "two",
      file_of(
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
          8));
  write("model.safetensors.index.json", R"({"weight_map":{"a":"one","b":"two"}})");
  const auto opened = Checkpoint::open(folder_.string());
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("two shards"), std::string::npos);
}

}  // namespace
}  // namespace tandem
