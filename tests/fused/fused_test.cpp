// SPDX-License-Identifier: Apache-2.0
// Properties of mm_all_reduce over tests/cases/mm_all_reduce.json: within the a-priori bound of a double reference, the
// same bits on all ranks, rank counts, row batches, windows, kernel tables and interfaces.
#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "tandem/kernels/table.h"
#include "tests/fused/checks.h"
#include "tandem/check/fused_oracle.h"

namespace tandem::fused {
namespace {

class Families : public testing::TestWithParam<Family> {};

TEST_P(Families, HoldTheirProperties) {
  for (const nlohmann::json& member : GetParam().members) {
    EXPECT_EQ(MemberCheck(GetParam(), member).run(), "");
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Fused, Families, testing::ValuesIn(read_families()),
                         [](const auto& tested) { return tested.param.name; });

std::vector<double> values_of(DType dtype, const std::vector<std::byte>& bytes) {
  std::vector<double> values;
  const int64_t count = static_cast<int64_t>(bytes.size()) * 8 / dtype_bits(dtype);
  for (int64_t i = 0; i < count; ++i) values.push_back(load(dtype, bytes.data(), i));
  return values;
}

TEST(Vectors, HaveTheirBits) {
  for (const nlohmann::json& vector : read_vectors()) {
    SCOPED_TRACE(vector.at("name").get<std::string>());
    const Problem problem = parse_problem(vector);
    const auto data = make_ranks(problem);
    const auto results = Groups().run(problem, data);
    ASSERT_TRUE(results.has_value()) << results.error().message;
    const Outputs& got = results->front();
    EXPECT_EQ(compare_result(problem, reference(problem, data, 0), got.y, got.norm), "");
    if (vector.contains("y")) {
      EXPECT_EQ(values_of(problem.output, got.y), vector.at("y").get<std::vector<double>>());
    }
    if (vector.contains("norm")) {
      EXPECT_EQ(values_of(problem.output, got.norm), vector.at("norm").get<std::vector<double>>());
    }
  }
}

// This program's last line of output when run again with those variables.
std::string run_again(const std::string& environment, const std::string& arguments) {
  std::array<char, 4096> path{};
  if (readlink("/proc/self/exe", path.data(), path.size() - 1) <= 0) return "readlink failed";
  std::FILE* pipe = popen((environment + " '" + path.data() + "' " + arguments).c_str(), "r");
  if (pipe == nullptr) return "popen failed";
  std::string last;
  std::array<char, 256> line{};
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) last = line.data();
  return pclose(pipe) == 0 ? last : "exit code: " + last;
}

TEST(Tables, GiveTheSameBits) {
  std::string first;
  for (const KernelTable* table : kernel_tables()) {
    if (table->name == "reference") continue;
    const std::string hash = run_again("TANDEM_TABLE=" + std::string(table->name), "--hash");
    ASSERT_EQ(hash.size(), 17u) << hash;
    std::printf("%s: %s", std::string(table->name).c_str(), hash.c_str());
    if (first.empty()) first = hash;
    EXPECT_EQ(hash, first) << table->name;
  }
}

// One unit in the last place of one partial: the bits must differ, or comparing them would prove nothing.
TEST(Fault, OneUlpOfOnePartialIsSeen) {
  const std::string sound = run_again("", "--probe");
  const std::string flipped = run_again("TANDEM_FAULT=flip:rank=1", "--probe");
  EXPECT_EQ(sound.size(), 17u) << sound;
  EXPECT_EQ(flipped.size(), 17u) << flipped;
  EXPECT_NE(sound, flipped);
}

}  // namespace

// A small f32 problem on two ranks: every bit of a partial reaches the result.
std::string hash_of_probe() {
  Problem problem;
  problem.output = problem.dtype = DType::f32;
  problem.tail = false;
  problem.values["x1"] = {{1}, false};
  problem.m = 3;
  const auto results = Groups().run(problem, make_ranks(problem));
  if (!results) return results.error().message;
  return hash_of(*results);
}

}  // namespace tandem::fused

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "--hash") return std::puts(tandem::fused::hash_of_everything().c_str()) >= 0 ? 0 : 1;
  if (mode == "--probe") return std::puts(tandem::fused::hash_of_probe().c_str()) >= 0 ? 0 : 1;
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
