// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "tandem/base/dtype.h"

namespace tandem {

struct Conversion {
  const void* from = nullptr;
  DType from_dtype = DType::none;
  void* to = nullptr;
  DType to_dtype = DType::none;
};

// Elements [begin, end), each by itself: what `cast` says. For the pairs the kernels do not have. To i4 a range begins
// at an even element.
void convert(const Conversion& conversion, int64_t begin, int64_t end);

}  // namespace tandem
