// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <string>
#include <vector>

#include "tests/group_a/cases.h"
#include "tests/group_a/vendor.h"

namespace tandem::group_a {

// What a check step saw on one rank.
struct Snapshot {
  std::vector<std::byte> y, norm;
  bool operator==(const Snapshot&) const = default;
};

// One rank of one case: its device, stream, memory, tensors and executors. Lives on the rank's own thread.
class RankSession {
 public:
  // `data` may be empty where the case is refused.
  RankSession(const Case& test, int rank, std::string group, const fused::RankData& data);
  ~RankSession();
  RankSession(const RankSession&) = delete;
  RankSession& operator=(const RankSession&) = delete;

  // "" or what went wrong.
  std::string step(const Step& step);
  const std::vector<Snapshot>& snapshots() const { return snapshots_; }
  // The stream did not come to rest: nothing of this session may be touched again.
  bool stuck() const { return stuck_; }

 private:
  struct Operand {
    Descriptor descriptor;
    DeviceBuffer buffer;
    Tensor tensor;
    std::vector<std::byte> initial;
  };
  struct Executor {
    aclOpExecutor* handle = nullptr;
    uint64_t size = 0;
    DeviceBuffer workspace;
  };

  void add_operand(const std::string& name, const fused::RankData& data);
  const aclTensor* tensor(const std::string& name) const;
  Arguments arguments(uint64_t* size, aclOpExecutor** executor) const;
  std::string plan(const Step& step);
  std::string run(const Step& step);
  std::string sync();
  std::string pack();
  std::string check();
  std::string untouched() const;
  std::string simple(const Step& step);
  void clear();
  const Operand& y() const { return operands_.at(test_.inplace() ? "residual" : "y"); }

  const Case& test_;
  std::string group_;
  aclrtStream stream_ = nullptr;
  std::map<std::string, Operand> operands_;
  std::map<std::string, Executor> executors_;
  std::vector<Snapshot> snapshots_;
  bool stuck_ = false;
};

}  // namespace tandem::group_a
