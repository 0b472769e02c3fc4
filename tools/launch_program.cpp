// SPDX-License-Identifier: Apache-2.0
#include "tools/launch_program.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "tandem/base/env.h"
#include "tandem/base/json.h"
#include "tandem/exec/wait.h"
#include "tools/launch_job.h"
#include "tools/launch_order.h"
#include "tools/report.h"

namespace tandem::tool {
namespace {

constexpr size_t kMostHostsFile = size_t{1} << 20;
constexpr size_t kMostOrder = size_t{1} << 20;
constexpr double kOrderSeconds = 30;
constexpr int kFirstPort = 20'000, kPorts = 10'000;  // below what kernels give to outgoing connections

int refused(const Error& error) {
  return report_failure(error.message.starts_with("launch") ? error.message : "launch: " + error.message, false);
}

template <class T>
Status draw(T& bytes) {
  if (::getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size())) return {};
  return fail(ErrorCode::io, fmt::format("getrandom: {}", std::strerror(errno)));
}

Expected<LaunchOrder> order_of(const LaunchFlags& flags) {
  LaunchOrder order;
  std::array<unsigned char, 16> job{};
  if (Status s = draw(job); !s) return fail(s.error());
  order.job = fmt::format("{:02x}", fmt::join(job, ""));
  order.ranks = order.world = std::max(flags.ranks, 1);
  order.grace_s = flags.grace_s;
  order.prefix = flags.prefix;
  order.variables = flags.variables;
  order.program = flags.program;
  return order;
}

std::vector<std::string> environment_of(const LaunchOrder& order, int local) {
  const std::vector<EnvSetting> settings = {{"RANK", std::to_string(order.first + local)},
                                            {"WORLD_SIZE", std::to_string(order.world)},
                                            {"LOCAL_RANK", std::to_string(local)},
                                            {"LOCAL_WORLD_SIZE", std::to_string(order.ranks)},
                                            {"MASTER_ADDR", order.master},
                                            {"MASTER_PORT", std::to_string(order.port)},
                                            {"TANDEM_JOB", order.job}};
  std::vector<std::string> environment = env_for_child(settings);
  for (const std::string& variable : order.variables) {
    const std::string_view start = std::string_view(variable).substr(0, variable.find('=') + 1);
    const bool own = std::ranges::count(settings, start.substr(0, start.size() - 1), &EnvSetting::name) != 0;
    if (own || start.empty()) continue;  // a rank's place is not for others to say
    std::erase_if(environment, [&](const std::string& known) { return known.starts_with(start); });
    environment.push_back(variable);
  }
  return environment;
}

Status start_ranks(LaunchedJob& job, const LaunchOrder& order, bool agent) {
  for (int local = 0; local < order.ranks; ++local) {
    const int rank = order.first + local;
    // A terminal is for the foreground group; a file or pipe is for rank 0.
    const bool reads = rank == 0 && !agent && ::isatty(STDIN_FILENO) == 0;
    const SpawnPlan plan{fmt::format("rank {}", rank),
                         order.prefix ? fmt::format("[{}] ", rank) : "",
                         order.program,
                         environment_of(order, local),
                         order.folder,
                         reads ? STDIN_FILENO : -1};
    if (Status s = job.start(plan); !s) return s;
  }
  return {};
}

int launch_here(const LaunchOrder& order, bool agent) {
  LaunchedJob job(order.grace_s);
  if (Status s = job.prepare(); !s) return refused(s.error());
  if (agent) job.obey(STDIN_FILENO);
  if (Status s = start_ranks(job, order, agent); !s) return refused(s.error());
  return job.watch();
}

// --- several hosts

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// For a POSIX shell.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

Expected<std::vector<HostSlots>> hosts_of(const LaunchFlags& flags) {
  const auto text = read_file(flags.hosts, kMostHostsFile);
  if (!text) return fail(text.error());
  const auto hosts = read_hosts(*text, flags.hosts);
  if (!hosts) return fail(hosts.error());
  return share_ranks(*hosts, flags.ranks);
}

// What this library reads is the same on all hosts, but for what names a host.
std::vector<std::string> shared_variables() {
  constexpr std::array<std::string_view, 2> kOwn = {"TANDEM_HOST_ID", "TANDEM_JOB"};
  std::vector<std::string> shared;
  for (const EnvVariable& variable : env_table()) {
    if (!variable.name.starts_with("TANDEM_") || std::ranges::count(kOwn, variable.name) != 0) continue;
    if (const auto value = env_text(variable.name)) shared.push_back(fmt::format("{}={}", variable.name, *value));
  }
  return shared;
}

Status start_hosts(LaunchedJob& job, const LaunchFlags& flags, LaunchOrder order, const std::vector<HostSlots>& hosts) {
  std::error_code error;
  const std::string own = std::filesystem::read_symlink("/proc/self/exe", error).string();
  const std::string tool = flags.remote_tool.empty() ? own : flags.remote_tool;
  order.world = 0;
  for (const HostSlots& host : hosts) order.world += host.slots;
  order.first = 0;
  for (const HostSlots& host : hosts) {
    order.ranks = host.slots;
    SpawnPlan plan{fmt::format("the launcher on {}", host.name), "", words_of(flags.remote_shell),
                   env_for_child(std::span<const EnvSetting>()), "", -1};
    plan.program.push_back(host.name);
    plan.program.push_back(fmt::format("exec {} launch --agent", quoted(tool)));
    if (Status s = job.start_far(std::move(plan), order_line(order)); !s) return s;
    order.first += host.slots;
  }
  return {};
}

int launch_hosts(const LaunchFlags& flags, LaunchOrder order) {
  const auto hosts = hosts_of(flags);
  if (!hosts) return refused(hosts.error());
  std::array<unsigned char, 4> random{};
  if (Status s = draw(random); !s) return refused(s.error());
  uint32_t number = 0;
  std::memcpy(&number, random.data(), sizeof number);
  const std::string& first = hosts->front().name;
  order.master = first.substr(first.rfind('@') + 1);
  order.port = flags.port != 0 ? flags.port : kFirstPort + static_cast<int>(number % kPorts);
  std::error_code error;
  order.folder = std::filesystem::current_path(error).string();
  order.variables = shared_variables();
  order.variables.insert(order.variables.end(), flags.variables.begin(), flags.variables.end());
  LaunchedJob job(order.grace_s);
  if (Status s = job.prepare(); !s) return refused(s.error());
  if (Status s = start_hosts(job, flags, std::move(order), *hosts); !s) return refused(s.error());
  return job.watch();
}

// The first line of standard input, byte by byte: what follows is read later.
Expected<std::string> order_from_input() {
  const Deadline end = Deadline::after_seconds(kOrderSeconds);
  std::string line;
  while (line.size() < kMostOrder && !end.passed()) {
    pollfd wait{STDIN_FILENO, POLLIN, 0};
    char byte = 0;
    if (::poll(&wait, 1, 100) == 0) continue;
    const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    if (byte == '\n') return line;
    line += byte;
  }
  return fail(ErrorCode::malformed, "launch: no order on standard input; --agent is for `tandem launch --hosts`");
}

int launch_as_agent() {
  const auto line = order_from_input();
  if (!line) return refused(line.error());
  const auto order = read_order(*line);
  return order ? launch_here(*order, true) : refused(order.error());
}

}  // namespace

int launch_program(const LaunchFlags& flags) {
  if (flags.agent) return launch_as_agent();
  auto order = order_of(flags);
  if (!order) return refused(order.error());
  if (!flags.hosts.empty()) return launch_hosts(flags, std::move(*order));
  order->port = free_port();
  return launch_here(*order, false);
}

}  // namespace tandem::tool
