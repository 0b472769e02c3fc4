// SPDX-License-Identifier: Apache-2.0
// Graphs of operations, and products between ranks.
#include <cmath>

#include "atb/operation_infra.h"
#include "atb_rank_test.h"

namespace atb_test {
namespace {

namespace infer = atb::infer;

template <class Param>
atb::Operation* make(const Param& param) {
  atb::Operation* operation = nullptr;
  EXPECT_EQ(atb::CreateOperation(param, &operation), 0) << message();
  return operation;
}

infer::ElewiseParam add() {
  infer::ElewiseParam param;
  param.elewiseType = infer::ElewiseParam::ELEWISE_ADD;
  return param;
}
infer::RmsNormParam norm() {
  infer::RmsNormParam param;
  param.layerType = infer::RmsNormParam::RMS_NORM_NORM;
  return param;
}
infer::LinearParam product() {
  infer::LinearParam param;
  param.transposeB = false;
  param.hasBias = false;
  return param;
}

atb::Node node(atb::Operation* operation, atb::SVector<uint32_t> in, atb::SVector<uint32_t> out) {
  atb::Node made;
  made.operation = operation;
  made.inTensorIds = in;
  made.outTensorIds = out;
  return made;
}

std::vector<float> ramp(size_t count, float step) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = step * static_cast<float>(i % 17) - 0.7f;
  return values;
}

// x (2, 3, 8) seen as (6, 8): norm, product, and the sum with the product's own input rows.
atb::GraphParam block() {
  atb::GraphParam graph;
  graph.name = "block";
  graph.inTensorNum = 3;
  graph.outTensorNum = 1;
  graph.internalTensorNum = 2;
  const auto rows = [](const atb::Dims& from, atb::Dims& to) {
    to.dimNum = 2;
    to.dims[0] = from.dims[0] * from.dims[1];
    to.dims[1] = from.dims[2];
  };
  graph.nodes = {node(make(norm()), {0, 1}, {4}), node(make(product()), {4, 2}, {5}), node(make(add()), {4, 5}, {3})};
  graph.nodes[0].inTensorReshapeFuncs = {rows, nullptr};
  return graph;
}

TEST(AtbGraph, HasTheBitsOfItsNodes) {
  Rank self;
  const atb::Tensor x = self.halves({2, 3, 8}, ramp(48, 0.1f)), gamma = self.halves({8}, ramp(8, 0.3f));
  const atb::Tensor weight = self.halves({8, 8}, ramp(64, 0.05f)), y = self.tensor(ACL_FLOAT16, {6, 8});
  atb::Operation* graph = make(block());
  ASSERT_NE(graph, nullptr);
  EXPECT_EQ(graph->GetName(), "block");
  atb::VariantPack pack;
  pack.inTensors = {x, gamma, weight};
  pack.outTensors = {y};
  for (int round = 0; round < 2; ++round) EXPECT_EQ(self.run(graph, pack), 0) << message();
  EXPECT_EQ(atb::DestroyOperation(graph), 0);

  const atb::Tensor normed = self.tensor(ACL_FLOAT16, {2, 3, 8});
  EXPECT_EQ(self.run(norm(), {x, gamma}, {normed}), 0);
  atb::Tensor flat = normed;
  flat.desc = desc(ACL_FLOAT16, {6, 8});
  const atb::Tensor multiplied = self.tensor(ACL_FLOAT16, {6, 8}), wanted = self.tensor(ACL_FLOAT16, {6, 8});
  EXPECT_EQ(self.run(product(), {flat, weight}, {multiplied}), 0);
  EXPECT_EQ(self.run(add(), {flat, multiplied}, {wanted}), 0);
  EXPECT_EQ(self.bytes(y), self.bytes(wanted));
}

TEST(AtbGraph, TakesChunksOfATensor) {
  Rank self;
  atb::GraphParam param;
  param.inTensorNum = param.outTensorNum = 1;
  param.nodes = {node(make(add()), {0, 0}, {1})};
  param.nodes[0].inTensorChunks = {{2, 0}, {2, 1}};
  atb::Operation* graph = make(param);
  atb::VariantPack pack;
  pack.inTensors = {self.floats({4, 1}, {1, 2, 30, 40})};
  pack.outTensors = {self.tensor(ACL_FLOAT, {2, 1})};
  EXPECT_EQ(self.run(graph, pack), 0) << message();
  EXPECT_EQ(self.read_floats(pack.outTensors[0]), (std::vector<float>{31, 42}));
  EXPECT_EQ(atb::DestroyOperation(graph), 0);
}

void refused(atb::GraphParam param, int code, const char* word) {
  atb::Operation* graph = nullptr;
  EXPECT_EQ(atb::CreateOperation(param, &graph), code);
  EXPECT_EQ(graph, nullptr);
  EXPECT_NE(message().find(word), std::string::npos) << message();
  for (const atb::Node& one : param.nodes) EXPECT_EQ(atb::DestroyOperation(one.operation), 0);
}

TEST(AtbGraph, RefusesWhatDoesNotHangTogether) {
  refused({}, atb::ERROR_INVALID_GRAPH, "0 nodes");
  auto early = block();
  early.nodes[0].inTensorIds[0] = 5;
  refused(early, atb::ERROR_INVALID_GRAPH, "reads tensor 5 before");
  auto far = block();
  far.nodes[1].outTensorIds[0] = 6;
  refused(far, atb::ERROR_INVALID_GRAPH, "names tensor 6");
  auto idle = block();
  idle.internalTensorNum = 3;
  refused(idle, atb::ERROR_INVALID_GRAPH, "no node writes tensor 6");
  auto few = block();
  few.nodes[2].inTensorIds = {4};
  refused(few, atb::ERROR_INVALID_GRAPH, "1 inputs");
  auto chunk = block();
  chunk.nodes[2].inTensorChunks = {{2, 2}, {1, 0}};
  refused(chunk, atb::ERROR_INVALID_GRAPH_NODE_CHUNK, "chunk 2 of 2");
}

TEST(AtbGraph, NamesTheNodeThatRefuses) {
  Rank self;
  atb::Operation* graph = make(block());
  atb::VariantPack pack;
  pack.inTensors = {self.halves({2, 3, 8}, ramp(48, 0.1f)), self.halves({8}, ramp(8, 0.3f)),
                    self.halves({7, 8}, ramp(56, 0.1f))};
  pack.outTensors = {self.tensor(ACL_FLOAT16, {6, 8})};
  uint64_t size = 0;
  EXPECT_EQ(graph->Setup(pack, size, self.context), atb::ERROR_INVALID_TENSOR_DIM);
  EXPECT_NE(message().find("node 1 (LinearOperation)"), std::string::npos) << message();
  EXPECT_EQ(atb::DestroyOperation(graph), 0);
}

TEST(AtbGraph, IsBuiltByNames) {
  Rank self;
  atb::GraphOpBuilder* builder = nullptr;
  ASSERT_EQ(atb::CreateGraphOpBuilder(&builder), 0);
  ASSERT_EQ(builder->Init("named", nullptr, {"x", "row"}, {"y"}), 0) << message();
  const auto flat = [](const atb::Dims& from, atb::Dims& to) {
    to.dimNum = 1;
    to.dims[0] = from.dims[0] * from.dims[1];
  };
  EXPECT_EQ(builder->Reshape("x", flat, "flat"), 0) << message();
  EXPECT_EQ(builder->Reshape("z", flat, "none"), atb::ERROR_INVALID_GRAPH);
  EXPECT_EQ(builder->AddOperation(add(), {"later", "row"}, {"y"}), atb::ERROR_INVALID_GRAPH);
  EXPECT_EQ(builder->AddOperation(add(), {"flat", "row"}, {"sum"}), 0) << message();
  EXPECT_EQ(builder->AddOperation(add(), {"sum", "row"}, {"y"}), 0) << message();
  atb::Operation* graph = builder->Build();
  ASSERT_NE(graph, nullptr) << message();
  EXPECT_EQ(atb::DestroyGraphOpBuilder(builder), 0);
  atb::VariantPack pack;
  pack.inTensors = {self.floats({2, 2}, {1, 2, 3, 4}), self.floats({4}, {10, 20, 30, 40})};
  pack.outTensors = {self.tensor(ACL_FLOAT, {4})};
  EXPECT_EQ(self.run(graph, pack), 0) << message();
  EXPECT_EQ(self.read_floats(pack.outTensors[0]), (std::vector<float>{21, 42, 63, 84}));
  EXPECT_EQ(atb::DestroyOperation(graph), 0);
}

// An operation of a program's own: doubles what it is given, through the library's addition.
class Doubled : public atb::OperationInfra {
 public:
  Doubled() : sum_(make(add())) {}
  ~Doubled() override { EXPECT_EQ(atb::DestroyOperation(sum_), 0); }
  std::string GetName() const override { return "Doubled"; }
  atb::Status InferShape(const atb::SVector<atb::TensorDesc>& in, atb::SVector<atb::TensorDesc>& out) const override {
    out = in;
    return atb::NO_ERROR;
  }
  uint32_t GetInputNum() const override { return 1; }
  uint32_t GetOutputNum() const override { return 1; }
  atb::Status Setup(const atb::VariantPack& pack, uint64_t& size, atb::Context* context) override {
    return sum_->Setup(twice(pack), size, context);
  }
  atb::Status Execute(const atb::VariantPack& pack, uint8_t* workspace, uint64_t size, atb::Context* context) override {
    EXPECT_NE(GetExecuteStream(context), nullptr);
    return sum_->Execute(twice(pack), workspace, size, context);
  }

 private:
  static atb::VariantPack twice(atb::VariantPack pack) {
    pack.inTensors.push_back(pack.inTensors[0]);
    return pack;
  }
  atb::Operation* sum_;
};

TEST(AtbGraph, HasOperationsOfAProgramsOwnAndEventsBetweenStreams) {
  Rank self;
  aclrtStream other = nullptr;
  aclrtEvent event = nullptr;
  ASSERT_EQ(aclrtCreateStream(&other), 0);
  ASSERT_EQ(aclrtCreateEvent(&event), 0);
  ASSERT_EQ(self.context->SetExecuteStreams({self.stream, other}), 0);
  atb::common::EventParam record, wait;
  record.event = wait.event = event;
  record.operatorType = atb::common::EventParam::RECORD;
  wait.operatorType = atb::common::EventParam::WAIT;
  atb::GraphParam param;
  param.inTensorNum = param.outTensorNum = param.internalTensorNum = 1;
  param.nodes = {node(new Doubled, {0}, {2}), node(make(record), {}, {}), node(make(wait), {}, {}),
                 node(make(add()), {2, 0}, {1})};
  EXPECT_EQ(atb::SetExecuteStreamId(param.nodes[2].operation, 1), 0);
  EXPECT_EQ(atb::SetExecuteStreamId(param.nodes[3].operation, 1), 0);
  atb::Operation* graph = make(param);
  atb::VariantPack pack;
  pack.inTensors = {self.floats({3}, {1, 2, 3})};
  pack.outTensors = {self.tensor(ACL_FLOAT, {3})};
  EXPECT_EQ(self.run(graph, pack), 0) << message();
  EXPECT_EQ(aclrtSynchronizeStream(other), 0);
  EXPECT_EQ(self.read_floats(pack.outTensors[0]), (std::vector<float>{3, 6, 9}));
  EXPECT_EQ(atb::DestroyOperation(graph), 0);
  EXPECT_EQ(aclrtDestroyEvent(event), 0);
  EXPECT_EQ(aclrtDestroyStream(other), 0);
}

// --- LinearParallel: rank r has columns of x and rows of the weight.

constexpr int kRanks = 2;
constexpr int64_t kRows = 4, kDepth = 16, kColumns = 6;

infer::LinearParallelParam parallel(int rank, infer::LinearParallelParam::ParallelType type) {
  auto param = between<infer::LinearParallelParam>(rank, kRanks, "products");
  param.transWeight = false;
  param.type = type;
  return param;
}

float x_at(int rank, int64_t m, int64_t k) { return static_cast<float>((m * 5 + k * 3 + rank * 7) % 9 - 4) / 4; }
float weight_at(int rank, int64_t k, int64_t n) { return static_cast<float>((k * 7 + n * 2 + rank) % 5 - 2) / 2; }

atb::Tensor x_of(Rank& self, int rank) {
  std::vector<float> values;
  for (int64_t m = 0; m < kRows; ++m)
    for (int64_t k = 0; k < kDepth; ++k) values.push_back(x_at(rank, m, k));
  return self.halves({kRows, kDepth}, values);
}
atb::Tensor weight_of(Rank& self, int rank) {
  std::vector<float> values;
  for (int64_t k = 0; k < kDepth; ++k)
    for (int64_t n = 0; n < kColumns; ++n) values.push_back(weight_at(rank, k, n));
  return self.halves({kDepth, kColumns}, values);
}

// Row m of rank x_rank's x times rank weight_rank's weight; exact, the values are small multiples of 1/8.
std::vector<float> row(int x_rank, int weight_rank, int64_t m) {
  std::vector<float> values(kColumns, 0);
  for (int64_t n = 0; n < kColumns; ++n)
    for (int64_t k = 0; k < kDepth; ++k)
      values[static_cast<size_t>(n)] += x_at(x_rank, m, k) * weight_at(weight_rank, k, n);
  return values;
}

std::vector<float> summed(int64_t first, int64_t count) {
  std::vector<float> all;
  for (int64_t m = first; m < first + count; ++m) {
    const auto a = row(0, 0, m), b = row(1, 1, m);
    for (size_t n = 0; n < a.size(); ++n) all.push_back(a[n] + b[n]);
  }
  return all;
}

TEST(AtbLinearParallel, ComputesItsKinds) {
  using Type = infer::LinearParallelParam;
  on_threads(kRanks, [](int rank) {
    Rank self(rank);
    const atb::Tensor x = x_of(self, rank), weight = weight_of(self, rank);
    const atb::Tensor whole = self.tensor(ACL_FLOAT16, {kRows, kColumns});
    EXPECT_EQ(self.run(parallel(rank, Type::LINEAR_ALL_REDUCE), {x, weight}, {whole}), 0) << message();
    EXPECT_EQ(self.read_halves(whole), summed(0, kRows));

    auto with_residual = parallel(rank, Type::LINEAR_ALL_REDUCE);
    with_residual.hasResidual = true;
    const atb::Tensor residual = self.halves({1, kColumns}, {1, 2, 3, 4, 5, 6});
    EXPECT_EQ(self.run(with_residual, {x, weight, residual}, {whole}), 0) << message();
    auto wanted = summed(0, kRows);
    for (size_t i = 0; i < wanted.size(); ++i) wanted[i] += static_cast<float>(i % kColumns + 1);
    EXPECT_EQ(self.read_halves(whole), wanted);

    const atb::Tensor part = self.tensor(ACL_FLOAT16, {kRows / kRanks, kColumns});
    EXPECT_EQ(self.run(parallel(rank, Type::LINEAR_REDUCE_SCATTER), {x, weight}, {part}), 0) << message();
    EXPECT_EQ(self.read_halves(part), summed(rank * kRows / kRanks, kRows / kRanks));

    auto gathers = parallel(rank, Type::ALL_GATHER_LINEAR);
    gathers.keepIntermediate = true;
    const atb::Tensor all = self.tensor(ACL_FLOAT16, {kRanks * kRows, kColumns});
    const atb::Tensor rows = self.tensor(ACL_FLOAT16, {kRanks * kRows, kDepth});
    EXPECT_EQ(self.run(gathers, {x, weight}, {all, rows}), 0) << message();
    std::vector<float> gathered;
    for (int from = 0; from < kRanks; ++from)
      for (int64_t m = 0; m < kRows; ++m) {
        const auto one = row(from, rank, m);
        gathered.insert(gathered.end(), one.begin(), one.end());
      }
    EXPECT_EQ(self.read_halves(all), gathered);
    EXPECT_EQ(self.read_halves(rows)[static_cast<size_t>((rank == 0 ? kRows : 0) * kDepth)], x_at(1 - rank, 0, 0));
  });
}

TEST(AtbLinearParallel, TakesInt8WeightsWithAnOffset) {
  on_threads(kRanks, [](int rank) {
    Rank self(rank);
    const std::vector<int8_t> values(kDepth * kColumns, 2);
    const atb::Tensor x = self.halves({kRows, kDepth}, std::vector<float>(kRows * kDepth, 2));
    const atb::Tensor weight = self.tensor(ACL_INT8, {kDepth, kColumns}, values.data());
    const atb::Tensor offset = self.halves({1}, {1}), scale = self.halves({1}, {0.5f});
    const atb::Tensor y = self.tensor(ACL_FLOAT16, {kRows, kColumns});
    auto param = parallel(rank, infer::LinearParallelParam::LINEAR_ALL_REDUCE);
    param.quantType = infer::LinearParallelParam::QUANT_TYPE_PER_TENSOR;
    param.outDataType = ACL_FLOAT16;
    param.backend = "lcoc";
    EXPECT_EQ(self.run(param, {x, weight, offset, scale}, {y}), 0) << message();
    // 2 ranks * 16 * 2 * (2 + 1) * 0.5
    EXPECT_EQ(self.read_halves(y), std::vector<float>(kRows * kColumns, 96));
  });
}

TEST(AtbLinearParallel, RefusesWhatItDoesNotOffer) {
  auto param = parallel(0, infer::LinearParallelParam::ALL_GATHER_LINEAR_REDUCE_SCATTER);
  atb::Operation* operation = nullptr;
  EXPECT_EQ(atb::CreateOperation(param, &operation), atb::ERROR_INVALID_PARAM);
  EXPECT_NE(message().find("type is 4"), std::string::npos) << message();
  param.type = infer::LinearParallelParam::LINEAR_ALL_REDUCE;
  param.rsv[51] = 1;
  EXPECT_EQ(atb::CreateOperation(param, &operation), atb::ERROR_INVALID_PARAM);
}

}  // namespace
}  // namespace atb_test
