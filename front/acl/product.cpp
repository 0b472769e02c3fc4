// SPDX-License-Identifier: Apache-2.0
#include "front/acl/product.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "front/aclnn/status.h"
#include "tandem/base/env.h"
#include "tandem/base/log.h"

namespace tandem::front {
namespace {

struct Product {
  std::string_view name, prefix;  // of the SoC's name; the longer prefix comes first
};
constexpr Product kProducts[] = {{"Atlas A2", "Ascend910B"},
                                 {"Atlas A3", "Ascend910C"},
                                 {"Atlas A3", "Ascend910_93"},
                                 {"Atlas training series", "Ascend910"},
                                 {"Atlas inference series", "Ascend310P"},
                                 {"Atlas 200I/500 A2", "Ascend310B"}};

// Blank-separated lists; "" is everything. An operation without a row for a product does not run on it.
struct Row {
  std::string_view operation, product, ranks, dtypes;
};
constexpr std::string_view kFused = "mm_all_reduce_add_rms_norm", kBase = "mm_all_reduce_base",
                           kScatter = "reduce_scatter_v", kQuantize = "quantize", kAllReduce = "mm_all_reduce",
                           kReduceScatter = "mm_reduce_scatter", kAllGather = "all_gather_mm";
constexpr Row kRows[] = {{kFused, "Atlas A2", "1 2 4 8", "f16 bf16"},
                         {kBase, "Atlas A2", "2 4 8", ""},
                         {kBase, "Atlas inference series", "2", "f16 i8"},
                         {kAllReduce, "Atlas A2", "1 2 4 8", ""},
                         {kAllReduce, "Atlas inference series", "1 2 4", "f16 i8"},
                         {kReduceScatter, "Atlas A2", "2 4 8", ""},
                         {kReduceScatter, "Atlas A3", "2 4 8 16 32", ""},
                         {kAllGather, "Atlas A2", "2 4 8", ""},
                         {kAllGather, "Atlas A3", "2 4 8 16 32", ""},
                         {kScatter, "Atlas A2", "", ""},
                         {kScatter, "Atlas inference series", "", "f32 f16 i8 i16 i32 u8 u16 u32 u64"},
                         {kQuantize, "Atlas A2", "", ""},
                         {kQuantize, "Atlas A3", "", ""},
                         {kQuantize, "Atlas training series", "", "f32 f16"},
                         {kQuantize, "Atlas inference series", "", "f32 f16"},
                         {kQuantize, "Atlas 200I/500 A2", "", "f32 f16"}};

bool lists(std::string_view list, std::string_view word) {
  if (list.empty()) return true;
  const std::string padded = fmt::format(" {} ", list);
  return padded.find(fmt::format(" {} ", word)) != std::string::npos;
}

std::string limit_of_row(const Row& row, const Use& use) {
  if (!lists(row.ranks, std::to_string(use.ranks)))
    return fmt::format("{} has {} ranks, {} wanted on {}", use.operation, use.ranks, row.ranks, row.product);
  if (!lists(row.dtypes, dtype_name(use.dtype)))
    return fmt::format("{} has dtype {}, {} wanted on {}", use.operation, dtype_name(use.dtype), row.dtypes,
                       row.product);
  const bool short_sum = use.dtype == DType::i16 && use.reduction != "sum";
  if (row.operation == kScatter && row.product == "Atlas inference series" && short_sum)
    return fmt::format("{} has i16 with {}, sum wanted on {}", use.operation, use.reduction, row.product);
  return {};
}

}  // namespace

std::string limit_of(std::string_view soc, const Use& use) {
  const auto product = std::find_if(std::begin(kProducts), std::end(kProducts),
                                    [&](const Product& p) { return soc.starts_with(p.prefix); });
  if (product == std::end(kProducts)) return {};
  for (const Row& row : kRows) {
    if (row.operation == use.operation && row.product == product->name) return limit_of_row(row, use);
  }
  return fmt::format("{} does not run on {}", use.operation, product->name);
}

const std::string& soc_name() {
  static const std::string& name = *new std::string(env_text("TANDEM_SOC").value_or("Ascend910B3"));
  return name;
}

std::string refused_by_product(const Use& use) {
  const std::string limit = limit_of(soc_name(), use);
  if (limit.empty() || strict()) return limit;
  static std::mutex& mutex = *new std::mutex;
  static std::set<std::string>& told = *new std::set<std::string>;
  const std::lock_guard lock(mutex);
  if (told.insert(limit).second) log_warn("{} (run anyway; TANDEM_STRICT=1 refuses)", limit);
  return {};
}

}  // namespace tandem::front
