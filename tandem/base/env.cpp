// SPDX-License-Identifier: Apache-2.0
#include "tandem/base/env.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <cstdlib>
#include <mutex>
#include <set>

#include "tandem/base/log.h"

namespace tandem {
namespace {

constexpr std::array kTable = {
    EnvVariable{"TANDEM_TABLE", "text", "best of this CPU", "kernel table to use: reference, portable, avx2, avx512, avx512_vnni"},
    EnvVariable{"TANDEM_MATH", "choice exact|fast", "exact", "arithmetic of products with int8 and int4 weights, see docs/numerics.md"},
    EnvVariable{"TANDEM_DEVICES", "integer", "8", "number of logical devices"},
    EnvVariable{"TANDEM_THREADS", "integer", "cores / ranks", "threads of one device"},
    EnvVariable{"TANDEM_WINDOW_MB", "integer", "8", "symmetric window of one rank, MiB"},
    EnvVariable{"TANDEM_STALL_S", "number", "30", "seconds a peer inside an operator may make no progress; 0 = for ever"},
    EnvVariable{"TANDEM_SOC", "text", "Ascend910B3", "answer of aclrtGetSocName; its limits are warned of, or kept with TANDEM_STRICT=1"},
    EnvVariable{"TANDEM_STRICT", "integer", "0", "1 = the vendor's exact error codes and refusals, those of the product TANDEM_SOC names too (aclnn and ATB)"},
    EnvVariable{"TANDEM_LOG", "choice trace|debug|info|warn|error|off", "warn", "least level that is logged to stderr"},
    EnvVariable{"TANDEM_VERBOSE", "integer", "0", "1 = one line per executed operator on stderr"},
    EnvVariable{"TANDEM_TRACE", "text", "none", "file for a Chrome trace of all ranks, written when the processes end, see docs/trace.md"},
    EnvVariable{"TANDEM_OVERLAP", "choice on|off", "by shape", "whether fused products hide communication behind the next rows' product; the same bits"},
    EnvVariable{"TANDEM_MODEL", "text", "share/tandem/model", "model folder when --model is absent"},
    EnvVariable{"TANDEM_TEST_DATA", "text", "../shared/models", "optional folder with larger test models"},
    EnvVariable{"TANDEM_RENDEZVOUS", "text", "none", "address a launched rank process meets its launcher at"},
    EnvVariable{"TANDEM_FAULT", "text", "none", "for tests: fault to inject into a rank, see docs/faults.md"},
    EnvVariable{"TANDEM_SIGUSR1", "integer", "0", "1 = SIGUSR1 prints who waits for whom, unless the program handles it"},
    EnvVariable{"TANDEM_HOST_ID", "text", "kernel and network namespace", "ranks with the same text share memory, others meet over UCX"},
    EnvVariable{"TANDEM_LINK_S", "number", "10", "seconds a link between hosts may be silent before its ranks give up; 0 = as long as the kernel says"},
    EnvVariable{"UCX_TLS", "text", "all but shared memory", "transports of UCX between hosts; UCX reads its other variables itself"},
    EnvVariable{"HCCL_BUFFSIZE", "integer", "none", "upper bound of the window, MiB"},
    EnvVariable{"HCCL_EXEC_TIMEOUT", "integer", "300", "seconds to wait for a peer that has not called the operator; 0 = for ever"},
    EnvVariable{"HCCL_CONNECT_TIMEOUT", "integer", "120", "seconds to wait for all ranks to join"},
    EnvVariable{"HCCL_DETERMINISTIC", "text", "strict", "accepted; results are always the same bits"},
    EnvVariable{"LCCL_DETERMINISTIC", "text", "strict", "accepted; results are always the same bits"},
    EnvVariable{"PATH", "text", "none", "where `tandem bench collective` looks for mpirun"},
    EnvVariable{"ASCEND_RT_VISIBLE_DEVICES", "text", "all", "comma-separated logical devices that are visible, renumbered from 0"},
    EnvVariable{"ASCEND_GLOBAL_LOG_LEVEL", "integer", "none", "0 debug, 1 info, 2 warn, 3 error, 4 nothing; TANDEM_LOG goes before it"},
    EnvVariable{"ASCEND_MODULE_LOG_LEVEL", "text", "none", "HCCL=0:...: that level for this library, goes before ASCEND_GLOBAL_LOG_LEVEL"},
    EnvVariable{"ASCEND_SLOG_PRINT_TO_STDOUT", "integer", "0", "1 = log lines to stdout, in the vendor's form"},
    EnvVariable{"ASCEND_PROCESS_LOG_PATH", "text", "none", "folder for log files, in the vendor's form"},
    EnvVariable{"ASDOPS_LOG_LEVEL", "choice TRACE|DEBUG|INFO|WARN|ERROR|FATAL", "none", "log level where no other variable sets one"},
    EnvVariable{"ASDOPS_LOG_TO_STDOUT", "integer", "0", "1 = as ASCEND_SLOG_PRINT_TO_STDOUT"},
    EnvVariable{"HCCL_ENTRY_LOG_ENABLE", "integer", "0", "1 = as TANDEM_VERBOSE"},
    EnvVariable{"TANDEM_JOB", "text", "none", "text that the ranks of one launch share and no other job has; tandem launch sets it"},
    EnvVariable{"RANK_TABLE_FILE", "text", "none", "rank table of a job, where a program names none"},
    EnvVariable{"RANK_ID", "integer", "none", "rank of this process (rank table)"},
    EnvVariable{"RANK_SIZE", "integer", "none", "number of ranks (rank table)"},
    EnvVariable{"DEVICE_ID", "integer", "none", "device of this process (rank table)"},
    EnvVariable{"ASCEND_DEVICE_ID", "integer", "none", "device of this process (rank table), where DEVICE_ID is unset"},
    EnvVariable{"RANK", "integer", "none", "rank of this process (torchrun, tandem launch)"},
    EnvVariable{"WORLD_SIZE", "integer", "none", "number of ranks (torchrun, tandem launch)"},
    EnvVariable{"LOCAL_RANK", "integer", "none", "rank on this host (torchrun, tandem launch)"},
    EnvVariable{"LOCAL_WORLD_SIZE", "integer", "none", "number of ranks on this host (torchrun, tandem launch)"},
    EnvVariable{"MASTER_ADDR", "text", "none", "host of rank 0 (torchrun, tandem launch)"},
    EnvVariable{"MASTER_PORT", "integer", "none", "free port on the host of rank 0 (torchrun, tandem launch)"},
    EnvVariable{"TORCHELASTIC_RUN_ID", "text", "none", "job (torchrun)"},
    EnvVariable{"OMPI_COMM_WORLD_RANK", "integer", "none", "rank of this process (Open MPI)"},
    EnvVariable{"OMPI_COMM_WORLD_SIZE", "integer", "none", "number of ranks (Open MPI)"},
    EnvVariable{"OMPI_COMM_WORLD_LOCAL_RANK", "integer", "none", "rank on this host (Open MPI)"},
    EnvVariable{"OMPI_COMM_WORLD_LOCAL_SIZE", "integer", "none", "number of ranks on this host (Open MPI)"},
    EnvVariable{"PMIX_NAMESPACE", "text", "none", "job (Open MPI)"},
    EnvVariable{"PMI_RANK", "integer", "none", "rank of this process (MPICH)"},
    EnvVariable{"PMI_SIZE", "integer", "none", "number of ranks (MPICH)"},
    EnvVariable{"MPI_LOCALRANKID", "integer", "none", "rank on this host (MPICH)"},
    EnvVariable{"MPI_LOCALNRANKS", "integer", "none", "number of ranks on this host (MPICH)"},
    EnvVariable{"PMI_JOBID", "text", "none", "job (MPICH)"},
    EnvVariable{"SLURM_PROCID", "integer", "none", "rank of this process (srun)"},
    EnvVariable{"SLURM_NTASKS", "integer", "none", "number of ranks (srun)"},
    EnvVariable{"SLURM_LOCALID", "integer", "none", "rank on this host (srun)"},
    EnvVariable{"SLURM_STEP_NUM_NODES", "integer", "none", "number of hosts (srun)"},
    EnvVariable{"SLURM_JOB_ID", "text", "none", "job (srun)"},
    EnvVariable{"SLURM_STEP_ID", "text", "none", "step of the job (srun)"},
    EnvVariable{"HCCL_ALGO", "unused", "-", "algorithms are chosen by size"},
    EnvVariable{"HCCL_OP_EXPANSION_MODE", "unused", "-", "there is one way to run"},
    EnvVariable{"HCCL_OP_RETRY_ENABLE", "unused", "-", "a communicator that broke stays as it is"},
    EnvVariable{"HCCL_OP_RETRY_PARAMS", "unused", "-", "a communicator that broke stays as it is"},
    EnvVariable{"HCCL_INTRA_ROCE_ENABLE", "unused", "-", "ranks of one host share memory"},
    EnvVariable{"HCCL_INTRA_PCIE_ENABLE", "unused", "-", "ranks of one host share memory"},
    EnvVariable{"HCCL_RDMA_TC", "unused", "-", "network cards are not set up here"},
    EnvVariable{"HCCL_RDMA_SL", "unused", "-", "network cards are not set up here"},
    EnvVariable{"HCCL_RDMA_TIMEOUT", "unused", "-", "network cards are not set up here"},
    EnvVariable{"HCCL_RDMA_RETRY_CNT", "unused", "-", "network cards are not set up here"},
    EnvVariable{"HCCL_LOGIC_SUPERPOD_ID", "unused", "-", "there are no pods of devices"},
    EnvVariable{"ATB_SHARE_MEMORY_NAME_SUFFIX", "text", "none", "joined to the commDomain at which ranks of ATB operations meet"},
    EnvVariable{"HCCL_IF_IP", "text", "none", "address of this host at which ranks of others reach HcclGetRootInfo's caller, who is rank 0"},
    EnvVariable{"HCCL_SOCKET_IFNAME", "unused", "-", "ranks of one host need no network"},
    EnvVariable{"HCCL_SOCKET_FAMILY", "unused", "-", "ranks of one host need no network"},
    EnvVariable{"HCCL_IF_BASE_PORT", "integer", "60000", "first of the 1000 ports one of which HcclGetRootInfo picks, with HCCL_IF_IP"},
    EnvVariable{"HCCL_HOST_SOCKET_PORT_RANGE", "unused", "-", "ranks of one host need no network"},
    EnvVariable{"HCCL_NPU_SOCKET_PORT_RANGE", "unused", "-", "ranks of one host need no network"},
    EnvVariable{"HCCL_WHITELIST_DISABLE", "unused", "-", "only processes of the same user and job are let in"},
    EnvVariable{"HCCL_WHITELIST_FILE", "unused", "-", "only processes of the same user and job are let in"},
    EnvVariable{"CM_CHIEF_IP", "unused", "-", "give a rank table or root info"},
    EnvVariable{"CM_CHIEF_PORT", "unused", "-", "give a rank table or root info"},
    EnvVariable{"CM_CHIEF_DEVICE", "unused", "-", "give a rank table or root info"},
    EnvVariable{"CM_WORKER_SIZE", "unused", "-", "give a rank table or root info"},
    EnvVariable{"CM_WORKER_IP", "unused", "-", "give a rank table or root info"},
};

const EnvVariable* find_variable(std::string_view name) {
  const auto found = std::find_if(kTable.begin(), kTable.end(), [&](const EnvVariable& v) { return v.name == name; });
  return found == kTable.end() ? nullptr : &*found;
}

void warn_once(std::string_view name, const std::string& value, std::string_view wanted) {
  static std::mutex mutex;
  static std::set<std::string, std::less<>> seen;
  const std::lock_guard lock(mutex);
  if (!seen.emplace(name).second) return;
  log_warn("environment: {}={} ignored, {} wanted", name, value, wanted);
}

template <class T>
std::optional<T> parse(std::string_view name, T low, T high) {
  const auto text = env_text(name);
  if (!text) return std::nullopt;
  T value{};
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  const bool whole = error == std::errc{} && end == text->data() + text->size();
  if (whole && value >= low && value <= high) return value;
  warn_once(name, *text, fmt::format("a number in [{}, {}]", low, high));
  return std::nullopt;
}

}  // namespace

std::span<const EnvVariable> env_table() { return kTable; }

std::optional<std::string> env_text(std::string_view name) {
  const EnvVariable* variable = find_variable(name);
  assert(variable != nullptr && "environment variable is missing from the table");
  if (variable == nullptr) return std::nullopt;
  const char* value = std::getenv(variable->name.data());
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

std::vector<std::string> env_for_child(std::span<const EnvSetting> settings) {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view given(*entry);
    const std::string_view name = given.substr(0, given.find('='));
    if (std::ranges::find(settings, name, &EnvSetting::name) == settings.end()) variables.emplace_back(given);
  }
  for (const EnvSetting& setting : settings) {
    assert(find_variable(setting.name) != nullptr && "environment variable is missing from the table");
    variables.push_back(std::string(setting.name) + "=" + setting.value);
  }
  return variables;
}

std::vector<std::string> env_for_child(std::string_view name, std::string_view value) {
  const EnvSetting setting{name, std::string(value)};
  return env_for_child(std::span(&setting, 1));
}

void warn_of_unused_variables() {
  static std::once_flag once;
  std::call_once(once, [] {
    std::string text;
    for (const EnvVariable& variable : kTable) {
      if (variable.type != "unused" || !env_text(variable.name)) continue;
      text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", variable.name, variable.help);
    }
    if (!text.empty()) log_warn("environment: set but without effect: {}", text);
  });
}

std::optional<int64_t> env_integer(std::string_view name, int64_t low, int64_t high) {
  return parse<int64_t>(name, low, high);
}

std::optional<double> env_number(std::string_view name, double low, double high) {
  return parse<double>(name, low, high);
}

}  // namespace tandem
