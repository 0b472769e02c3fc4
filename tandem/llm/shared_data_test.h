// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tandem/base/env.h"

namespace tandem {

// Folder of the optional larger test models; tests that need it skip where it is absent.
inline std::string test_data(const std::string& name) {
  const std::filesystem::path beside = std::filesystem::path(TANDEM_SOURCE_DIR).parent_path() / "shared/models";
  return (std::filesystem::path(env_text("TANDEM_TEST_DATA").value_or(beside.string())) / name).string();
}

inline bool has_test_data(const std::string& name) { return std::filesystem::exists(test_data(name)); }

}  // namespace tandem
