// SPDX-License-Identifier: Apache-2.0
#include "tests/group_a/rank_session.h"

#include <aclnnop/aclnn_trans_matmul_weight.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>

#include "tests/group_a/descriptors.h"

namespace tandem::group_a {
namespace {

constexpr int32_t kTimeoutMs = 60000;
// Memory behind descriptors of refused cases; nobody may look at it.
constexpr size_t kRefusedBytes = 512;

const char* const kNames[] = {"x1",    "x2",     "bias",     "scale", "offset", "token", "x3",
                              "first", "second", "residual", "gamma", "y",      "norm"};

void* unreadable_memory() {
  static void* const pages = mmap(nullptr, 1 << 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages;
}

size_t output_bytes(const fused::Problem& p) { return dtype_bytes(p.output, p.m * p.n); }

// Without the operator's own name, which holds words like reduce and norm.
std::string without_operator(const std::string& message) {
  const size_t start = message.find("aclnn"), end = message.find(": ", start == std::string::npos ? 0 : start);
  return end == std::string::npos ? message : message.substr(end + 2);
}

std::string expect_status(const char* call, int got, const Step& step, const std::string& says) {
  if (got != step.status) return fmt::format("{} gave {} ({}), {} wanted", call, got, recent_error(), step.status);
  if (got == 0) return {};
  const std::string message = recent_error();
  if (message.empty()) return fmt::format("{} gave {} without an error text", call, got);
  if (says.empty() || mentions(without_operator(message), says)) return {};
  return fmt::format("{} gave {} with '{}', which does not name {}", call, got, message, says);
}

}  // namespace

RankSession::RankSession(const Case& test, int rank, std::string group, const fused::RankData& data)
    : test_(test), group_(std::move(group)) {
  must(aclrtSetDevice(rank), "aclrtSetDevice");
  must(aclrtCreateStream(&stream_), "aclrtCreateStream");
  for (const char* name : kNames) add_operand(name, data);
}

RankSession::~RankSession() {
  if (!stuck_) aclrtDestroyStream(stream_);
}

void RankSession::add_operand(const std::string& name, const fused::RankData& data) {
  if (test_.null.contains(name) || (name == "y" && test_.inplace())) return;
  const bool of_tail = name == "residual" || name == "gamma" || name == "norm";
  if (!test_.problem.tail && of_tail) return;
  const fused::Stored& stored = fused::operand(data, name);
  const bool output = name == "y" || name == "norm";
  if (!output && !data.empty() && !stored.present()) return;
  if (data.empty() && !test_.has(name)) return;
  Operand operand;
  operand.descriptor = describe(test_, name);
  if (test_.unreadable) {
    operand.tensor = Tensor(operand.descriptor, unreadable_memory());
  } else {
    const size_t bytes = data.empty() ? kRefusedBytes : output ? output_bytes(test_.problem) : stored.bytes.size();
    operand.buffer = DeviceBuffer(bytes);
    operand.buffer.upload(stored.bytes);
    operand.initial = operand.buffer.download();
    operand.tensor = Tensor(operand.descriptor, operand.buffer.data());
  }
  operands_[name] = std::move(operand);
}

const aclTensor* RankSession::tensor(const std::string& name) const {
  const auto found = operands_.find(name);
  return found == operands_.end() ? nullptr : found->second.tensor.get();
}

Arguments RankSession::arguments(uint64_t* size, aclOpExecutor** executor) const {
  Arguments a;
  a.x1 = tensor("x1");
  a.x2 = tensor("x2");
  a.bias = tensor("bias");
  a.scale = tensor("scale");
  a.offset = tensor("offset");
  a.x3 = tensor("x3");
  a.token = tensor("token");
  a.first = tensor("first");
  a.second = tensor("second");
  a.residual = tensor("residual");
  a.gamma = tensor("gamma");
  a.y = tensor("y");
  a.norm = tensor("norm");
  a.epsilon = test_.epsilon;
  a.group = test_.null.contains("group") ? nullptr : group_.c_str();
  a.reduce_op = test_.null.contains("reduceOp") ? nullptr : test_.reduce_op.c_str();
  a.comm_turn = test_.comm_turn;
  a.stream_mode = test_.stream_mode;
  a.group_size = test_.group_size;
  a.workspace_size = test_.null.contains("workspaceSize") ? nullptr : size;
  a.executor = test_.null.contains("executor") ? nullptr : executor;
  return a;
}

std::string RankSession::plan(const Step& step) {
  Executor fresh;
  const aclnnStatus got = plan_form(test_.form, arguments(&fresh.size, &fresh.handle));
  if (std::string text = expect_status("the first phase", got, step, test_.says); !text.empty() || got != 0)
    return text;
  if (fresh.handle == nullptr) return "the first phase gave no executor";
  if (test_.empty && fresh.size != 0) return fmt::format("workspace of {} bytes for an empty problem", fresh.size);
  if (!test_.empty && fresh.size < 512) return fmt::format("workspace of {} bytes, at least 512 wanted", fresh.size);
  if (fresh.size > 0) fresh.workspace = DeviceBuffer(fresh.size);
  executors_[step.executor] = std::move(fresh);
  return {};
}

std::string RankSession::run(const Step& step) {
  if (step.executor == "none")
    return expect_status("the second phase", run_form(test_.form, nullptr, 0, nullptr, stream_), step, "executor");
  const Executor& own = executors_.at(step.executor);
  void* workspace = own.workspace.data();
  uint64_t size = own.size;
  if (step.workspace == "null" || step.workspace == "none") workspace = nullptr;
  if (step.workspace == "zero" || step.workspace == "none") size = 0;
  if (step.workspace == "short") --size;
  const aclnnStatus got = run_form(test_.form, workspace, size, own.handle, stream_);
  return expect_status("the second phase", got, step, step.workspace == "own" ? "executor" : "workspace");
}

std::string RankSession::sync() {
  const aclError got = aclrtSynchronizeStreamWithTimeout(stream_, kTimeoutMs);
  stuck_ = got == ACL_ERROR_RT_STREAM_SYNC_TIMEOUT;
  return got == 0 ? "" : fmt::format("synchronising the stream gave {} ({})", got, recent_error());
}

// x2 becomes FRACTAL_NZ where it is.
std::string RankSession::pack() {
  Operand& x2 = operands_.at("x2");
  uint64_t size = 0;
  aclOpExecutor* executor = nullptr;
  must(aclnnTransMatmulWeightGetWorkspaceSize(x2.tensor.get(), &size, &executor), "aclnnTransMatmulWeight");
  const DeviceBuffer workspace(size);
  must(aclnnTransMatmulWeight(workspace.data(), size, executor, stream_), "aclnnTransMatmulWeight");
  const std::string text = sync();
  const bool moved = x2.buffer.download() != x2.initial;
  x2.initial = x2.buffer.download();
  return text.empty() && !moved ? "packing left the weight as it was" : text;
}

std::string RankSession::check() {
  for (const auto& [name, operand] : operands_) {
    if (!operand.buffer.guards_intact()) return "bytes around " + name + " were written";
    const bool output = name == "y" || name == "norm" || (name == "residual" && test_.inplace());
    if (!output && operand.buffer.download() != operand.initial) return "the input " + name + " was changed";
  }
  for (const auto& [name, executor] : executors_) {
    if (executor.size > 0 && !executor.workspace.guards_intact()) return "bytes around the workspace were written";
  }
  const auto norm = operands_.find("norm");
  snapshots_.push_back(
      {y().buffer.download(), norm == operands_.end() ? std::vector<std::byte>() : norm->second.buffer.download()});
  return {};
}

std::string RankSession::untouched() const {
  const Operand& norm = operands_.at("norm");
  const bool same = y().buffer.download() == y().initial && norm.buffer.download() == norm.initial;
  return same ? "" : "a refused second phase wrote outputs";
}

void RankSession::clear() {
  for (const char* name : {"y", "norm", "residual"}) {
    const auto found = operands_.find(name);
    if (found == operands_.end()) continue;
    found->second.buffer.clear();
    found->second.buffer.upload(found->second.initial);
  }
  for (auto& [name, executor] : executors_) {
    if (executor.size > 0) executor.workspace.clear();
  }
}

std::string RankSession::simple(const Step& step) {
  if (step.action == "clear") return clear(), "";
  if (step.action == "drop descriptors") {
    for (auto& [name, operand] : operands_) operand.tensor = Tensor();
    return {};
  }
  aclOpExecutor* executor = executors_.at(step.executor).handle;
  const bool repeatable = step.action == "repeatable";
  const aclnnStatus got = repeatable ? aclSetAclOpExecutorRepeatable(executor) : aclDestroyAclOpExecutor(executor);
  return expect_status(step.action.c_str(), got, step, "");
}

std::string RankSession::step(const Step& step) {
  if (step.action == "plan") return plan(step);
  if (step.action == "run") return run(step);
  if (step.action == "sync") return sync();
  if (step.action == "pack") return pack();
  if (step.action == "check") return check();
  if (step.action == "untouched") return untouched();
  return simple(step);
}

}  // namespace tandem::group_a
