// SPDX-License-Identifier: Apache-2.0
#include "tandem/llm/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#if TANDEM_PATTERNS
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>
#endif

namespace tandem {

#if TANDEM_PATTERNS
namespace {

constexpr uint32_t kMatchLimit = 1'000'000;
constexpr size_t kLongestPattern = 1 << 16;

struct Release {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

class Pattern final : public SplitPattern {
 public:
  explicit Pattern(pcre2_code* code) : code_(code) {}

  void split(std::string_view text, std::vector<std::string_view>& pieces) const override {
    const std::unique_ptr<pcre2_match_data, Release> data(pcre2_match_data_create_from_pattern(code_.get(), nullptr));
    const std::unique_ptr<pcre2_match_context, Release> context(pcre2_match_context_create(nullptr));
    if (data == nullptr || context == nullptr) return pieces.push_back(text);
    pcre2_set_match_limit(context.get(), kMatchLimit);
    size_t done = 0, at = 0;
    while (at < text.size()) {
      const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
      if (pcre2_match(code_.get(), subject, text.size(), at, 0, data.get(), context.get()) < 0) break;
      const size_t* ends = pcre2_get_ovector_pointer(data.get());
      const size_t begin = ends[0], end = ends[1];
      if (end <= begin) {  // matches nothing: go on a byte later
        at = std::max(at, end) + 1;
        continue;
      }
      if (begin > done) pieces.push_back(text.substr(done, begin - done));
      pieces.push_back(text.substr(begin, end - begin));
      done = at = end;
    }
    if (done < text.size()) pieces.push_back(text.substr(done));
  }

 private:
  std::unique_ptr<pcre2_code, Release> code_;
};

}  // namespace

Expected<std::shared_ptr<const SplitPattern>> SplitPattern::compile(const std::string& pattern) {
  if (pattern.size() > kLongestPattern) {
    return fail(ErrorCode::unsupported,
                fmt::format("pattern of {} bytes, at most {} wanted", pattern.size(), kLongestPattern));
  }
  int error = 0;
  size_t place = 0;
  const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &error, &place, nullptr);
  if (code != nullptr) return std::make_shared<const Pattern>(code);
  return fail(ErrorCode::malformed, fmt::format("pattern \"{}\" is wrong at byte {}", pattern, place));
}

bool composition_available() { return true; }

std::string composed(const std::string& text) {
  utf8proc_uint8_t* out = nullptr;
  const auto* in = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto flags = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const utf8proc_ssize_t bytes = utf8proc_map(in, static_cast<utf8proc_ssize_t>(text.size()), &out, flags);
  if (bytes < 0) return text;
  std::string result(reinterpret_cast<const char*>(out), static_cast<size_t>(bytes));
  std::free(out);
  return result;
}
#else
Expected<std::shared_ptr<const SplitPattern>> SplitPattern::compile(const std::string&) {
  return fail(ErrorCode::unsupported, "patterns need PCRE2, which this build was made without (libpcre2-dev)");
}

bool composition_available() { return false; }
std::string composed(const std::string& text) { return text; }
#endif

}  // namespace tandem
