// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>

#include "tandem/base/dtype.h"

// What the vendor's pages allow on which product (docs/products.md).
namespace tandem::front {

// A call as those pages see it.
struct Use {
  std::string_view operation;  // as in docs/data/products.json
  DType dtype = DType::none;
  int ranks = 1;
  std::string_view reduction = "sum";
};

// Which limit of the product named `soc` the call goes beyond, in words; "" for none.
std::string limit_of(std::string_view soc, const Use& use);
// The same for TANDEM_SOC with TANDEM_STRICT=1. Without it "" always, and one warning for each limit.
std::string refused_by_product(const Use& use);
// TANDEM_SOC, or the product this library stands for.
const std::string& soc_name();

}  // namespace tandem::front
