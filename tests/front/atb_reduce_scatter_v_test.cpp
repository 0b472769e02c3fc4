// SPDX-License-Identifier: Apache-2.0
// ReduceScatterV as its page has it: values, units, every refusal, and every way ranks meet.
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <numeric>
#include <random>

#include "atb_rank_test.h"
#include "hccl/hccl.h"
#include "tandem/comm/collectives.h"
#include "tandem/exec/device.h"
#include "tandem/exec/stream.h"

namespace atb_test {
namespace {

using atb::infer::ReduceScatterVParam;
using Numbers = std::vector<int64_t>;

// The operands of one rank.
struct Problem {
  atb::Tensor x;
  Numbers counts, places, received;
  int64_t rows = 0, columns = 1;  // of the result
  aclDataType type = ACL_FLOAT16;

  atb::VariantPack pack(Rank& rank) {
    atb::VariantPack made;
    atb::Tensor shape;
    shape.desc = desc(ACL_FLOAT16, {rows});
    made.inTensors = {x, Rank::numbers(counts), Rank::numbers(places), Rank::numbers(received), shape};
    made.outTensors = {rank.tensor(type, {rows, columns})};
    return made;
  }
};

// The page's example: two ranks with 0..4, rank 0 gets two rows.
Problem page_problem(Rank& self, int rank) {
  return {self.halves({5, 1}, {0, 1, 2, 3, 4}), {2, 3}, {0, 2}, {rank == 0 ? 2 : 3}, rank == 0 ? 2 : 3};
}

std::vector<float> run_page(Rank& self, const ReduceScatterVParam& param) {
  atb::Operation* operation = nullptr;
  EXPECT_EQ(atb::CreateOperation(param, &operation), 0) << message();
  if (operation == nullptr) return {};
  Problem problem = page_problem(self, param.rank);
  const atb::VariantPack pack = problem.pack(self);
  EXPECT_EQ(self.run(operation, pack), 0) << message();
  EXPECT_EQ(atb::DestroyOperation(operation), 0);
  return self.read_halves(pack.outTensors[0]);
}

TEST(ReduceScatterV, GivesThePagesValuesForEveryReduction) {
  const struct {
    const char* reduction;
    std::vector<float> wanted[2];
  } cases[] = {{"sum", {{0, 2}, {4, 6, 8}}},
               {"prod", {{0, 1}, {4, 9, 16}}},
               {"max", {{0, 1}, {2, 3, 4}}},
               {"min", {{0, 1}, {2, 3, 4}}}};
  on_threads(2, [&](int rank) {
    Rank self(rank);
    for (const auto& one : cases) {
      auto param = between<ReduceScatterVParam>(rank, 2, "page");
      param.reduceType = one.reduction;
      EXPECT_EQ(run_page(self, param), one.wanted[rank]) << one.reduction;
    }
  });
}

TEST(ReduceScatterV, TakesACommunicatorOfTheUsersOwnAndARankTable) {
  HcclComm comms[2] = {};
  ASSERT_EQ(aclrtSetDevice(0), 0);
  ASSERT_EQ(HcclCommInitAll(2, nullptr, comms), HCCL_SUCCESS);
  const std::string file = testing::TempDir() + "atb_ranks_" + std::to_string(getpid()) + ".json";
  std::ofstream(file) << R"({"version": "1.0", "status": "completed", "server_count": "1", "server_list": [{"server_id":
    "127.0.0.1", "device": [{"device_id": "0", "rank_id": "0"}, {"device_id": "1", "rank_id": "1"}]}]})";
  on_threads(2, [&](int rank) {
    Rank self(rank);
    const std::vector<float> wanted = rank == 0 ? std::vector<float>{0, 2} : std::vector<float>{4, 6, 8};
    ReduceScatterVParam own;
    own.rank = rank;
    own.hcclComm = comms[rank];
    EXPECT_EQ(run_page(self, own), wanted);
    auto by_table = between<ReduceScatterVParam>(rank, 2, "");
    by_table.rankTableFile = file;
    EXPECT_EQ(run_page(self, by_table), wanted);
  });
  EXPECT_EQ(unlink(file.c_str()), 0);
  for (HcclComm comm : comms) EXPECT_EQ(HcclCommDestroy(comm), HCCL_SUCCESS);
}

int run_process(int rank, const std::string& domain) {
  Rank self(rank);
  auto param = between<ReduceScatterVParam>(rank, 2, domain);
  param.commMode = atb::infer::COMM_MULTI_PROCESS;
  const std::vector<float> wanted = rank == 0 ? std::vector<float>{0, 2} : std::vector<float>{4, 6, 8};
  return run_page(self, param) == wanted && !testing::Test::HasFailure() ? 0 : 1;
}

TEST(ReduceScatterV, RunsBetweenProcessesForkedBeforeAnyCall) {
  const std::string domain = "forked" + std::to_string(getpid());
  std::vector<pid_t> children;
  for (int rank = 0; rank < 2; ++rank) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) _exit(run_process(rank, domain));
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
}

// --- bits of the C++ call

// What reduce_scatter_v() of the C++ interface gives every rank.
std::vector<std::vector<uint8_t>> cpp_results(const std::vector<std::vector<uint8_t>>& inputs, const Numbers& counts,
                                              const Numbers& places, tandem::DType type, tandem::Combine how) {
  const auto ranks = static_cast<int>(inputs.size());
  auto comms = tandem::Communicator::local(ranks);
  std::vector<std::vector<uint8_t>> results(inputs.size());
  for (size_t r = 0; r < inputs.size(); ++r) results[r].resize(tandem::dtype_bytes(type, counts[r]));
  on_threads(ranks, [&](int rank) {
    const auto r = static_cast<size_t>(rank);
    auto device = tandem::Device::get(rank);
    auto stream = tandem::Stream::create(**device);
    ASSERT_TRUE((*stream)->submit([&, r](tandem::Lane& lane) {
      return tandem::reduce_scatter_v(*(*comms)[r], inputs[r].data(), {counts, places}, results[r].data(), type, how,
                                      lane);
    }));
    EXPECT_TRUE((*stream)->synchronize());
  });
  return results;
}

struct Shape {
  const char* name;
  int ranks;
  int64_t rows, columns;
  Numbers counts, places;  // rows
  bool in_elements;
};

const Shape kShapes[] = {{"rows", 2, 5, 8, {2, 3}, {0, 2}, false},
                         {"elements", 2, 5, 8, {2, 3}, {0, 2}, true},
                         {"an empty rank", 3, 7, 33, {4, 0, 3}, {0, 7, 4}, false},
                         {"out of order", 3, 9, 16, {2, 3, 4}, {7, 4, 0}, true},
                         {"all to one", 2, 5, 3, {0, 5}, {0, 0}, false},
                         {"nothing", 2, 5, 3, {0, 0}, {5, 0}, false},
                         {"four ranks", 4, 11, 129, {3, 3, 3, 2}, {0, 3, 6, 9}, true}};

std::vector<uint8_t> random_bytes(size_t count, unsigned seed, aclDataType type) {
  std::mt19937 generator(seed);
  std::vector<uint8_t> bytes(count);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(generator());
  // Floats without NaN and infinity: exponents below the largest.
  for (size_t i = 1; type != ACL_INT8 && i < count; i += 2) bytes[i] &= 0xb7;
  return bytes;
}

void compare_with_cpp(const Shape& shape, aclDataType type, tandem::DType dtype, const char* reduction,
                      tandem::Combine how) {
  const auto scaled = [&](Numbers numbers, bool by) {
    for (int64_t& number : numbers) number *= by ? shape.columns : 1;
    return numbers;
  };
  std::vector<std::vector<uint8_t>> inputs, given(static_cast<size_t>(shape.ranks));
  for (int rank = 0; rank < shape.ranks; ++rank) {
    const size_t bytes = tandem::dtype_bytes(dtype, shape.rows * shape.columns);
    inputs.push_back(random_bytes(bytes, static_cast<unsigned>(rank), type));
  }
  on_threads(shape.ranks, [&](int rank) {
    Rank self(rank);
    const auto r = static_cast<size_t>(rank);
    Problem problem;
    problem.x = self.tensor(type, {shape.rows, shape.columns}, inputs[r].data());
    problem.counts = scaled(shape.counts, shape.in_elements);
    problem.places = scaled(shape.places, shape.in_elements);
    problem.received = {problem.counts[r]};
    problem.rows = shape.counts[r];
    problem.columns = shape.columns;
    problem.type = type;
    auto param = between<ReduceScatterVParam>(rank, shape.ranks, "bits" + std::to_string(shape.ranks));
    param.reduceType = reduction;
    atb::Operation* operation = nullptr;
    ASSERT_EQ(atb::CreateOperation(param, &operation), 0) << message();
    const atb::VariantPack pack = problem.pack(self);
    EXPECT_EQ(self.run(operation, pack), 0) << message();
    given[r] = self.bytes(pack.outTensors[0]);
    EXPECT_EQ(atb::DestroyOperation(operation), 0);
  });
  const auto wanted = cpp_results(inputs, scaled(shape.counts, true), scaled(shape.places, true), dtype, how);
  EXPECT_EQ(given, wanted);
}

TEST(ReduceScatterV, HasTheBitsOfTheCppCall) {
  const std::pair<const char*, tandem::Combine> reductions[] = {{"sum", tandem::Combine::sum},
                                                                {"prod", tandem::Combine::product},
                                                                {"max", tandem::Combine::maximum},
                                                                {"min", tandem::Combine::minimum}};
  const std::pair<aclDataType, tandem::DType> types[] = {
      {ACL_FLOAT16, tandem::DType::f16}, {ACL_INT8, tandem::DType::i8}, {ACL_BF16, tandem::DType::bf16}};
  for (const Shape& shape : kShapes) {
    for (const auto& [reduction, how] : reductions) {
      for (const auto& [type, dtype] : types) {
        if (type == ACL_BF16 && how == tandem::Combine::product) continue;
        SCOPED_TRACE(std::string(shape.name) + " " + reduction + " " + std::string(tandem::dtype_name(dtype)));
        compare_with_cpp(shape, type, dtype, reduction, how);
      }
    }
  }
}

TEST(ReduceScatterV, WrapsIntegersAndRoundsHalvesOnce) {
  on_threads(3, [&](int rank) {
    Rank self(rank);
    const std::vector<int8_t> bytes = {100, -100, 1};
    Problem wraps{self.tensor(ACL_INT8, {3, 1}, bytes.data()), {1, 1, 1}, {0, 1, 2}, {1}, 1, 1, ACL_INT8};
    atb::VariantPack pack = wraps.pack(self);
    const auto param = between<ReduceScatterVParam>(rank, 3, "wraps");
    std::vector<atb::Tensor> in(pack.inTensors.begin(), pack.inTensors.end());
    EXPECT_EQ(self.run(param, in, {pack.outTensors[0]}), 0) << message();
    const int8_t wanted[] = {44, -44, 3};
    EXPECT_EQ(static_cast<int8_t>(self.bytes(pack.outTensors[0])[0]), wanted[rank]);

    const float value = rank == 0 ? 1.0f : 0.00048828125f;
    Problem rounds{self.halves({3, 1}, {value, value, value}), {1, 1, 1}, {0, 1, 2}, {1}, 1};
    pack = rounds.pack(self);
    in.assign(pack.inTensors.begin(), pack.inTensors.end());
    EXPECT_EQ(self.run(param, in, {pack.outTensors[0]}), 0) << message();
    EXPECT_EQ(self.read_halves(pack.outTensors[0]), std::vector<float>{1.0009765625f});
  });
}

// --- the parameters' own counts

TEST(ReduceScatterV, TakesCountsFromTheParametersWithoutHostData) {
  on_threads(2, [&](int rank) {
    Rank self(rank);
    auto param = between<ReduceScatterVParam>(rank, 2, "members");
    param.sendCounts = {2, 3};
    param.sdispls = {0, 2};
    param.recvCount = rank == 0 ? 2 : 3;
    Problem problem = page_problem(self, rank);
    atb::VariantPack pack = problem.pack(self);
    for (size_t i = 1; i <= 3; ++i) pack.inTensors[i].hostData = nullptr;
    atb::Operation* operation = nullptr;
    ASSERT_EQ(atb::CreateOperation(param, &operation), 0) << message();
    EXPECT_EQ(self.run(operation, pack), 0) << message();
    EXPECT_EQ(self.read_halves(pack.outTensors[0]),
              rank == 0 ? (std::vector<float>{0, 2}) : (std::vector<float>{4, 6, 8}));
    EXPECT_EQ(atb::DestroyOperation(operation), 0);
  });
}

TEST(ReduceScatterV, RefusesHostDataThatDiffersFromTheParameters) {
  Rank self;
  auto param = between<ReduceScatterVParam>(0, 2, "differ");
  param.sendCounts = {2, 4};
  Problem problem = page_problem(self, 0);
  const atb::VariantPack pack = problem.pack(self);
  atb::Operation* operation = nullptr;
  ASSERT_EQ(atb::CreateOperation(param, &operation), 0) << message();
  uint64_t size = 0;
  EXPECT_EQ(operation->Setup(pack, size, self.context), atb::ERROR_INVALID_PARAM);
  EXPECT_NE(message().find("sendCounts[1] is 3"), std::string::npos) << message();
  EXPECT_EQ(atb::DestroyOperation(operation), 0);
}

// --- refusals

TEST(ReduceScatterV, RefusesParameters) {
  const struct {
    const char* word;
    std::function<void(ReduceScatterVParam&)> spoil;
  } cases[] = {{"rank is -1", [](auto& p) { p.rank = -1; }},
               {"rank is 2", [](auto& p) { p.rank = 2; }},
               {"rankRoot is -1", [](auto& p) { p.rankRoot = -1; }},
               {"rankRoot is 2", [](auto& p) { p.rankRoot = 2; }},
               {"rankSize is 0", [](auto& p) { p.rankSize = 0; }},
               {"rankSize is -3", [](auto& p) { p.rankSize = -3; }},
               {"backend", [](auto& p) { p.backend = "lccl"; }},
               {"backend", [](auto& p) { p.backend = ""; }},
               {"avg", [](auto& p) { p.reduceType = "avg"; }},
               {"SUM", [](auto& p) { p.reduceType = "SUM"; }},
               {"rsv[0]", [](auto& p) { p.rsv[0] = 1; }},
               {"rsv[31]", [](auto& p) { p.rsv[31] = 1; }},
               {"rsv[63]", [](auto& p) { p.rsv[63] = 255; }},
               {"commMode is 5", [](auto& p) { p.commMode = static_cast<atb::infer::CommMode>(5); }},
               {"commMode is -1", [](auto& p) { p.commMode = atb::infer::COMM_UNDEFINED; }},
               {"rankTableFile", [](auto& p) { p.rankTableFile = "/no/such/table.json"; }},
               {"commDomain", [](auto& p) { p.commDomain = std::string(129, 'd'); }}};
  for (const auto& one : cases) {
    auto param = between<ReduceScatterVParam>(0, 2, "refused");
    one.spoil(param);
    int place = 0;
    auto* operation = reinterpret_cast<atb::Operation*>(&place);
    EXPECT_EQ(atb::CreateOperation(param, &operation), atb::ERROR_INVALID_PARAM) << one.word;
    EXPECT_EQ(operation, nullptr);
    EXPECT_NE(message().find(one.word), std::string::npos) << message();
  }
  auto longest = between<ReduceScatterVParam>(0, 1, std::string(128, 'd'));
  atb::Operation* operation = nullptr;
  EXPECT_EQ(atb::CreateOperation(longest, &operation), 0) << message();
  EXPECT_EQ(atb::DestroyOperation(operation), 0);
}

struct Refused {
  const char* word;
  int code;
  std::function<void(Problem&)> numbers = [](Problem&) {};
  std::function<void(atb::VariantPack&)> tensors = [](atb::VariantPack&) {};
  const char* reduction = "sum";
};

void shape(atb::VariantPack& pack, size_t index, aclDataType type, const Dims& dims) {
  atb::Tensor& tensor = pack.inTensors[index];
  tensor.desc = desc(type, dims);
  tensor.dataSize = atb::Utils::GetTensorSize(tensor);
}

const std::vector<Refused>& refused() {
  using Pack = atb::VariantPack;
  constexpr auto none = [](Problem&) {};
  static const std::vector<Refused> cases = {
      {"sdispls[1]", atb::ERROR_INVALID_PARAM,
       [](Problem& p) {
         p.places = {0, 3};
       }},
      {"sendCounts[0]", atb::ERROR_INVALID_PARAM,
       [](Problem& p) {
         p.counts = {-1, 6};
       }},
      {"sdispls[0]", atb::ERROR_INVALID_PARAM,
       [](Problem& p) {
         p.places = {-1, 2};
       }},
      {"sdispls[0]", atb::ERROR_INVALID_PARAM,
       [](Problem& p) {
         p.places = {INT64_MAX, 2};
       }},
      {"sendCounts[1]", atb::ERROR_INVALID_PARAM,
       [](Problem& p) {
         p.counts = {2, INT64_MAX};
       }},
      {"add up to 4", atb::ERROR_INVALID_PARAM,
       [](Problem& p) {
         p.counts = {2, 2};
       }},
      {"recvCount is 3", atb::ERROR_INVALID_PARAM, [](Problem& p) { p.received = {3}; }},
      {"y has 3 rows", atb::ERROR_INVALID_PARAM, [](Problem& p) { p.rows = 3; }},
      {"no int16 or bf16", atb::ERROR_INVALID_TENSOR_DTYPE, none,
       [](Pack& p) {
         shape(p, 0, ACL_BF16, {5, 1});
       },
       "prod"},
      {"no int16 or bf16", atb::ERROR_INVALID_TENSOR_DTYPE, none,
       [](Pack& p) {
         shape(p, 0, ACL_INT16, {5, 1});
       },
       "prod"},
      {"x is", atb::ERROR_INVALID_TENSOR_DIM_NUM, none, [](Pack& p) { shape(p, 0, ACL_FLOAT16, {5}); }},
      {"x is", atb::ERROR_INVALID_TENSOR_DIM_NUM, none,
       [](Pack& p) {
         shape(p, 0, ACL_FLOAT16, {5, 1, 1});
       }},
      {"9 dimensions", atb::ERROR_INVALID_TENSOR_DIM_NUM, none, [](Pack& p) { p.inTensors[0].desc.shape.dimNum = 9; }},
      {"real tensor", atb::ERROR_INVALID_TENSOR_DIM, none, [](Pack& p) { p.inTensors[0].desc.shape.dims[0] = -5; }},
      {"real tensor", atb::ERROR_INVALID_TENSOR_DIM, none,
       [](Pack& p) {
         shape(p, 0, ACL_FLOAT16, {int64_t{1} << 40, int64_t{1} << 40});
       }},
      {"sendCounts is", atb::ERROR_INVALID_TENSOR_DIM_NUM, none,
       [](Pack& p) {
         shape(p, 1, ACL_INT64, {2, 1});
       }},
      {"sendCounts is", atb::ERROR_INVALID_TENSOR_DIM, none, [](Pack& p) { shape(p, 1, ACL_INT64, {3}); }},
      {"sdispls is", atb::ERROR_INVALID_TENSOR_DIM, none, [](Pack& p) { shape(p, 2, ACL_INT64, {1}); }},
      {"recvCount is", atb::ERROR_INVALID_TENSOR_DIM, none, [](Pack& p) { shape(p, 3, ACL_INT64, {2}); }},
      {"4 input tensors", atb::ERROR_INVALID_IN_TENSOR_NUM, none, [](Pack& p) { p.inTensors.resize(4); }},
      {"6 input tensors", atb::ERROR_INVALID_IN_TENSOR_NUM, none, [](Pack& p) { p.inTensors.resize(6); }},
      {"0 output tensors", atb::ERROR_INVALID_TENSOR_NUM, none, [](Pack& p) { p.outTensors.clear(); }},
      {"x is [5,1] f32", atb::ERROR_INVALID_TENSOR_INI_MATCH, none,
       [](Pack& p) {
         shape(p, 0, ACL_FLOAT, {5, 1});
       }},
      {"sendCounts is [2] i32", atb::ERROR_INVALID_TENSOR_INI_MATCH, none,
       [](Pack& p) { shape(p, 1, ACL_INT32, {2}); }},
      {"y is [2] i64", atb::ERROR_INVALID_TENSOR_INI_MATCH, none, [](Pack& p) { shape(p, 4, ACL_INT64, {2}); }},
      {"no hostData", atb::ERROR_INVALID_PARAM, none, [](Pack& p) { p.inTensors[1].hostData = nullptr; }},
      {"no hostData", atb::ERROR_INVALID_PARAM, none, [](Pack& p) { p.inTensors[2].hostData = nullptr; }},
      {"output 0", atb::ERROR_INVALID_TENSOR_DIM, none, [](Pack& p) { p.outTensors[0].desc.shape.dims[0] = 4; }},
      {"output 0", atb::ERROR_INVALID_TENSOR_DTYPE, none, [](Pack& p) { p.outTensors[0].desc.dtype = ACL_INT8; }}};
  return cases;
}

TEST(ReduceScatterV, RefusesTensorsBeforeAnyRankIsWaitedFor) {
  Rank self;
  for (const Refused& one : refused()) {
    SCOPED_TRACE(one.word);
    auto param = between<ReduceScatterVParam>(0, 2, "refused");
    param.reduceType = one.reduction;
    atb::Operation* operation = nullptr;
    ASSERT_EQ(atb::CreateOperation(param, &operation), 0) << message();
    Problem problem = page_problem(self, 0);
    one.numbers(problem);
    atb::VariantPack pack = problem.pack(self);
    one.tensors(pack);
    uint64_t size = 0;
    EXPECT_EQ(operation->Setup(pack, size, self.context), one.code) << message();
    EXPECT_NE(message().find(one.word), std::string::npos) << message();
    EXPECT_NE(message().find("ReduceScatterVOperation"), std::string::npos) << message();
    EXPECT_EQ(atb::DestroyOperation(operation), 0);
  }
}

TEST(ReduceScatterV, RefusesAtExecuteWhatHasNoAddress) {
  Rank self;
  atb::Operation* operation = nullptr;
  ASSERT_EQ(atb::CreateOperation(between<ReduceScatterVParam>(0, 1, "alone"), &operation), 0);
  Problem problem{self.halves({2, 1}, {1, 2}), {2}, {0}, {2}, 2};
  atb::VariantPack pack = problem.pack(self);
  uint64_t size = 0;
  ASSERT_EQ(operation->Setup(pack, size, self.context), 0) << message();
  void* const address = pack.inTensors[0].deviceData;
  pack.inTensors[0].deviceData = nullptr;
  EXPECT_EQ(operation->Execute(pack, nullptr, size, self.context), atb::ERROR_INVALID_PARAM);
  pack.inTensors[0].deviceData = address;
  pack.inTensors[0].dataSize -= 1;
  EXPECT_EQ(operation->Execute(pack, nullptr, size, self.context), atb::ERROR_INVALID_TENSOR_SIZE);
  pack.inTensors[0].dataSize += 1;
  EXPECT_EQ(operation->Execute(pack, nullptr, size, self.context), 0) << message();
  EXPECT_EQ(aclrtSynchronizeStream(self.stream), 0);
  EXPECT_EQ(self.read_halves(pack.outTensors[0]), (std::vector<float>{1, 2}));
  EXPECT_EQ(atb::DestroyOperation(operation), 0);
}

TEST(ReduceScatterV, InfersItsOutput) {
  atb::Operation* operation = nullptr;
  ASSERT_EQ(atb::CreateOperation(between<ReduceScatterVParam>(1, 2, "shape"), &operation), 0);
  EXPECT_EQ(operation->GetInputNum(), 5u);
  EXPECT_EQ(operation->GetOutputNum(), 1u);
  EXPECT_EQ(operation->GetName(), "ReduceScatterVOperation");
  atb::SVector<atb::TensorDesc> in = {desc(ACL_INT8, {7, 6}), desc(ACL_INT64, {2}), desc(ACL_INT64, {2}),
                                      desc(ACL_INT64, {1}), desc(ACL_FLOAT16, {3})};
  atb::SVector<atb::TensorDesc> out;
  ASSERT_EQ(operation->InferShape(in, out), 0) << message();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(dims_of(out[0]), (Dims{3, 6}));
  EXPECT_EQ(out[0].dtype, ACL_INT8);
  EXPECT_EQ(out[0].format, ACL_FORMAT_ND);
  EXPECT_EQ(atb::DestroyOperation(operation), 0);
}

TEST(ReduceScatterV, ReportsRanksThatGiveOtherCounts) {
  on_threads(2, [&](int rank) {
    Rank self(rank);
    Problem problem = page_problem(self, rank);
    problem.counts = rank == 0 ? Numbers{2, 3} : Numbers{1, 4};
    problem.places = rank == 0 ? Numbers{0, 2} : Numbers{0, 1};
    problem.rows = problem.received[0] = problem.counts[static_cast<size_t>(rank)];
    const atb::VariantPack pack = problem.pack(self);
    const std::vector<atb::Tensor> in(pack.inTensors.begin(), pack.inTensors.end());
    EXPECT_NE(self.run(between<ReduceScatterVParam>(rank, 2, "others"), in, {pack.outTensors[0]}), 0);
    EXPECT_FALSE(message().empty());
  });
}

}  // namespace
}  // namespace atb_test
