// SPDX-License-Identifier: Apache-2.0
#include "tools/launch_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tandem/base/json.h"
#include "tandem/comm/rank_table.h"

namespace tandem::tool {
namespace {

using Json = nlohmann::json;

std::vector<std::string> texts(JsonFields& fields, const char* name) {
  std::vector<std::string> all;
  const Json* list = fields.find(name);
  const bool good = list != nullptr && list->is_array() && std::ranges::all_of(*list, &Json::is_string);
  if (good) return list->get<std::vector<std::string>>();
  fields.refuse(ErrorCode::malformed, fmt::format("{}: a list of texts wanted", name));
  return all;
}

Expected<int> slots_of(std::string_view word) {
  constexpr std::string_view kSlots = "slots=";
  if (!word.starts_with(kSlots)) return fail(ErrorCode::malformed, "slots=N");
  word.remove_prefix(kSlots.size());
  int slots = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), slots);
  const bool whole = error == std::errc{} && end == word.data() + word.size();
  if (!whole || slots < 1 || slots > kMaxTableRanks) return fail(ErrorCode::malformed, "slots=N");
  return slots;
}

// No option of the remote shell, and nothing that a shell would read as more than a word.
bool legal_host(std::string_view name) {
  const auto good = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::strchr("-._:@[]%", c) != nullptr;
  };
  return !name.empty() && name.front() != '-' && std::ranges::all_of(name, good);
}

}  // namespace

std::string order_line(const LaunchOrder& o) {
  return Json{{"first", o.first},   {"ranks", o.ranks},         {"world", o.world},    {"job", o.job},
              {"master", o.master}, {"port", o.port},           {"grace", o.grace_s},  {"prefix", o.prefix},
              {"folder", o.folder}, {"variables", o.variables}, {"program", o.program}}
      .dump(-1, ' ', true, Json::error_handler_t::replace);
}

Expected<LaunchOrder> read_order(std::string_view line) {
  const auto json = parse_json(line, "launch: order");
  if (!json) return fail(json.error());
  if (!json->is_object()) return fail(ErrorCode::malformed, "launch: order is no JSON object");
  JsonFields fields(*json, "launch: order");
  LaunchOrder o;
  o.world = static_cast<int>(fields.integer("world", 1, kMaxTableRanks));
  o.first = static_cast<int>(fields.integer("first", 0, o.world - 1));
  o.ranks = static_cast<int>(fields.integer("ranks", 1, o.world - o.first));
  o.port = static_cast<int>(fields.integer("port", 0, 65535));
  o.grace_s = fields.number("grace", 0, kMostGraceSeconds);
  o.prefix = fields.boolean("prefix");
  o.job = fields.text("job");
  o.master = fields.text("master");
  o.folder = fields.text("folder");
  o.variables = texts(fields, "variables");
  o.program = texts(fields, "program");
  if (o.program.empty()) fields.refuse(ErrorCode::malformed, "program: at least one word wanted");
  if (fields.failed()) return fail(fields.status().error());
  return o;
}

Expected<std::vector<HostSlots>> read_hosts(std::string_view text, std::string_view file) {
  std::vector<HostSlots> hosts;
  std::istringstream stream{std::string(text)};
  int number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    std::istringstream words(line.substr(0, line.find('#')));
    HostSlots host;
    if (!(words >> host.name)) continue;
    std::string word, more;
    const bool has_slots = static_cast<bool>(words >> word);
    const auto slots = has_slots ? slots_of(word) : Expected<int>(1);
    if (!legal_host(host.name) || !slots || words >> more) {
      return fail(ErrorCode::malformed,
                  fmt::format("launch: {}: line {}: 'name' or 'name slots=N', N of 1 to {}, wanted", file, number,
                              kMaxTableRanks));
    }
    host.slots = *slots;
    hosts.push_back(std::move(host));
  }
  if (hosts.empty()) return fail(ErrorCode::malformed, fmt::format("launch: {}: no host, at least one wanted", file));
  return hosts;
}

Expected<std::vector<HostSlots>> share_ranks(const std::vector<HostSlots>& hosts, int ranks) {
  int64_t all = 0;
  for (const HostSlots& host : hosts) all += host.slots;
  const int64_t wanted = ranks == 0 ? all : ranks;
  if (wanted > all || wanted > kMaxTableRanks) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("launch: {} ranks asked for, {} slots on {} hosts, at most {} ranks", wanted, all,
                            hosts.size(), kMaxTableRanks));
  }
  std::vector<HostSlots> shares;
  int64_t left = wanted;
  for (const HostSlots& host : hosts) {
    const auto here = static_cast<int>(std::min<int64_t>(left, host.slots));
    if (here > 0) shares.push_back({host.name, here});
    left -= here;
  }
  return shares;
}

}  // namespace tandem::tool
