// SPDX-License-Identifier: Apache-2.0
#include "tools/rank_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "tandem/base/env.h"
#include "tandem/comm/communicator.h"
#include "tools/report.h"

namespace tandem::tool {
namespace {

void send(const nlohmann::json& message) {
  const std::string text = message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t sent = ::write(kReportDescriptor, rest.data(), rest.size());
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return;
    rest.remove_prefix(static_cast<size_t>(sent));
  }
}

// Ends this process with its launcher. The launcher may have ended before the request, hence the second look.
bool die_with(long parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  return ::getppid() == parent;
}

Expected<RankReport> run(const GenerateFlags& flags, const RankTicket& ticket) {
  const auto job = make_job(flags);
  if (!job) return fail(job.error());
  const Rendezvous rendezvous{
      .rank = ticket.rank, .size = ticket.size, .name = "generate", .address = ticket.address, .device = ticket.rank};
  const auto comm = Communicator::connect(rendezvous);
  if (!comm) return fail(comm.error());
  if (ticket.rank > 0 || flags.json) return run_rank(*job, *comm, Print());
  auto report = run_rank(*job, *comm, [](const std::string& text) { put(stdout, text); });
  const auto arrived = stdout_arrived();
  return arrived || !report ? report : fail(arrived.error());
}

bool next_number(std::string_view& text, long& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value < 0) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (!text.starts_with(':')) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::string write_ticket(const RankTicket& ticket) {
  return fmt::format("{}:{}:{}:{}", ticket.rank, ticket.size, ticket.parent, ticket.address);
}

Expected<RankTicket> read_ticket(const std::string& text) {
  std::string_view rest = text;
  long rank = 0, size = 0, parent = 0;
  const bool whole = next_number(rest, rank) && next_number(rest, size) && next_number(rest, parent);
  if (!whole || rank >= size || size > 1024 || rest.empty()) {
    return fail(ErrorCode::invalid_argument, "TANDEM_RENDEZVOUS is set by the launcher only; unset it");
  }
  return RankTicket{static_cast<int>(rank), static_cast<int>(size), parent, std::string(rest)};
}

bool is_rank_process() { return env_text("TANDEM_RENDEZVOUS").has_value(); }

int run_rank_process(const GenerateFlags& flags) {
  const auto ticket = read_ticket(env_text("TANDEM_RENDEZVOUS").value_or(""));
  if (!ticket) return report_failure(ticket.error().message, flags.json);
  if (!die_with(ticket->parent)) return 1;
  ::fcntl(kReportDescriptor, F_SETFD, FD_CLOEXEC);
  const auto report = guarded([&] { return run(flags, *ticket); });
  send(report ? to_json(*report) : nlohmann::json{{"error", report.error().message}});
  return report ? 0 : 1;
}

}  // namespace tandem::tool
