// SPDX-License-Identifier: Apache-2.0
// The HCCL interface, ranks as threads of one process.
#include <functional>
#include <map>
#include <thread>

#include "hccl/hccl.h"
#include "tests/group_c/cases.h"

namespace tandem::group_c {
namespace {

// A rank's code: of the call, or of the synchronisation behind it.
using Work = std::function<int(int rank, HcclComm comm, aclrtStream stream)>;

std::vector<int> on_ranks(int ranks, const Work& work) {
  std::vector<HcclComm> comms(static_cast<size_t>(ranks));
  std::vector<int> codes(comms.size(), -1);
  if (HcclCommInitAll(static_cast<uint32_t>(ranks), nullptr, comms.data()) != HCCL_SUCCESS) return codes;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      const auto r = static_cast<size_t>(rank);
      aclrtStream stream = nullptr;
      if (aclrtSetDevice(rank) != 0 || aclrtCreateStream(&stream) != 0) return;
      codes[r] = work(rank, comms[r], stream);
      const int behind = aclrtSynchronizeStream(stream);
      if (codes[r] == 0) codes[r] = behind;
      aclrtDestroyStream(stream);
    });
  }
  for (auto& thread : threads) thread.join();
  for (HcclComm comm : comms) HcclCommDestroy(comm);
  return codes;
}

HcclDataType type_of(DType dtype) {
  static const std::map<DType, HcclDataType> all = {
      {DType::i8, HCCL_DATA_TYPE_INT8},  {DType::i16, HCCL_DATA_TYPE_INT16},  {DType::i32, HCCL_DATA_TYPE_INT32},
      {DType::f16, HCCL_DATA_TYPE_FP16}, {DType::bf16, HCCL_DATA_TYPE_BFP16}, {DType::f32, HCCL_DATA_TYPE_FP32}};
  return all.at(dtype);
}

HcclReduceOp how_of(const std::string& name) {
  static const std::map<std::string, HcclReduceOp> all = {
      {"sum", HCCL_REDUCE_SUM}, {"prod", HCCL_REDUCE_PROD}, {"max", HCCL_REDUCE_MAX}, {"min", HCCL_REDUCE_MIN}};
  return all.at(name);
}

std::string other_counts() {
  const auto codes = on_ranks(2, [](int rank, HcclComm comm, aclrtStream stream) {
    const int64_t counts[2][2] = {{2, 3}, {1, 4}}, at[] = {0, 1};
    float x[5] = {}, y[5];
    const auto* own = counts[rank];
    const int code = HcclReduceScatterV(x, own, at, y, static_cast<uint64_t>(own[rank]), HCCL_DATA_TYPE_FP32,
                                        HCCL_REDUCE_SUM, comm, stream);
    return code != 0 ? code : static_cast<int>(aclrtSynchronizeStream(stream));
  });
  return codes[0] != 0 && codes[1] != 0 ? "" : "HCCL: ranks with other counts were not refused";
}

std::string batch_of_five() {
  constexpr uint64_t kColumns = 37, kCount = 5 * kColumns;
  std::vector<std::vector<float>> together(2, std::vector<float>(kCount)), apart = together;
  const auto step = [](float* values, uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) values[i] = values[i] * values[i] - 0.25f;
  };
  const auto codes = on_ranks(2, [&](int rank, HcclComm comm, aclrtStream stream) -> int {
    const uint64_t counts[] = {2 * kColumns, 3 * kColumns}, at[] = {0, 2 * kColumns};
    std::vector<float> x(kCount), part(kCount);
    for (size_t i = 0; i < x.size(); ++i) x[i] = 0.1f * static_cast<float>(i % 17) + 0.3f * static_cast<float>(rank);
    const auto r = static_cast<size_t>(rank);
    const auto type = HCCL_DATA_TYPE_FP32;
    if (int code = HcclAllReduce(x.data(), together[r].data(), kCount, type, HCCL_REDUCE_SUM, comm, stream))
      return code;
    if (int code =
            HcclReduceScatterV(x.data(), counts, at, part.data(), counts[r], type, HCCL_REDUCE_SUM, comm, stream))
      return code;
    if (const int code = aclrtSynchronizeStream(stream)) return code;
    step(together[r].data(), kCount);
    step(part.data(), counts[r]);
    if (int code = HcclAllGatherV(part.data(), counts[r], apart[r].data(), counts, at, type, comm, stream)) return code;
    return aclrtSynchronizeStream(stream);
  });
  if (codes != std::vector<int>(2, 0)) return "HCCL: refused";
  return together[0] == apart[0] && together[1] == apart[1] && apart[0] == apart[1] ? "" : "HCCL: other bits";
}

}  // namespace

std::string run_hccl(const Case& c) {
  std::vector<Bytes> out;
  for (int rank = 0; rank < c.ranks; ++rank) out.emplace_back(c.bytes_of(rank));
  std::vector<int64_t> counts = c.counts, at = c.at;
  for (int64_t& count : counts) count *= c.scale();
  for (int64_t& place : at) place *= c.scale();
  const auto codes = on_ranks(c.ranks, [&](int rank, HcclComm comm, aclrtStream stream) -> int {
    const auto r = static_cast<size_t>(rank);
    auto* x = const_cast<std::byte*>(c.x[r].data());
    std::byte nothing{};  // an empty part still wants an address
    void* y = out[r].empty() ? &nothing : out[r].data();
    int code = 0;
    if (c.equal_parts()) {
      const auto count = static_cast<uint64_t>(c.rows * c.columns / c.ranks);
      code = HcclReduceScatter(x, y, count, type_of(c.dtype), how_of(c.how), comm, stream);
    } else {
      const auto receive = static_cast<uint64_t>(c.receive[r] * c.scale());
      code = HcclReduceScatterV(x, counts.data(), at.data(), y, receive, type_of(c.dtype), how_of(c.how), comm, stream);
    }
    return code != 0 ? code : static_cast<int>(aclrtSynchronizeStream(stream));
  });
  const int wanted = c.codes.value("hccl", 0);
  for (const int code : codes) {
    if (code != wanted) return "HCCL: code " + std::to_string(code);
  }
  return wanted != 0 || out == c.expect ? "" : "HCCL: other values";
}

std::vector<Property> hccl_properties() { return {{"C35", other_counts}, {"C36", batch_of_five}}; }

}  // namespace tandem::group_c
