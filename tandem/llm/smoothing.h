// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>
#include <vector>

#include "tandem/base/status.h"
#include "tandem/llm/calibration.h"

// Moving outliers of activations into weights: column j of W times s_j, its input divided by s_j where it is made.
//   a = max|x_j|, w = max|W_ij| over the layers that share the input, at least 1e-5
//   m1  s = max(a^0.5 / w^0.5, 1e-5)      layers behind a norm only
//   m3  s = mean|x_j|^r / sqrt(max * min), r of 0, 0.05 .. 1 with the least error of rounded weights
//   m4  s = max(a^0.9 / w^0.1, 1e-5)
//   m6  s = max(a^al / w^be, 1e-5), al of 0, 0.05 .. 1 with be = 1 - al, then be alone, by least int8 error
namespace tandem {

enum class Smoothing : uint8_t { none, m1, m3, m4, m6 };
Expected<Smoothing> parse_smoothing(std::string_view text);

// Whether `how` reaches products that do not follow a norm.
inline bool smooths_inner(Smoothing how) { return how != Smoothing::none && how != Smoothing::m1; }

// How weights are rounded while scales are tried.
struct WeightForm {
  int bits = 8;
  int64_t group = 0;
};
// s of each column of x; `peaks` is w of further layers with that input, or empty.
std::vector<float> smooth_scales(Smoothing how, const Matrix& x, const std::vector<const Matrix*>& weights,
                                 std::span<const float> peaks, const WeightForm& form, const LayerMath& math);

std::vector<float> column_peaks(const Matrix& x);
void scale_columns(Matrix& matrix, std::span<const float> scale, bool divide);
void divide_rows(Matrix& matrix, std::span<const float> scale);

}  // namespace tandem
