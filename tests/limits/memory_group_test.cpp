// SPDX-License-Identifier: Apache-2.0
// Eight ranks run the fused operator inside a memory control group of 256 MiB.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "tandem/base/half.h"
#include "tandem/comm/communicator.h"
#include "tandem/exec/memory.h"
#include "tandem/exec/stream.h"
#include "tandem/ops/mm_all_reduce.h"

namespace tandem {
namespace {

constexpr int kRanks = 8;
constexpr int64_t kRows = 64, kDepth = 512, kColumns = 4096;
constexpr long kLimit = 256L << 20;

TensorView device_tensor(DType dtype, std::initializer_list<int64_t> shape, uint16_t value) {
  TensorView tensor = make_tensor(nullptr, dtype, shape);
  auto memory = device_allocate(tensor.bytes());
  if (!memory) throw std::runtime_error(memory.error().message);
  tensor.data = *memory;
  if (dtype == DType::i8) std::memset(tensor.data, value, tensor.bytes());
  for (int64_t i = 0; dtype == DType::bf16 && i < tensor.elements(); ++i) tensor.as<uint16_t>()[i] = value;
  return tensor;
}

MmAllReduce operation(const std::string& group) {
  constexpr uint16_t kOne = 0x3f80;
  MmAllReduce op;
  op.x1 = device_tensor(DType::bf16, {kRows, kDepth}, kOne);
  op.x2 = device_tensor(DType::i8, {kDepth, kColumns}, 1);
  op.quant = WeightScale{device_tensor(DType::bf16, {kColumns}, kOne), {}, 0};
  op.then = AddRmsNorm{device_tensor(DType::bf16, {kRows, kColumns}, kOne), device_tensor(DType::bf16, {kColumns}, kOne),
                       1e-6, device_tensor(DType::bf16, {kRows, kColumns}, 0)};
  op.y = device_tensor(DType::bf16, {kRows, kColumns}, 0);
  op.group = group;
  return op;
}

// Every element of y is ranks * depth + 1, rounded to bf16.
int run_ranks() {
  auto comms = Communicator::local(kRanks);
  if (!comms) {
    std::cerr << comms.error().message << "\n";
    return 1;
  }
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<MmAllReduce> ops;
  std::vector<std::byte> workspace(4096);
  for (auto& comm : *comms) {
    streams.push_back(std::move(*Stream::create(**Device::get(comm->device()))));
    ops.push_back(operation(comm->name()));
    auto made = plan(ops.back(), streams.back()->device());
    if (!made || !made->run(workspace, *streams.back())) return 2;
  }
  for (auto& stream : streams) {
    if (auto status = stream->synchronize(); !status) {
      std::cerr << status.error().message << "\n";
      return 3;
    }
  }
  const uint16_t wanted = to_bf16(static_cast<float>(kRanks * kDepth + 1)).bits;
  for (const auto& op : ops) {
    for (int64_t i = 0; i < kRows * kColumns; ++i) {
      if (op.y.as<uint16_t>()[i] != wanted) return 4;
    }
  }
  return 0;
}

bool write_text(const std::string& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  return static_cast<bool>(out.flush());
}

// A fresh memory group with the limit set, or "" where none can be made.
std::string make_group() {
  const std::string name = "/tandem-test-" + std::to_string(getpid());
  struct Kind {
    const char *root, *limit;
  };
  for (const Kind kind : {Kind{"/sys/fs/cgroup/memory", "/memory.limit_in_bytes"}, Kind{"/sys/fs/cgroup", "/memory.max"}}) {
    const std::string folder = kind.root + name;
    if (mkdir(folder.c_str(), 0755) != 0) continue;
    if (write_text(folder + kind.limit, std::to_string(kLimit))) return folder;
    rmdir(folder.c_str());
  }
  return "";
}

TEST(MemoryGroup, EightRanksFitInto256MiB) {
#if defined(TANDEM_SANITIZED)
  GTEST_SKIP() << "sanitizers need more memory than the group has";
#endif
  const std::string group = make_group();
  if (group.empty()) GTEST_SKIP() << "no memory control group can be made here";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (!write_text(group + "/cgroup.procs", std::to_string(getpid()))) _exit(77);
    execl("/proc/self/exe", "memory_group_test", "--ranks", nullptr);
    _exit(78);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  rmdir(group.c_str());
  ASSERT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--ranks") return tandem::run_ranks();
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
