// SPDX-License-Identifier: Apache-2.0
// A batch that the ranks do not divide: each rank gets its own rows of the sum (ReduceScatterV), normalises them, and
// all ranks collect the rows (AllGatherV). The same bits as an all-reduce of the whole batch and the norm behind it.
// The arguments are the rows of each rank, one of which may be 0; without any, 5 rows over 2 ranks.
//
//   . <prefix>/cann/set_env.sh
//   g++ reduce_scatter_v.cpp -I $ATB_HOME_PATH/include -L $ATB_HOME_PATH/lib -latb -lascendcl -o rsv && ./rsv 2 3
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "atb/atb_infer.h"

namespace {

constexpr int64_t kColumns = 96;

bool good(int code, const char* call) {
  if (code == 0) return true;
  const char* text = aclGetRecentErrMsg();
  std::printf("%s failed with %d: %s\n", call, code, text == nullptr ? "no message" : text);
  return false;
}

// Tensors of one rank; their memory goes with it.
class Memory {
 public:
  ~Memory() {
    for (void* place : places_) aclrtFree(place);
  }
  // fp16 on the device.
  atb::Tensor halves(std::vector<int64_t> dims) {
    atb::Tensor tensor = shaped(ACL_FLOAT16, dims);
    if (tensor.dataSize > 0 && aclrtMalloc(&tensor.deviceData, tensor.dataSize, ACL_MEM_MALLOC_HUGE_FIRST) == 0)
      places_.push_back(tensor.deviceData);
    return tensor;
  }
  // int64 on the host, which is where operations between ranks read counts.
  static atb::Tensor numbers(std::vector<int64_t>& values) {
    atb::Tensor tensor = shaped(ACL_INT64, {static_cast<int64_t>(values.size())});
    tensor.hostData = values.data();
    return tensor;
  }
  // Only its size counts.
  static atb::Tensor rows_of(int64_t rows) { return shaped(ACL_FLOAT16, {rows}); }

 private:
  static atb::Tensor shaped(aclDataType type, const std::vector<int64_t>& dims) {
    atb::Tensor tensor;
    tensor.desc.dtype = type;
    tensor.desc.format = ACL_FORMAT_ND;
    tensor.desc.shape.dimNum = dims.size();
    for (size_t i = 0; i < dims.size(); ++i) tensor.desc.shape.dims[i] = dims[i];
    tensor.dataSize = atb::Utils::GetTensorSize(tensor);
    return tensor;
  }
  std::vector<void*> places_;
};

// One rank: its stream, and how it runs an operation.
struct Rank {
  int rank = 0, ranks = 0;
  aclrtStream stream = nullptr;
  atb::Context* context = nullptr;

  template <class Param>
  bool run(const Param& param, const atb::VariantPack& pack, const char* name) const {
    atb::Operation* operation = nullptr;
    if (!good(atb::CreateOperation(param, &operation), name)) return false;
    uint64_t size = 0;
    void* workspace = nullptr;
    bool done = good(operation->Setup(pack, size, context), name);
    if (done && size > 0) done = good(aclrtMalloc(&workspace, size, ACL_MEM_MALLOC_HUGE_FIRST), "aclrtMalloc");
    done = done && good(operation->Execute(pack, static_cast<uint8_t*>(workspace), size, context), name) &&
           good(aclrtSynchronizeStream(stream), name);
    if (workspace != nullptr) aclrtFree(workspace);
    return good(atb::DestroyOperation(operation), "DestroyOperation") && done;
  }

  template <class Param>
  Param between() const {
    Param param;
    param.rank = rank;
    param.rankSize = ranks;
    param.commMode = atb::infer::COMM_MULTI_THREAD;
    param.commDomain = "example";
    return param;
  }
};

atb::infer::RmsNormParam norm() {
  atb::infer::RmsNormParam param;
  param.layerType = atb::infer::RmsNormParam::RMS_NORM_NORM;
  return param;
}

bool fill(const atb::Tensor& tensor, int seed) {
  std::vector<aclFloat16> values(tensor.dataSize / sizeof(aclFloat16));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = aclFloatToFloat16(static_cast<float>((i * 37 + static_cast<size_t>(seed) * 101) % 199) / 64.0f - 1.5f);
  return good(
      aclrtMemcpy(tensor.deviceData, tensor.dataSize, values.data(), tensor.dataSize, ACL_MEMCPY_HOST_TO_DEVICE),
      "aclrtMemcpy");
}

std::vector<aclFloat16> read(const atb::Tensor& tensor) {
  std::vector<aclFloat16> values(tensor.dataSize / sizeof(aclFloat16));
  good(aclrtMemcpy(values.data(), tensor.dataSize, tensor.deviceData, tensor.dataSize, ACL_MEMCPY_DEVICE_TO_HOST),
       "aclrtMemcpy");
  return values;
}

bool compare(const Rank& self, std::vector<int64_t> counts) {
  const int64_t batch = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  const int64_t own = counts[static_cast<size_t>(self.rank)];
  std::vector<int64_t> places(counts.size(), 0), received = {own};
  std::partial_sum(counts.begin(), counts.end() - 1, places.begin() + 1);
  Memory memory;
  const atb::Tensor x = memory.halves({batch, kColumns}), gamma = memory.halves({kColumns});
  const atb::Tensor sum = memory.halves({batch, kColumns}), wanted = memory.halves({batch, kColumns});
  const atb::Tensor part = memory.halves({own, kColumns}), normed = memory.halves({own, kColumns});
  const atb::Tensor whole = memory.halves({batch, kColumns});
  if (!fill(x, self.rank) || !fill(gamma, 1000)) return false;

  atb::VariantPack pack;
  pack.inTensors = {x};
  pack.outTensors = {sum};
  if (!self.run(self.between<atb::infer::AllReduceParam>(), pack, "AllReduce")) return false;
  pack.inTensors = {sum, gamma};
  pack.outTensors = {wanted};
  if (!self.run(norm(), pack, "RmsNorm")) return false;

  pack.inTensors = {x, Memory::numbers(counts), Memory::numbers(places), Memory::numbers(received),
                    Memory::rows_of(own)};
  pack.outTensors = {part};
  if (!self.run(self.between<atb::infer::ReduceScatterVParam>(), pack, "ReduceScatterV")) return false;
  pack.inTensors = {part, gamma};
  pack.outTensors = {normed};
  if (!self.run(norm(), pack, "RmsNorm of the own rows")) return false;
  pack.inTensors = {normed, Memory::numbers(received), Memory::numbers(counts), Memory::numbers(places),
                    Memory::rows_of(batch)};
  pack.outTensors = {whole};
  if (!self.run(self.between<atb::infer::AllGatherVParam>(), pack, "AllGatherV")) return false;

  const bool same = read(whole) == read(wanted);
  std::printf("rank %d of %d: %d of %d rows, %s\n", self.rank, self.ranks, static_cast<int>(own),
              static_cast<int>(batch), same ? "the same bits as all-reduce and norm" : "OTHER bits");
  return same;
}

bool run_rank(int rank, const std::vector<int64_t>& counts) {
  Rank self;
  self.rank = rank;
  self.ranks = static_cast<int>(counts.size());
  if (!good(aclrtSetDevice(rank), "aclrtSetDevice") || !good(aclrtCreateStream(&self.stream), "aclrtCreateStream") ||
      !good(atb::CreateContext(&self.context), "CreateContext"))
    return false;
  const bool done = good(self.context->SetExecuteStream(self.stream), "SetExecuteStream") && compare(self, counts);
  return good(atb::DestroyContext(self.context), "DestroyContext") &&
         good(aclrtDestroyStream(self.stream), "aclrtDestroyStream") &&
         good(aclrtResetDevice(rank), "aclrtResetDevice") && done;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<int64_t> counts;
  for (int i = 1; i < argc; ++i) counts.push_back(std::atoll(argv[i]));
  if (counts.empty()) counts = {2, 3};
  if (!good(aclInit(nullptr), "aclInit")) return 1;
  std::vector<std::thread> threads;
  std::vector<char> done(counts.size(), 0);
  for (size_t rank = 0; rank < counts.size(); ++rank) {
    threads.emplace_back([&, rank] { done[rank] = run_rank(static_cast<int>(rank), counts) ? 1 : 0; });
  }
  bool all = true;
  for (size_t rank = 0; rank < counts.size(); ++rank) {
    threads[rank].join();
    all = all && done[rank] != 0;
  }
  return good(aclFinalize(), "aclFinalize") && all ? 0 : 1;
}
