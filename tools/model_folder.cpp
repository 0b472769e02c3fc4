// SPDX-License-Identifier: Apache-2.0
#include "tools/model_folder.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "tandem/base/env.h"

namespace tandem::tool {
namespace fs = std::filesystem;

std::string own_path() {
  std::error_code error;
  const fs::path path = fs::read_symlink("/proc/self/exe", error);
  return error ? std::string() : path.string();
}

Expected<std::string> model_folder(const std::string& given) {
  std::string folder = given;
  std::string_view from = "--model";
  if (folder.empty()) {
    folder = env_text("TANDEM_MODEL").value_or("");
    from = "TANDEM_MODEL";
  }
  if (folder.empty()) {
    folder = (fs::path(own_path()).parent_path().parent_path() / "share/tandem/model").string();
    from = "the embedded model";
  }
  std::error_code error;
  if (fs::is_regular_file(fs::path(folder) / "config.json", error)) return folder;
  return fail(ErrorCode::io,
              fmt::format("{} {}: config.json is missing; name a folder with config.json, tokenizer.json "
                          "and *.safetensors by --model",
                          from, folder));
}

}  // namespace tandem::tool
