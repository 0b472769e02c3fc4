// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "tandem/base/status.h"
#include "tools/job.h"

namespace tandem::tool {

// Text to `stream` at once; a stream that cannot be written to is no exception, ferror() tells.
void put(std::FILE* stream, const std::string& text);
// Whether all text put to stdout arrived; an error names what to do.
Status stdout_arrived();
// One line on stderr, {"error": ..} on stdout with --json; the exit code 1.
int report_failure(const std::string& message, bool json);

// A rank process hands its report to the launcher as JSON.
nlohmann::json to_json(const RankReport& report);
Expected<RankReport> report_from_json(const nlohmann::json& json);

// What `tandem generate --json` prints.
nlohmann::json result_json(const Job& job, const RankReport& report);
// The closing line of a run without --json.
std::string closing_line(const Job& job, const RankReport& report);

}  // namespace tandem::tool
