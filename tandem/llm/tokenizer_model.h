// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "tandem/base/status.h"
#include "tandem/llm/tokenizer.h"

#pragma GCC visibility push(default)
namespace tandem {

// A sentencepiece tokenizer.model (BPE, byte fallback) as the tokenizer.json that means the same: pairs merge by the
// score of what they become.
Expected<nlohmann::json> tokenizer_json_of_model(std::string_view bytes, const std::string& what);
// The tokenizer of a folder: tokenizer.json, else tokenizer.model.
Expected<Tokenizer> load_tokenizer(const std::string& folder);

}  // namespace tandem
#pragma GCC visibility pop
