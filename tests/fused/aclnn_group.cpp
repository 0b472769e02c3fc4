// SPDX-License-Identifier: Apache-2.0
#include "tests/fused/aclnn_group.h"

#include <fmt/format.h>

#include <map>
#include <thread>

#include "aclnnop/aclnn_matmul_all_reduce.h"
#include "aclnnop/aclnn_matmul_all_reduce_v2.h"
#include "aclnnop/aclnn_matmul_all_reduce_v3.h"
#include "aclnnop/aclnn_quant_matmul_all_reduce.h"
#include "aclnnop/aclnn_quant_matmul_all_reduce_v2.h"
#include "aclnnop/aclnn_quant_matmul_all_reduce_v3.h"
#include "aclnnop/aclnn_weight_quant_matmul_all_reduce.h"
#include "aclnnop/aclnn_weight_quant_matmul_all_reduce_v2.h"
#include "tests/group_a/vendor.h"

namespace tandem::fused {
namespace {

constexpr const char* kAnyMode = "aiv";

using group_a::Arguments;
using group_a::Descriptor;
using group_a::DeviceBuffer;
using group_a::Tensor;

constexpr int32_t kTimeoutMs = 60000;

Descriptor descriptor_of(const Stored& stored, std::vector<int64_t> dims) {
  Descriptor d{group_a::acl_dtype(std::string(dtype_name(stored.dtype))), ACL_FORMAT_ND, dims, {}, dims};
  d.strides = group_a::row_major(dims);
  if (stored.transposed() && dims.size() == 2) {
    d.strides = {1, stored.rows};
    d.storage = {stored.cols, stored.rows};
  }
  return d;
}

class RankCall {
 public:
  RankCall(const Problem& p, int rank, std::string group, const RankData& data, bool newest)
      : problem_(p), group_(std::move(group)), newest_(newest) {
    group_a::must(aclrtSetDevice(rank), "aclrtSetDevice");
    group_a::must(aclrtCreateStream(&stream_), "aclrtCreateStream");
    const bool vectors = p.scales != "group";
    add(data, "x1", {p.m, p.k});
    add(data, "x2", {p.k, p.n});
    add(data, "bias", {p.n});
    for (const char* name : {"scale", "offset"}) {
      const Stored& stored = operand(data, name);
      add(data, name, vectors ? std::vector<int64_t>{stored.cols} : std::vector<int64_t>{stored.rows, stored.cols});
    }
    add(data, "token", {p.m});
    add(data, "x3", {p.m, p.n});
    add(data, "first", {p.n});
    add(data, "second", {p.n});
    if (p.tail) {
      add(data, "residual", {1, p.m, p.n});
      add(data, "gamma", {p.n});
      add_output("norm");
    }
    add_output("y");
  }
  ~RankCall() { aclrtDestroyStream(stream_); }
  RankCall(const RankCall&) = delete;
  RankCall& operator=(const RankCall&) = delete;

  std::string run() {
    uint64_t size = 0;
    aclOpExecutor* executor = nullptr;
    const int planned =
        problem_.tail ? group_a::plan_form(form(), arguments(&size, &executor)) : plan_plain(&size, &executor);
    if (planned != 0) return failure("plan", planned);
    const DeviceBuffer workspace(size);
    // The second phases are one and the same.
    if (const int got = group_a::run_form(form(), workspace.data(), size, executor, stream_); got != 0) {
      return failure("run", got);
    }
    if (const int got = aclrtSynchronizeStreamWithTimeout(stream_, kTimeoutMs); got != 0) return failure("sync", got);
    return {};
  }
  Outputs outputs() const {
    return {buffers_.at("y").download(), problem_.tail ? buffers_.at("norm").download() : std::vector<std::byte>()};
  }

 private:
  std::string form() const { return problem_.scales == "none" ? "float" : problem_.integer() ? "quant" : "plain"; }

  // The forms without a tail: the first of their line that takes the operands, or with `newest` the last.
  int plan_plain(uint64_t* size, aclOpExecutor** executor) const {
    const aclTensor *x1 = tensor("x1"), *x2 = tensor("x2"), *bias = tensor("bias"), *x3 = tensor("x3"),
                    *y = tensor("y");
    const aclTensor *scale = tensor("scale"), *offset = tensor("offset"), *token = tensor("token");
    const char* group = group_.c_str();
    const int64_t group_size = problem_.scales == "group" ? problem_.group : 0;
    if (problem_.integer()) {
      if (newest_ || problem_.wire)
        return aclnnQuantMatmulAllReduceV3GetWorkspaceSize(x1, x2, bias, x3, scale, token, tensor("first"),
                                                           tensor("second"), group, "sum", 0, 1, y, size, executor);
      if (token != nullptr)
        return aclnnQuantMatmulAllReduceV2GetWorkspaceSize(x1, x2, bias, x3, scale, token, group, "sum", 0, 1, y, size,
                                                           executor);
      return aclnnQuantMatmulAllReduceGetWorkspaceSize(x1, x2, bias, x3, scale, group, "sum", 0, 1, y, size, executor);
    }
    if (scale != nullptr) {
      if (newest_)
        return aclnnWeightQuantMatmulAllReduceV2GetWorkspaceSize(x1, x2, bias, scale, offset, x3, group, "sum",
                                                                 kAnyMode, 0, 1, group_size, y, size, executor);
      return aclnnWeightQuantMatmulAllReduceGetWorkspaceSize(x1, x2, bias, scale, offset, x3, group, "sum", 0, 1,
                                                             group_size, y, size, executor);
    }
    if (newest_)
      return aclnnMatmulAllReduceV3GetWorkspaceSize(x1, x2, bias, x3, group, "sum", kAnyMode, 0, 1, y, size, executor);
    if (x3 != nullptr)
      return aclnnMatmulAllReduceV2GetWorkspaceSize(x1, x2, bias, x3, group, "sum", 0, 1, y, size, executor);
    return aclnnMatmulAllReduceGetWorkspaceSize(x1, x2, bias, group, "sum", 0, 1, y, size, executor);
  }

  static std::string failure(const char* step, int code) {
    return fmt::format("{} gave {}: {}", step, code, group_a::recent_error());
  }

  void add(const RankData& data, const std::string& name, const std::vector<int64_t>& dims) {
    const Stored& stored = operand(data, name);
    if (!stored.present()) return;
    DeviceBuffer buffer(stored.bytes.size());
    buffer.upload(stored.bytes);
    tensors_[name] = Tensor(descriptor_of(stored, dims), buffer.data());
    buffers_[name] = std::move(buffer);
  }

  void add_output(const std::string& name) {
    std::vector<int64_t> dims{problem_.m, problem_.n};
    if (problem_.tail) dims.insert(dims.begin(), 1);
    DeviceBuffer buffer(dtype_bytes(problem_.output, problem_.m * problem_.n));
    const Stored shape{problem_.output, problem_.m, problem_.n, problem_.n, 1, {}};
    tensors_[name] = Tensor(descriptor_of(shape, dims), buffer.data());
    buffers_[name] = std::move(buffer);
  }

  const aclTensor* tensor(const std::string& name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : found->second.get();
  }

  Arguments arguments(uint64_t* size, aclOpExecutor** executor) const {
    Arguments a;
    a.x1 = tensor("x1");
    a.x2 = tensor("x2");
    a.bias = tensor("bias");
    a.scale = tensor("scale");
    a.offset = tensor("offset");
    a.residual = tensor("residual");
    a.gamma = tensor("gamma");
    a.y = tensor("y");
    a.norm = tensor("norm");
    a.epsilon = problem_.epsilon;
    a.group = group_.c_str();
    a.reduce_op = "sum";
    a.group_size = problem_.scales == "group" ? problem_.group : 0;
    a.workspace_size = size;
    a.executor = executor;
    return a;
  }

  const Problem& problem_;
  std::string group_;
  bool newest_;
  aclrtStream stream_ = nullptr;
  std::map<std::string, DeviceBuffer> buffers_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace

void start_acl() {
  static const int status = aclInit(nullptr);
  group_a::must(status, "aclInit");
  group_a::must(aclrtSetDevice(0), "aclrtSetDevice");
}

AclnnResult run_aclnn(const Problem& p, std::span<const RankData> ranks, bool newest) {
  start_acl();
  static group_a::Communicators communicators;
  const std::string name = communicators.name_of(p.ranks);
  AclnnResult result;
  result.ranks.resize(ranks.size());
  std::vector<std::string> errors(ranks.size());
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    threads.emplace_back([&, rank] {
      RankCall call(p, static_cast<int>(rank), name, ranks[rank], newest);
      errors[rank] = call.run();
      if (errors[rank].empty()) result.ranks[rank] = call.outputs();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& error : errors) {
    if (!error.empty()) result.error = error;
  }
  return result;
}

}  // namespace tandem::fused
