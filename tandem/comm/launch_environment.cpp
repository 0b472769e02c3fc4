// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/launch_environment.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <climits>

#include "tandem/base/env.h"
#include "tandem/comm/fingerprint.h"
#include "tandem/comm/rank_table.h"

namespace tandem {
namespace {

// The names one launcher uses; empty where it says nothing.
struct Launcher {
  std::string_view name, rank, size, local_rank, local_size, master, master_port;
  std::array<std::string_view, 2> job;
  std::string_view nodes, rank_table;
};

// mpirun and srun may run a program that sets up the first kind for its own ranks, and mpirun runs inside an
// allocation of Slurm: what is nearest to the rank comes first.
constexpr std::array kLaunchers = {
    Launcher{"torchrun",
             "RANK",
             "WORLD_SIZE",
             "LOCAL_RANK",
             "LOCAL_WORLD_SIZE",
             "MASTER_ADDR",
             "MASTER_PORT",
             {"TANDEM_JOB", "TORCHELASTIC_RUN_ID"},
             "",
             ""},
    Launcher{"Open MPI",
             "OMPI_COMM_WORLD_RANK",
             "OMPI_COMM_WORLD_SIZE",
             "OMPI_COMM_WORLD_LOCAL_RANK",
             "OMPI_COMM_WORLD_LOCAL_SIZE",
             "",
             "",
             {"TANDEM_JOB", "PMIX_NAMESPACE"},
             "",
             ""},
    Launcher{"MPICH",
             "PMI_RANK",
             "PMI_SIZE",
             "MPI_LOCALRANKID",
             "MPI_LOCALNRANKS",
             "",
             "",
             {"TANDEM_JOB", "PMI_JOBID"},
             "",
             ""},
    Launcher{"srun",
             "SLURM_PROCID",
             "SLURM_NTASKS",
             "SLURM_LOCALID",
             "",
             "",
             "",
             {"SLURM_JOB_ID", "SLURM_STEP_ID"},
             "SLURM_STEP_NUM_NODES",
             ""},
    Launcher{"rank table", "RANK_ID", "RANK_SIZE", "DEVICE_ID", "", "", "", {"TANDEM_JOB", ""}, "", "RANK_TABLE_FILE"},
};

class Reader {
 public:
  Reader(const Launcher& launcher, const Lookup& lookup) : launcher_(launcher), lookup_(lookup) {}

  bool present() const { return lookup_(launcher_.rank) && lookup_(launcher_.size); }
  Expected<std::optional<LaunchEnvironment>> read();

 private:
  std::string text(std::string_view name) const {
    return name.empty() ? std::string() : lookup_(name).value_or(std::string());
  }
  // `fallback` where the variable is unset.
  int number(std::string_view name, int low, int high, int fallback);
  std::string job() const;

  const Launcher& launcher_;
  const Lookup& lookup_;
  Status status_;
};

int Reader::number(std::string_view name, int low, int high, int fallback) {
  const std::string given = text(name);
  if (given.empty() || !status_) return fallback;
  int value = 0;
  const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
  const bool whole = error == std::errc{} && end == given.data() + given.size();
  if (whole && value >= low && value <= high) return value;
  status_ = fail(ErrorCode::invalid_argument, fmt::format("{}: {}={}, a number in [{}, {}] wanted", launcher_.name,
                                                          name, printable(given, 64), low, high));
  return fallback;
}

// Both parts where a launcher names the job in two.
std::string Reader::job() const {
  const std::string first = text(launcher_.job[0]);
  const std::string second = text(launcher_.job[1]);
  return first.empty() || second.empty() ? first + second : first + "." + second;
}

Expected<std::optional<LaunchEnvironment>> Reader::read() {
  LaunchEnvironment made;
  made.launcher = launcher_.name;
  made.size = number(launcher_.size, 1, kMaxTableRanks, 1);
  made.rank = number(launcher_.rank, 0, made.size - 1, 0);
  const bool one_node = !launcher_.nodes.empty() && number(launcher_.nodes, 1, INT_MAX, 0) == 1;
  made.local_size = number(launcher_.local_size, 1, made.size, one_node ? made.size : -1);
  const int most_local = (made.local_size > 0 ? made.local_size : kMaxTableRanks) - 1;
  made.local_rank = number(launcher_.local_rank, 0, most_local, -1);
  made.master = text(launcher_.master);
  made.master_port = number(launcher_.master_port, 0, 65535, 0);
  made.job = job();
  made.rank_table = text(launcher_.rank_table);
  if (!status_) return fail(status_.error());
  return std::optional(std::move(made));
}

// Where the launcher names no job, its process does: the ranks of one host are its children.
std::string address_of(const LaunchEnvironment& environment) {
  std::string place = environment.job;
  if (place.empty() && environment.local_size == environment.size) place = fmt::format("child of {}", getppid());
  if (place.empty()) return {};
  return fmt::format("launch {} {} {}:{}", environment.launcher, place, environment.master, environment.master_port);
}

// Beside the port of the launcher's own store.
std::string tcp_address_of(const LaunchEnvironment& environment) {
  const int port = environment.master_port < 65535 ? environment.master_port + 1 : environment.master_port - 1;
  const bool colons = environment.master.find(':') != std::string::npos;
  return fmt::format("tcp://{}{}{}:{}/{} {}", colons ? "[" : "", environment.master, colons ? "]" : "", port,
                     environment.launcher, environment.job);
}

}  // namespace

Expected<std::optional<LaunchEnvironment>> read_launch_environment(const Lookup& lookup) {
  for (const Launcher& launcher : kLaunchers) {
    Reader reader(launcher, lookup);
    if (reader.present()) return reader.read();
  }
  return std::optional<LaunchEnvironment>();
}

Expected<std::optional<LaunchEnvironment>> launch_environment() {
  return read_launch_environment([](std::string_view name) { return env_text(name); });
}

Expected<Rendezvous> rendezvous_of(const LaunchEnvironment& environment, std::string_view name) {
  if (!environment.rank_table.empty()) {
    const auto table = read_rank_table(environment.rank_table);
    if (!table) return fail(table.error());
    auto rendezvous = rendezvous_of(*table, environment.rank, environment.rank_table);
    if (rendezvous) rendezvous->name = name;
    return rendezvous;
  }
  const bool several = environment.local_size > 0 && environment.local_size < environment.size;
  if (several && (environment.master.empty() || environment.master_port == 0)) {
    return fail(ErrorCode::unsupported,
                fmt::format("{}: {} of {} ranks on this host and no address of rank 0, MASTER_ADDR and MASTER_PORT "
                            "(torchrun) or a rank table wanted",
                            environment.launcher, environment.local_size, environment.size));
  }
  const std::string address = several ? tcp_address_of(environment) : address_of(environment);
  if (address.empty() && environment.size > 1) {
    return fail(ErrorCode::invalid_argument,
                fmt::format("{}: it names no job; TANDEM_JOB with a text that the ranks share and no other job has "
                            "wanted",
                            environment.launcher));
  }
  return Rendezvous{.rank = environment.rank,
                    .size = environment.size,
                    .name = std::string(name),
                    .address = address,
                    .device = environment.local_rank >= 0 ? environment.local_rank : environment.rank};
}

}  // namespace tandem
