// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <CLI/CLI.hpp>

namespace tandem::tool {

// `tandem make-model`.
void add_make_model(CLI::App& app, int& exit_code);

}  // namespace tandem::tool
