// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/rank_table.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "tandem/base/env.h"
#include "tandem/base/json.h"
#include "tandem/comm/fingerprint.h"
#include "tandem/exec/wait.h"

namespace tandem {
namespace {

using nlohmann::json;

constexpr size_t kMaxText = 64;
constexpr int kMaxDevice = 4095;
constexpr int kMaxPort = 65535;
constexpr useconds_t kLookAgainMicroseconds = 50'000;

// What was given, short enough for a message.
std::string shown(const json& value) {
  return printable(value.dump(-1, ' ', true, json::error_handler_t::replace), kMaxText);
}

// One object of the table and its path in it; the first failure of all sticks.
class Node {
 public:
  Node(const json& object, std::string path, Status& status)
      : object_(object), path_(std::move(path)), status_(status) {
    if (!object_.is_object())
      refuse(ErrorCode::malformed, fmt::format("{} is {}, an object wanted", here(), shown(object_)));
  }

  bool good() const { return status_.has_value(); }
  bool has(const char* key) const { return find(key) != nullptr; }
  std::string at(const char* key) const { return path_.empty() ? key : path_ + "." + key; }

  // A text of 1 to 64 printable characters.
  std::string text(const char* key) {
    const json* value = required(key);
    if (value == nullptr) return {};
    const std::string given = value->is_string() ? value->get<std::string>() : std::string();
    if (!given.empty() && given.size() <= kMaxText && printable(given, kMaxText) == given) return given;
    wrong(key, *value, fmt::format("a text of 1 to {} printable characters", kMaxText));
    return {};
  }

  // Absent, "" and "reserve" all mean that it is left open.
  std::string open_text(const char* key) {
    const json* value = find(key);
    if (value == nullptr || *value == "" || *value == "reserve") return {};
    return text(key);
  }

  // A decimal number in a text, as tables have it, or a plain number.
  int number(const char* key, int low, int high) {
    const json* value = required(key);
    if (value == nullptr) return low;
    const std::string digits = value->is_string() ? value->get<std::string>() : value->dump();
    int result = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), result);
    const bool whole = error == std::errc{} && end == digits.data() + digits.size();
    if (whole && result >= low && result <= high) return result;
    wrong(key, *value, fmt::format("a number in [{}, {}]", low, high));
    return low;
  }

  int open_number(const char* key, int low, int high) {
    const json* value = find(key);
    return value == nullptr || *value == "" ? 0 : number(key, low, high);
  }

  // The members of a list of 1 to `most` entries.
  const json* list(const char* key, size_t most) {
    const json* value = required(key);
    if (value == nullptr) return nullptr;
    if (value->is_array() && !value->empty() && value->size() <= most) return value;
    wrong(key, *value, fmt::format("a list of 1 to {} entries", most));
    return nullptr;
  }

  void wrong(const char* key, const json& given, std::string_view wanted) {
    refuse(ErrorCode::malformed, fmt::format("{} is {}, {} wanted", at(key), shown(given), wanted));
  }
  void refuse(ErrorCode code, std::string text) {
    if (status_) status_ = fail(code, std::move(text));
  }

 private:
  std::string here() const { return path_.empty() ? "the whole" : path_; }
  const json* find(const char* key) const {
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  const json* required(const char* key) {
    const json* value = find(key);
    if (value == nullptr) refuse(ErrorCode::malformed, fmt::format("{} is missing, it is wanted", at(key)));
    return value;
  }

  const json& object_;
  std::string path_;
  Status& status_;
};

// A rank before the ids are known to be complete.
struct Listed {
  int id;
  RankTable::Rank rank;
};

class Reader {
 public:
  Expected<RankTable> read(const json& whole);

 private:
  bool read_head(Node& head);
  void read_server(const json& object, const std::string& path);
  void read_device(const json& object, const std::string& path);
  void read_pods(Node& head);
  void read_pod(const json& object, const std::string& path);
  void number_ranks();
  void group_ranks();
  void differ(std::string text) {
    if (status_) status_ = fail(ErrorCode::mismatch, std::move(text));
  }

  RankTable table_;
  Status status_;
  std::set<std::string> server_ids_;
  std::set<std::pair<int, int>> devices_;  // (server, device)
  std::vector<Listed> listed_;
};

// False when there is nothing more to read.
bool Reader::read_head(Node& head) {
  table_.version = head.text("version");
  if (head.good() && table_.version != "1.0" && table_.version != "1.2") {
    head.refuse(ErrorCode::malformed, fmt::format("version is \"{}\", \"1.0\" or \"1.2\" wanted", table_.version));
  }
  const std::string state = head.text("status");
  if (head.good() && state != "completed" && state != "initializing") {
    head.refuse(ErrorCode::malformed, fmt::format("status is \"{}\", \"completed\" or \"initializing\" wanted", state));
  }
  table_.completed = state != "initializing";
  return head.good() && table_.completed;
}

void Reader::read_device(const json& object, const std::string& path) {
  Node node(object, path, status_);
  Listed listed{node.number("rank_id", 0, kMaxTableRanks - 1), {}};
  listed.rank.server = static_cast<int>(table_.servers.size()) - 1;
  listed.rank.device = node.number("device_id", 0, kMaxDevice);
  listed.rank.device_ip = node.open_text("device_ip");
  listed.rank.host_port = node.open_number("host_port", 1, kMaxPort);
  // Of devices that this library does not have: read for their form only.
  node.open_number("device_port", 1, kMaxPort);
  node.open_text("super_device_id");
  node.open_text("backup_device_ip");
  node.open_number("backup_device_port", 1, kMaxPort);
  if (!status_) return;
  if (!devices_.insert({listed.rank.server, listed.rank.device}).second) {
    differ(fmt::format("{} is {} a second time in server \"{}\", different devices wanted", node.at("device_id"),
                       listed.rank.device, table_.servers.back().id));
  }
  listed_.push_back(std::move(listed));
}

void Reader::read_server(const json& object, const std::string& path) {
  Node node(object, path, status_);
  RankTable::Server server;
  server.id = node.text("server_id");
  server.host_ip = node.has("host_ip") ? node.open_text("host_ip") : node.open_text("host_nic_ip");
  const json* devices = node.list("device", static_cast<size_t>(kMaxTableRanks));
  if (!status_) return;
  if (!server_ids_.insert(server.id).second) {
    differ(fmt::format("{} is \"{}\" a second time, different servers wanted", node.at("server_id"), server.id));
    return;
  }
  server.ranks = static_cast<int>(devices->size());
  table_.servers.push_back(std::move(server));
  for (size_t i = 0; i < devices->size() && status_; ++i) {
    read_device((*devices)[i], fmt::format("{}[{}]", node.at("device"), i));
  }
}

void Reader::read_pod(const json& object, const std::string& path) {
  Node node(object, path, status_);
  const std::string pod = node.text("super_pod_id");
  const json* servers = node.list("server_list", static_cast<size_t>(kMaxTableRanks));
  for (size_t i = 0; status_ && i < servers->size(); ++i) {
    Node entry((*servers)[i], fmt::format("{}[{}]", node.at("server_list"), i), status_);
    const std::string id = entry.text("server_id");
    const auto found = std::ranges::find(table_.servers, id, &RankTable::Server::id);
    if (!status_) return;
    if (found == table_.servers.end() || !found->super_pod.empty()) {
      differ(
          fmt::format("{} is \"{}\", a server of server_list that no other pod has wanted", entry.at("server_id"), id));
      return;
    }
    found->super_pod = pod;
  }
}

void Reader::read_pods(Node& head) {
  if (!head.has("super_pod_list")) return;
  const json* pods = head.list("super_pod_list", static_cast<size_t>(kMaxTableRanks));
  for (size_t i = 0; status_ && i < pods->size(); ++i) read_pod((*pods)[i], fmt::format("super_pod_list[{}]", i));
}

void Reader::number_ranks() {
  const size_t size = listed_.size();
  if (size > static_cast<size_t>(kMaxTableRanks)) {
    differ(fmt::format("server_list has {} devices, at most {} wanted", size, kMaxTableRanks));
    return;
  }
  std::vector<char> seen(size, 0);
  table_.ranks.resize(size);
  for (Listed& listed : listed_) {
    const auto id = static_cast<size_t>(listed.id);
    if (id >= size || seen[id] != 0) {
      differ(fmt::format("rank_id {} is {}, each of 0 to {} once wanted", id,
                         id >= size ? "beyond the devices listed" : "listed twice", size - 1));
      return;
    }
    seen[id] = 1;
    table_.ranks[id] = std::move(listed.rank);
  }
}

void Reader::group_ranks() {
  std::vector<char> begun(table_.servers.size(), 0);
  for (size_t id = 0; id < table_.ranks.size() && status_; ++id) {
    const auto server = static_cast<size_t>(table_.ranks[id].server);
    if (id > 0 && table_.ranks[id - 1].server == table_.ranks[id].server) continue;
    if (std::exchange(begun[server], char{1}) != 0) {
      differ(
          fmt::format("rank_id {} is on server \"{}\" like others before rank_id {}, consecutive ranks on one server "
                      "wanted",
                      id, table_.servers[server].id, id - 1));
    }
    table_.servers[server].first_rank = static_cast<int>(id);
  }
}

Expected<RankTable> Reader::read(const json& whole) {
  Node head(whole, "", status_);
  if (!read_head(head)) {
    if (!status_) return fail(status_.error());
    return table_;
  }
  const json* servers = head.list("server_list", static_cast<size_t>(kMaxTableRanks));
  for (size_t i = 0; status_ && i < servers->size(); ++i) {
    read_server((*servers)[i], fmt::format("server_list[{}]", i));
  }
  if (status_ && head.has("server_count")) {
    const int count = head.number("server_count", 1, kMaxTableRanks);
    if (count != static_cast<int>(servers->size())) {
      differ(fmt::format("server_count is {}, {} wanted (the length of server_list)", count, servers->size()));
    }
  }
  if (status_) read_pods(head);
  if (status_) number_ranks();
  if (status_) group_ranks();
  if (!status_) return fail(status_.error());
  return std::move(table_);
}

// The same for the same ranks on the same servers, however the file is laid out.
std::string address_of(const RankTable& table) {
  std::string address = "rank-table " + env_text("TANDEM_JOB").value_or("");
  for (const RankTable::Server& server : table.servers) address += fmt::format(";{}={}", server.id, server.ranks);
  for (const RankTable::Rank& rank : table.ranks) address += fmt::format(",{}:{}", rank.server, rank.device);
  return address;
}

// Rank 0 listens at its host_port, else at the vendor's first port.
std::string tcp_address_of(const RankTable& table, const std::string& host) {
  constexpr int kFirstPort = 60000;
  const int port = table.ranks[0].host_port > 0 ? table.ranks[0].host_port : kFirstPort;
  const bool colons = host.find(':') != std::string::npos;
  return fmt::format("tcp://{}{}{}:{}/{}", colons ? "[" : "", host, colons ? "]" : "", port, address_of(table));
}

}  // namespace

Expected<RankTable> parse_rank_table(std::string_view text, std::string_view file) {
  const std::string what = fmt::format("rank table {}", printable(file, 256));
  if (text.size() > kMaxTableBytes) {
    return fail(ErrorCode::malformed,
                fmt::format("{}: {} bytes, at most {} wanted", what, text.size(), kMaxTableBytes));
  }
  const auto whole = parse_json(text, what);
  if (!whole) return fail(whole.error());
  auto table = Reader().read(*whole);
  if (!table) return fail(table.error().code, fmt::format("{}: {}", what, table.error().message));
  return table;
}

Expected<RankTable> read_rank_table(const std::string& path, double timeout_s) {
  const auto fallback = static_cast<double>(env_integer("HCCL_CONNECT_TIMEOUT", 1, INT32_MAX).value_or(120));
  const Deadline deadline = Deadline::after_seconds(timeout_s > 0 ? timeout_s : fallback);
  while (true) {
    const auto text = read_file(path, kMaxTableBytes);
    if (!text) return fail(text.error().code, fmt::format("rank table {}", text.error().message));
    auto table = parse_rank_table(*text, path);
    if (!table || table->completed) return table;
    if (deadline.passed()) {
      return fail(ErrorCode::timed_out,
                  fmt::format("rank table {}: status is still \"initializing\", \"completed\" in time wanted "
                              "(HCCL_CONNECT_TIMEOUT)",
                              path));
    }
    usleep(kLookAgainMicroseconds);
  }
}

Expected<Rendezvous> rendezvous_of(const RankTable& table, int rank, std::string_view file) {
  const int size = static_cast<int>(table.ranks.size());
  if (rank < 0 || rank >= size) {
    return fail(ErrorCode::invalid_argument, fmt::format("rank table {}: rank {} of {}, 0 to {} wanted",
                                                         printable(file, 256), rank, size, size - 1));
  }
  const RankTable::Server& server = table.servers[static_cast<size_t>(table.ranks[0].server)];
  const bool several = table.servers.size() > 1;
  if (several && server.host_ip.empty()) {
    return fail(ErrorCode::unsupported,
                fmt::format("rank table {}: {} servers ({}, {}, ...) and no host_ip of {}, where rank 0 runs, one wanted",
                            printable(file, 256), table.servers.size(), table.servers[0].id, table.servers[1].id,
                            server.id));
  }
  const std::string& host = server.host_ip.empty() ? server.id : server.host_ip;
  return Rendezvous{.rank = rank,
                    .size = size,
                    .name = fmt::format("{}_60000_{}_ranktable", host, table.ranks[0].device),
                    .address = several ? tcp_address_of(table, server.host_ip) : address_of(table),
                    .device = table.ranks[static_cast<size_t>(rank)].device};
}

}  // namespace tandem
