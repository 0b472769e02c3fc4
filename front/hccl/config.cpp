// SPDX-License-Identifier: Apache-2.0
#include "front/hccl/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "hccl/hccl_comm.h"
#include "tandem/base/env.h"
#include "tandem/base/log.h"

namespace tandem::front {
namespace {

// The bytes of a config that the program's own struct had.
class Fields {
 public:
  explicit Fields(const HcclCommConfig& config) : first_(reinterpret_cast<const char*>(&config)) {
    std::memcpy(&size_, config.reserved, sizeof(size_));
    std::memcpy(&magic_, config.reserved + sizeof(size_), sizeof(magic_));
  }

  bool set_up() const {
    return magic_ == HCCL_COMM_CONFIG_MAGIC_WORD && size_ >= offsetof(HcclCommConfig, hcclCommName);
  }

  template <class T>
  T number(size_t offset, T fallback) const {
    if (offset + sizeof(T) > size_) return fallback;
    T value;
    std::memcpy(&value, first_ + offset, sizeof(value));
    return value;
  }

  // Not terminated: as long as the field.
  std::string_view text(size_t offset, size_t bytes) const {
    if (offset + bytes > size_) return {};
    return {first_ + offset, strnlen(first_ + offset, bytes)};
  }

 private:
  const char* first_;
  size_t size_ = 0;
  uint32_t magic_ = 0;
};

// The configured buffer bounds the window from above; it never makes it larger than without a config.
size_t window_bytes(uint32_t buffer_mb) {
  constexpr int64_t kDefaultWindowMb = 8;
  const int64_t usual_mb = env_integer("TANDEM_WINDOW_MB", 1, INT32_MAX).value_or(kDefaultWindowMb);
  return buffer_mb >= usual_mb ? 0 : size_t{buffer_mb} << 20;
}

Status wrong(std::string text) { return fail(ErrorCode::invalid_argument, std::move(text)); }

Status read_sizes(const Fields& fields, ConfigValues& values) {
  const auto buffer_mb =
      fields.number<uint32_t>(offsetof(HcclCommConfig, hcclBufferSize), HCCL_COMM_BUFFSIZE_CONFIG_NOT_SET);
  if (buffer_mb == 0) return wrong("config's hcclBufferSize is 0, MiB from 1 wanted");
  values.window_bytes = window_bytes(buffer_mb);
  const auto deterministic =
      fields.number<uint32_t>(offsetof(HcclCommConfig, hcclDeterministic), HCCL_COMM_DETERMINISTIC_CONFIG_NOT_SET);
  constexpr uint32_t kStrict = 2;
  if (deterministic > kStrict && deterministic != HCCL_COMM_DETERMINISTIC_CONFIG_NOT_SET) {
    return wrong(fmt::format("config's hcclDeterministic is {}, 0, 1 or 2 wanted", deterministic));
  }
  const auto seconds =
      fields.number<int32_t>(offsetof(HcclCommConfig, hcclExecTimeOut), HCCL_COMM_EXECTIMEOUT_CONFIG_NOT_SET);
  if (seconds < -1) return wrong(fmt::format("config's hcclExecTimeOut is {}, seconds from 0 wanted", seconds));
  values.call_s = seconds;
  return {};
}

Status read_name(const Fields& fields, ConfigValues& values) {
  const std::string_view name = fields.text(offsetof(HcclCommConfig, hcclCommName), COMM_NAME_MAX_LENGTH);
  if (name.size() == COMM_NAME_MAX_LENGTH) {
    return wrong("config's hcclCommName has 128 characters, at most 127 wanted");
  }
  values.name.assign(name);
  return {};
}

// Hints about algorithms and network cards: without effect here, which one line tells.
void tell_hints(const Fields& fields) {
  const auto algorithm = fields.text(offsetof(HcclCommConfig, hcclAlgo), HCCL_COMM_ALGO_MAX_LENGTH);
  const auto retry = fields.text(offsetof(HcclCommConfig, hcclRetryEnable), HCCL_COMM_RETRY_ENABLE_MAX_LENGTH);
  const auto buffer = fields.text(offsetof(HcclCommConfig, hcclBufferName), BUFFER_NAME_MAX_LENGTH);
  if (!algorithm.empty()) log_info("hccl: config's hcclAlgo has no effect, algorithms are chosen by size");
  if (!retry.empty()) log_info("hccl: config's hcclRetryEnable has no effect, a failed communicator stays failed");
  if (!buffer.empty()) log_info("hccl: config's hcclBufferName has no effect, every communicator has its own window");
}

}  // namespace

Expected<ConfigValues> read_config(const HcclCommConfig& config) {
  const Fields fields(config);
  if (!fields.set_up()) return fail(wrong("config was not set up, HcclCommConfigInit before it wanted").error());
  ConfigValues values;
  if (Status s = read_sizes(fields, values); !s) return fail(s.error());
  if (Status s = read_name(fields, values); !s) return fail(s.error());
  tell_hints(fields);
  return values;
}

}  // namespace tandem::front
