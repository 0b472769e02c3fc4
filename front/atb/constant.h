// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "front/atb/operation.h"

namespace tandem::atbfront {

// One value of the parameters where operators read tensors: written into the workspace before what is added next. f32,
// or 0 of any type.
TensorView constant(Run& run, DType dtype, float value);
// Dense memory filled with zeros.
void clear(Run& run, const TensorView& place);

}  // namespace tandem::atbfront
