// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "tandem/base/status.h"

#pragma GCC visibility push(default)
namespace tandem {

// Texts for calibration or measurement: JSON lines with "text" or "inputs_pretokenized", or a JSON list of texts.
// At most `most` of them (0 = all), at least one. Errors: io, malformed.
Expected<std::vector<std::string>> read_texts(const std::string& path, size_t most = 0);

}  // namespace tandem
#pragma GCC visibility pop
