// SPDX-License-Identifier: Apache-2.0
// The operations of the ATB interface, ranks as threads.
#include <atomic>
#include <functional>
#include <map>
#include <thread>

#include "atb/atb_infer.h"
#include "tests/group_c/cases.h"

namespace tandem::group_c {
namespace {

using atb::infer::ReduceScatterParam;
using atb::infer::ReduceScatterVParam;
using nlohmann::json;
using Dims = std::vector<int64_t>;

aclDataType type_of(DType dtype) {
  static const std::map<DType, aclDataType> all = {
      {DType::i8, ACL_INT8},     {DType::i16, ACL_INT16}, {DType::i32, ACL_INT32}, {DType::i64, ACL_INT64},
      {DType::f16, ACL_FLOAT16}, {DType::bf16, ACL_BF16}, {DType::f32, ACL_FLOAT}};
  return all.at(dtype);
}

atb::Tensor shaped(DType dtype, const Dims& dims) {
  atb::Tensor made;
  made.desc.dtype = type_of(dtype);
  made.desc.format = ACL_FORMAT_ND;
  made.desc.shape.dimNum = dims.size();
  int64_t elements = 1;
  for (size_t i = 0; i < dims.size(); ++i) elements *= made.desc.shape.dims[i] = dims[i];
  made.dataSize = dtype_bytes(dtype, elements);
  return made;
}

atb::Tensor numbers(std::vector<int64_t>& values) {
  atb::Tensor made = shaped(DType::i64, {static_cast<int64_t>(values.size())});
  made.hostData = values.data();
  return made;
}

// A thread's device, stream and context, and the device memory of its tensors.
class Rank {
 public:
  explicit Rank(int device) {
    ready_ = aclrtSetDevice(device) == 0 && aclrtCreateStream(&stream_) == 0 && atb::CreateContext(&context_) == 0 &&
             context_->SetExecuteStream(stream_) == 0;
  }
  ~Rank() {
    for (void* place : memory_) aclrtFree(place);
    if (context_ != nullptr) atb::DestroyContext(context_);
    if (stream_ != nullptr) aclrtDestroyStream(stream_);
  }
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;

  void give_memory(atb::Tensor& tensor, const Bytes& values) {
    if (tensor.dataSize == 0 || aclrtMalloc(&tensor.deviceData, tensor.dataSize, ACL_MEM_MALLOC_HUGE_FIRST) != 0)
      return;
    memory_.push_back(tensor.deviceData);
    aclrtMemcpy(tensor.deviceData, tensor.dataSize, values.data(), std::min<size_t>(values.size(), tensor.dataSize),
                ACL_MEMCPY_HOST_TO_DEVICE);
  }

  // The first code that is not 0, of creation, first phase, second phase and synchronisation.
  template <class Param>
  int run(const Param& param, const atb::VariantPack& pack) {
    atb::Operation* operation = nullptr;
    if (!ready_) return -1;
    if (const int code = atb::CreateOperation(param, &operation)) return code;
    const int code = both_phases(operation, pack);
    return atb::DestroyOperation(operation) != 0 ? -2 : code;
  }

 private:
  int both_phases(atb::Operation* operation, const atb::VariantPack& pack) {
    uint64_t size = 0;
    if (const int code = operation->Setup(pack, size, context_)) return code;
    atb::Tensor workspace = shaped(DType::i8, {static_cast<int64_t>(size)});
    give_memory(workspace, {});
    auto* place = static_cast<uint8_t*>(workspace.deviceData);
    if (const int code = operation->Execute(pack, place, size, context_)) return code;
    return aclrtSynchronizeStream(stream_);
  }

  bool ready_ = false;
  aclrtStream stream_ = nullptr;
  atb::Context* context_ = nullptr;
  std::vector<void*> memory_;
};

template <class Param>
Param between(int rank, int ranks, const std::string& domain) {
  Param param;
  param.rank = rank;
  param.rankSize = ranks;
  param.commMode = atb::infer::COMM_MULTI_THREAD;
  param.commDomain = domain;
  param.backend = "hccl";
  return param;
}

// Every case meets under a name of its own.
std::string fresh_domain() {
  static std::atomic<int> count{0};
  return "group_c_" + std::to_string(count++);
}

std::vector<int> on_threads(int ranks, const std::function<int(int)>& work) {
  std::vector<int> codes(static_cast<size_t>(ranks), -1);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] { codes[static_cast<size_t>(rank)] = work(rank); });
  for (auto& thread : threads) thread.join();
  return codes;
}

// Operands of one rank of reduce_scatter_v.
struct Operands {
  std::vector<int64_t> counts, at, receive;
  atb::VariantPack pack;
};

void make_pack(Rank& self, const Case& c, int rank, Operands& made) {
  const auto r = static_cast<size_t>(rank);
  made.counts = c.counts, made.at = c.at, made.receive = {c.receive[r]};
  const int64_t rows = static_cast<int64_t>(c.bytes_of(rank) / dtype_bytes(c.dtype, 1)) / c.columns;
  atb::Tensor x = shaped(c.dtype, {c.rows, c.columns}), y = shaped(c.dtype, {rows, c.columns});
  self.give_memory(x, c.x[r]);
  self.give_memory(y, Bytes(y.dataSize));
  made.pack.inTensors = {x, numbers(made.counts), numbers(made.at), numbers(made.receive), shaped(DType::f16, {rows})};
  made.pack.outTensors = {y};
}

int run_rank(const Case& c, int rank, const std::string& domain, Bytes& result) {
  Rank self(rank);
  Operands operands;
  int code = 0;
  if (c.equal_parts()) {
    const int64_t rows = c.rows / c.ranks;
    atb::Tensor x = shaped(c.dtype, {c.rows, c.columns}), y = shaped(c.dtype, {rows, c.columns});
    self.give_memory(x, c.x[static_cast<size_t>(rank)]);
    self.give_memory(y, Bytes(y.dataSize));
    operands.pack.inTensors = {x};
    operands.pack.outTensors = {y};
    auto param = between<ReduceScatterParam>(rank, c.ranks, domain);
    param.reduceType = c.how;
    code = self.run(param, operands.pack);
  } else {
    make_pack(self, c, rank, operands);
    auto param = between<ReduceScatterVParam>(rank, c.ranks, domain);
    param.reduceType = c.how;
    code = self.run(param, operands.pack);
  }
  const atb::Tensor& y = operands.pack.outTensors.at(0);
  result.resize(y.dataSize);
  if (code == 0 && y.dataSize > 0)
    code = aclrtMemcpy(result.data(), result.size(), y.deviceData, result.size(), ACL_MEMCPY_DEVICE_TO_HOST);
  return code;
}

// The page's example on rank 0 of two.
Case page_example() {
  Case c;
  c.rows = 5;
  c.counts = c.receive = {2, 3};
  c.at = {0, 2};
  c.x.assign(2, encode(DType::f16, {0, 1, 2, 3, 4}));
  return c;
}

void spoil(ReduceScatterVParam& param, const json& change) {
  param.rank = change.value("rank", param.rank);
  param.rankSize = change.value("rankSize", param.rankSize);
  param.rankRoot = change.value("rankRoot", param.rankRoot);
  param.backend = change.value("backend", param.backend);
  param.reduceType = change.value("reduceType", param.reduceType);
  param.rankTableFile = change.value("rankTableFile", param.rankTableFile);
  if (change.contains("rsv")) param.rsv[change.at("rsv").get<size_t>()] = 1;
  if (change.contains("commMode")) param.commMode = static_cast<atb::infer::CommMode>(change.at("commMode").get<int>());
  if (change.contains("commDomain")) param.commDomain.assign(change.at("commDomain").get<size_t>(), 'd');
}

void spoil(atb::VariantPack& pack, const json& change) {
  const json replaced = change.value("tensors", json::object());
  for (const auto& [index, tensor] : replaced.items()) {
    atb::Tensor& place = pack.inTensors[std::stoul(index)];
    const atb::Tensor other = shaped(dtype_of(tensor.at("dtype")), tensor.at("dims").get<Dims>());
    place.desc = other.desc;
    place.dataSize = other.dataSize;
  }
  if (change.contains("inputs")) pack.inTensors.resize(change.at("inputs").get<size_t>());
  if (change.contains("y_rows")) pack.inTensors[4] = shaped(DType::f16, {change.at("y_rows").get<int64_t>()});
  if (change.contains("output")) pack.outTensors[0].desc = shaped(DType::f16, change.at("output").get<Dims>()).desc;
  if (change.contains("no_host")) pack.inTensors[change.at("no_host").get<size_t>()].hostData = nullptr;
  if (change.contains("no_data")) pack.inTensors[change.at("no_data").get<size_t>()].deviceData = nullptr;
}

// C27, C28: numbers of tensors, and what the output is.
std::string infers() {
  atb::Operation* operation = nullptr;
  if (atb::CreateOperation(between<ReduceScatterVParam>(1, 2, fresh_domain()), &operation) != 0) return "ATB: refused";
  atb::SVector<atb::TensorDesc> in, out;
  for (const auto& [dtype, dims] : {std::pair<DType, Dims>{DType::i8, {7, 6}},
                                    {DType::i64, {2}},
                                    {DType::i64, {2}},
                                    {DType::i64, {1}},
                                    {DType::f16, {3}}}) {
    in.push_back(shaped(dtype, dims).desc);
  }
  const bool numbers_right = operation->GetInputNum() == 5 && operation->GetOutputNum() == 1;
  const bool inferred = operation->InferShape(in, out) == 0 && out.size() == 1;
  bool right = numbers_right && inferred;
  if (right) {
    const auto& shape = out[0].shape;
    right = shape.dimNum == 2 && shape.dims[0] == 3 && shape.dims[1] == 6 && out[0].dtype == ACL_INT8 &&
            out[0].format == ACL_FORMAT_ND;
  }
  atb::DestroyOperation(operation);
  return right ? "" : "ATB: other numbers or another shape";
}

std::string other_counts() {
  const std::string domain = fresh_domain();
  const auto codes = on_threads(2, [&](int rank) {
    Case c = page_example();
    if (rank == 1) c.counts = c.receive = {1, 4}, c.at = {0, 1};
    Bytes result;
    return run_rank(c, rank, domain, result);
  });
  return codes[0] != 0 && codes[1] != 0 ? "" : "ATB: ranks with other counts were not refused";
}

}  // namespace

std::string run_atb(const Case& c) {
  const std::string domain = fresh_domain();
  std::vector<Bytes> out(static_cast<size_t>(c.ranks));
  const auto codes =
      on_threads(c.ranks, [&](int rank) { return run_rank(c, rank, domain, out[static_cast<size_t>(rank)]); });
  const int wanted = c.codes.value("atb", 0);
  for (const int code : codes) {
    if (code != wanted) return "ATB: code " + std::to_string(code);
  }
  return wanted != 0 || out == c.expect ? "" : "ATB: other values";
}

namespace {

int refuse_rank(const json& refusal, int rank, const std::string& domain) {
  Case c = page_example();
  c.counts = refusal.value("counts", c.counts);
  c.at = refusal.value("at", c.at);
  Rank self(rank);
  Operands operands;
  make_pack(self, c, rank, operands);
  spoil(operands.pack, refusal);
  auto param = between<ReduceScatterVParam>(rank, 2, domain);
  spoil(param, refusal.value("param", json::object()));
  return self.run(param, operands.pack);
}

}  // namespace

// One rank alone: it is refused before any other is waited for. Addresses are looked at later ("ranks": 2).
std::string refuse_atb(const json& refusal) {
  const std::string domain = fresh_domain();
  const int wanted = refusal.at("code").get<int>();
  for (const int code :
       on_threads(refusal.value("ranks", 1), [&](int rank) { return refuse_rank(refusal, rank, domain); })) {
    if (code != wanted) return "ATB: code " + std::to_string(code) + ", " + std::to_string(wanted) + " wanted";
  }
  return {};
}

std::vector<Property> atb_properties() { return {{"C27", infers}, {"C28", infers}, {"C35", other_counts}}; }

}  // namespace tandem::group_c
