// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <sstream>

#include "tandem/kernels/golden_products_test.h"
#include "tandem/kernels/golden_rows_test.h"

// tests/cases/kernels_golden.json pins the bits of every family: lists in an entry are expanded into every combination,
// "bits" holds one FNV-1a hash per combination; all "layouts" of the weights share it. Where a bit differs, the file
// with the bits of the portable table is written into the build folder; copy it over the old one when the change is
// meant (and say so in the change log).
namespace tandem::testing {
namespace {

using Ordered = nlohmann::ordered_json;

const std::string kFile = "/tests/cases/kernels_golden.json";

Ordered golden_file() {
  std::ifstream stream(TANDEM_SOURCE_DIR + kFile);
  return Ordered::parse(stream);
}

std::vector<Case> expanded(const Ordered& entry) {
  std::vector<Case> open{Case::object()};
  for (const auto& [key, value] : entry.items()) {
    if (key == "bits") continue;
    std::vector<Case> wider;
    for (const Case& base : open) {
      for (const auto& choice : value.is_array() ? value : Ordered::array({value})) {
        wider.emplace_back(base)[key] = choice;
      }
    }
    open = std::move(wider);
  }
  return open;
}

// The case in each layout of its weights; the bits are the same.
std::vector<Case> variants(const Case& c) {
  std::vector<Case> done;
  std::istringstream layouts(c.value("layouts", "row"));
  for (std::string layout; layouts >> layout;) {
    done.push_back(c);
    done.back()["layout"] = layout;
  }
  return done;
}

const std::vector<GoldenFamily>& golden_families() {
  static const std::vector<GoldenFamily> families = [] {
    std::vector<GoldenFamily> all = golden_products();
    for (const GoldenFamily& one : golden_rows()) all.push_back(one);
    return all;
  }();
  return families;
}

const GoldenFamily& family_of(const Case& c) {
  for (const GoldenFamily& family : golden_families()) {
    if (family.name == c.at("family").get<std::string>()) return family;
  }
  throw std::invalid_argument("no family: " + c.dump());
}

std::string hash_of(const GoldenProblem& problem, const KernelTable& table, int threads) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const Bytes& row : problem.run(table, lane_of(threads), 0, problem.rows)) {
    for (const uint8_t byte : row) hash = (hash ^ byte) * 0x100000001b3u;
  }
  return fmt::format("{:016x}", hash);
}

void write_entry(std::ostream& out, Ordered entry) {
  std::vector<std::string> bits;
  for (const Case& c : expanded(entry)) bits.push_back(hash_of(family_of(c).make(c), *find_table("portable"), 1));
  entry.erase("bits");
  std::string text = entry.dump();
  text.pop_back();
  out << "    " << text << ",\n     \"bits\": [";
  const char* gap = "";
  for (size_t i = 0; i < bits.size(); ++i) {
    out << gap << '"' << bits[i] << '"';
    gap = i % 5 == 4 ? ",\n              " : ", ";
  }
  out << "]}";
}

void write_fresh_file() {
  const Ordered file = golden_file();
  const std::string path = std::string(TANDEM_BINARY_DIR) + "/kernels_golden.json";
  std::ofstream out(path);
  out << "{\n  \"about\": " << file.at("about").dump() << ",\n  \"cases\": [\n";
  bool first = true;
  for (const Ordered& entry : file.at("cases")) {
    if (!first) out << ",\n";
    first = false;
    write_entry(out, entry);
  }
  out << "\n  ]\n}\n";
  std::cout << "golden: the bits of this build's portable table are in " << path << "\n";
}

void expect_bits(const Case& c, const std::string& wanted) {
  const GoldenProblem problem = family_of(c).make(c);
  for (const KernelTable* table : exact_tables()) {
    ASSERT_TRUE(family_of(c).present(*table)) << table->name << " lacks " << c.dump();
    for (const int threads : {1, 2, 3}) {
      EXPECT_EQ(wanted, hash_of(problem, *table, threads)) << table->name << " threads " << threads << " " << c.dump();
    }
  }
}

void expect_rows_alone(const Case& c, const KernelTable& table, const GoldenProblem& problem) {
  const auto whole = problem.run(table, lane_of(4), 0, problem.rows);
  for (const int64_t row : {int64_t{0}, problem.rows / 2, problem.rows - 1}) {
    const Bytes alone = problem.run(table, lane_of(1), row, 1)[0];
    ASSERT_EQ(whole[static_cast<size_t>(row)], alone) << table.name << " row " << row << " " << c.dump();
  }
  const int64_t half = problem.rows / 2;
  const auto rest = problem.run(table, lane_of(2), half, problem.rows - half);
  ASSERT_TRUE(std::equal(rest.begin(), rest.end(), whole.begin() + half)) << table.name << " lower half " << c.dump();
}

class Golden : public ::testing::TestWithParam<std::string> {
 protected:
  // The entries of the family.
  std::vector<Ordered> entries() const {
    const Ordered file = golden_file();
    std::vector<Ordered> done;
    for (const Ordered& entry : file.at("cases")) {
      if (entry.at("family") == GetParam()) done.push_back(entry);
    }
    return done;
  }
};

TEST_P(Golden, EveryTableAndThreadCountGivesThePinnedBits) {
  size_t count = 0;
  for (const Ordered& entry : entries()) {
    const auto bits = entry.value("bits", std::vector<std::string>());
    size_t place = 0;
    for (const Case& c : expanded(entry)) {
      for (const Case& variant : variants(c)) expect_bits(variant, place < bits.size() ? bits[place] : "not pinned");
      ++place;
    }
    EXPECT_EQ(place, bits.size()) << entry.dump();
    count += place;
  }
  EXPECT_GT(count, 0u) << "no case of " << GetParam();
  std::cout << "golden: " << count << " cases on " << exact_tables().size() << " tables\n";
  if (HasFailure()) write_fresh_file();
}

// A row alone has the bits it has among others, whoever computes it.
TEST_P(Golden, ARowAloneEqualsTheRowInABatch) {
  int count = 0;
  for (const Ordered& entry : entries()) {
    for (const Case& one : expanded(entry)) {
      for (const Case& c : variants(one)) {
        const GoldenProblem problem = family_of(c).make(c);
        if (problem.rows < 2) continue;
        for (const KernelTable* table : exact_tables()) ASSERT_NO_FATAL_FAILURE(expect_rows_alone(c, *table, problem));
        ++count;
      }
    }
  }
  EXPECT_GT(count, 0);
}

// All of them: a family without cases fails.
std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const GoldenFamily& family : golden_families()) names.push_back(family.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Family, Golden, ::testing::ValuesIn(family_names()),
                         [](const auto& instance) { return instance.param; });

template <class T>
T pick(Random& random, std::initializer_list<T> choices) {
  return *(choices.begin() + random.below(static_cast<int64_t>(choices.size())));
}

Case random_product(Random& random) {
  Case c{{"m", 1 + random.below(random.below(4) == 0 ? 70 : 12)}, {"n", 1 + random.below(200)},
         {"k", random.below(330)}, {"leaves", pick(random, {1, 2, 4, 8})}, {"seed", random.below(1 << 30)}};
  c["layout"] = pick(random, {"row", "padded", "transposed", "packed"});
  c["y"] = pick(random, {"f32", "f16", "bf16"});
  c["data"] = pick(random, {"normal", "wide", "special"});
  if (random.below(4) == 0) {
    c["x"] = "i8", c["w"] = "i8", c["form"] = "dequant", c["token"] = random.below(2) == 0;
    return c;
  }
  c["x"] = pick(random, {"f32", "f16", "bf16"});
  c["w"] = pick(random, {"f32", "f16", "bf16", "i8", "i4"});
  if (random.below(2) == 0) return c;
  c["w"] = pick(random, {"i8", "i4"});
  c["form"] = pick(random, {"tensor", "channel", "group"});
  c["group"] = pick(random, {8, 32, 40, 128});
  c["offset"] = random.below(2) == 0, c["whole_offset"] = random.below(2) == 0;
  return c;
}

TEST(GoldenFuzz, RandomProductsAreEqualInEveryTable) {
  Random random{20};
  for (int i = 0; i < 400; ++i) {
    const Case c = random_product(random);
    const GoldenProblem problem = golden_gemm(c);
    const auto wanted = problem.run(*find_table("portable"), lane_of(1), 0, problem.rows);
    for (const KernelTable* table : exact_tables()) {
      ASSERT_EQ(wanted, problem.run(*table, lane_of(1 + i % 4), 0, problem.rows)) << table->name << " " << c.dump();
    }
  }
}

}  // namespace
}  // namespace tandem::testing
