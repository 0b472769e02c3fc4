// SPDX-License-Identifier: Apache-2.0
// docs/data/products.json against the library: every cell as a rule, and calls in the default and the strict way.
#include <acl/acl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "front/acl/product.h"
#include "tests/ops/aclnn_call.h"

namespace tandem::ops_test {
namespace {

using nlohmann::json;

bool lists(const std::string& list, const std::string& word) {
  std::istringstream words(list);
  for (std::string one; words >> one;) {
    if (one == word) return true;
  }
  return list.empty();
}

bool allowed(const json& row, int ranks, DType dtype, const std::string& reduction) {
  const bool inference = row.at("operator") == "reduce_scatter_v" && row.at("product") == "Atlas inference series";
  if (inference && dtype == DType::i16 && reduction != "sum") return false;
  return row.at("supported").get<bool>() && lists(row.at("ranks"), std::to_string(ranks)) &&
         lists(row.at("dtypes"), std::string(dtype_name(dtype)));
}

TEST(Products, EveryCellIsARule) {
  std::ifstream file(TANDEM_SOURCE_DIR "/docs/data/products.json");
  const json rows = json::parse(file).at("rows");
  ASSERT_EQ(rows.size(), 35u);
  for (const json& row : rows) {
    for (int ranks = 1; ranks <= 9; ++ranks) {
      for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i8, DType::i16, DType::i32, DType::i64}) {
        for (const char* reduction : {"sum", "max"}) {
          const front::Use use{row.at("operator").get_ref<const std::string&>(), dtype, ranks, reduction};
          const std::string limit = front::limit_of(row.at("soc").get_ref<const std::string&>(), use);
          EXPECT_EQ(limit.empty(), allowed(row, ranks, dtype, reduction)) << row << ranks << dtype_name(dtype) << limit;
        }
      }
    }
  }
}

// bf16 goes beyond some products: refused in the strict way, else run with one warning.
TEST(Products, ACallBeyondItsProduct) {
  const char *soc = std::getenv("TANDEM_SOC"), *strict = std::getenv("TANDEM_STRICT");
  const bool beyond = soc != nullptr && std::string(soc).starts_with("Ascend310P"),
             refused = beyond && strict != nullptr;
  aclInit(nullptr);
  const Case c = parse_case("products", {{"name", "quantize"},
                                         {"op", "quantize"},
                                         {"tensors",
                                          {{"x", {{"dtype", "bf16"}, {"dims", {2, 8}}}},
                                           {"scale", {{"dtype", "bf16"}, {"dims", {8}}}},
                                           {"y", {{"dtype", "i8"}, {"dims", {2, 8}}, {"output", true}}}}}});
  const auto form =
      std::find_if(forms().begin(), forms().end(), [](const Form& f) { return f.name == "aclnnAscendQuantV3"; });
  ASSERT_NE(form, forms().end());
  testing::internal::CaptureStderr();
  for (int i = 0; i < 2; ++i) {
    const Outcome got = call_aclnn(c, *form);
    EXPECT_EQ(got.status, refused ? 161002 : 0) << got.message;
    EXPECT_EQ(got.message.find("Atlas inference series") != std::string::npos, refused) << got.message;
  }
  const std::string said = testing::internal::GetCapturedStderr();
  const size_t first = said.find("run anyway");
  EXPECT_EQ(first != std::string::npos, beyond && !refused) << said;
  const size_t second = first == std::string::npos ? first : said.find("run anyway", first + 1);
  EXPECT_EQ(second, std::string::npos) << said;
}

}  // namespace
}  // namespace tandem::ops_test
