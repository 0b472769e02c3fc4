// SPDX-License-Identifier: Apache-2.0
// What every operation of the operation interface shares, and the collectives with equal parts.
#include "atb/comm.h"

#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "atb_rank_test.h"
#include "hccl/hccl.h"

namespace atb_test {
namespace {

namespace infer = atb::infer;

TEST(SVector, HoldsUpTo256Elements) {
  atb::SVector<int> vector = {3, 1, 2};
  vector.push_back(9);
  vector.insert(1, vector[3]);
  EXPECT_EQ(vector, (atb::SVector<int>{3, 9, 1, 2, 9}));
  EXPECT_NE(vector, (atb::SVector<int>{3, 9, 1, 2}));
  EXPECT_LT((atb::SVector<int>{3, 8}), vector);
  const atb::SVector<int> copy = vector;
  vector.clear();
  EXPECT_TRUE(vector.empty());
  EXPECT_EQ(copy.size(), 5u);
  EXPECT_THROW(vector.at(0), std::out_of_range);
  EXPECT_THROW(vector[0] = 1, std::out_of_range);
  EXPECT_THROW(vector.insert(1, 0), std::out_of_range);
  vector.resize(atb::MAX_SVECTOR_SIZE);
  EXPECT_EQ(vector[255], 0);
  EXPECT_THROW(vector.push_back(1), atb::MaxSizeExceeded);
  EXPECT_THROW(atb::SVector<int>(257), atb::MaxSizeExceeded);
  EXPECT_EQ(atb::SVector<int64_t>(3, 7), (atb::SVector<int64_t>{7, 7, 7}));
  std::ostringstream text;
  text << copy;
  EXPECT_EQ(text.str(), "3,9,1,2,9");
}

TEST(AtbUtils, CountsElementsAndBytes) {
  using atb::Utils;
  EXPECT_EQ(Utils::GetTensorSize(desc(ACL_FLOAT16, {3, 5})), 30u);
  EXPECT_EQ(Utils::GetTensorNumel(desc(ACL_FLOAT16, {3, 5})), 15u);
  EXPECT_EQ(Utils::GetTensorSize(desc(ACL_INT64, {})), 0u);
  EXPECT_EQ(Utils::GetTensorSize(desc(ACL_BOOL, {7})), 7u);
  EXPECT_EQ(Utils::GetTensorSize(desc(ACL_INT4, {8})), 0u);
  EXPECT_EQ(Utils::GetTensorSize(desc(ACL_DT_UNDEFINED, {8})), 8u);
  EXPECT_EQ(Utils::GetTensorNumel(desc(ACL_INT8, {int64_t{1} << 40, int64_t{1} << 40})), 0u);
  EXPECT_EQ(Utils::GetTensorNumel(desc(ACL_INT8, {-1, 4})), 0u);
  EXPECT_EQ(Utils::GetTensorSize(desc(ACL_FLOAT, {int64_t{1} << 33, 2})), uint64_t{1} << 36);
  const float scales[] = {1.0f, -0.5f};
  uint64_t words[2] = {};
  Utils::QuantParamConvert(scales, words, 2);
  EXPECT_EQ(words[0], 0x3f800000u);
  EXPECT_EQ(words[1], 0xbf000000u);
  EXPECT_FALSE(Utils::GetAtbVersion().empty());
}

TEST(AtbContext, RefusesWhatItIsNot) {
  EXPECT_EQ(atb::CreateContext(nullptr), atb::ERROR_INVALID_PARAM);
  EXPECT_EQ(atb::DestroyContext(nullptr), atb::ERROR_INVALID_PARAM);
  atb::Context* context = nullptr;
  EXPECT_EQ(atb::CreateContext(&context, 0, 1), atb::ERROR_INVALID_PARAM);
  EXPECT_EQ(context, nullptr);
  ASSERT_EQ(atb::CreateContext(&context), 0);
  EXPECT_EQ(context->GetExecuteStream(), nullptr);
  EXPECT_EQ(context->SetExecuteStreams({}), atb::ERROR_INVALID_PARAM);
  EXPECT_EQ(context->SetExecuteType(static_cast<atb::ExecuteType>(3)), atb::ERROR_INVALID_PARAM);
  EXPECT_EQ(context->SetLaunchMode(atb::GRAPH_LAUNCH_MODE), 0);
  EXPECT_EQ(context->GetLaunchMode(), atb::GRAPH_LAUNCH_MODE);
  EXPECT_EQ(context->SetAsyncTilingCopyStatus(true), 0);
  EXPECT_TRUE(context->GetAsyncTilingCopyStatus());
  EXPECT_EQ(atb::DestroyContext(context), 0);
  EXPECT_EQ(atb::DestroyContext(context), atb::ERROR_INVALID_CONTEXT_ADDR);
}

infer::RmsNormParam norm_param(float epsilon = 0) {
  infer::RmsNormParam param;
  param.layerType = infer::RmsNormParam::RMS_NORM_NORM;
  param.normParam.epsilon = epsilon;
  return param;
}

TEST(AtbOperation, KeepsTheOrderOfItsCalls) {
  Rank self;
  atb::Operation* operation = nullptr;
  ASSERT_EQ(atb::CreateOperation(norm_param(), &operation), 0);
  EXPECT_EQ(atb::CreateOperation(norm_param(), nullptr), atb::ERROR_INVALID_PARAM);
  atb::VariantPack pack;
  pack.inTensors = {self.floats({1, 2}, {3, 3}), self.floats({2}, {2, 4})};
  pack.outTensors = {self.tensor(ACL_FLOAT, {1, 2})};
  uint64_t size = 0;
  uint8_t* const some = reinterpret_cast<uint8_t*>(pack.outTensors[0].deviceData);
  EXPECT_EQ(operation->Execute(pack, some, 1 << 20, self.context), atb::ERROR_OPERATION_NULL_RUNNER);
  EXPECT_EQ(operation->Setup(pack, size, nullptr), atb::ERROR_INVALID_PARAM);
  ASSERT_EQ(operation->Setup(pack, size, self.context), 0) << message();
  ASSERT_GT(size, 0u);
  EXPECT_EQ(operation->Execute(pack, some, size - 1, self.context), atb::ERROR_INVALID_WORKSPACE_SIZE);
  EXPECT_EQ(operation->Execute(pack, nullptr, size, self.context), atb::ERROR_INVALID_WORKSPACE_ADDR);
  atb::Context* other = nullptr;
  ASSERT_EQ(atb::CreateContext(&other), 0);
  EXPECT_EQ(operation->Execute(pack, some, size, other), atb::ERROR_INVALID_CONTEXT_ADDR);
  EXPECT_EQ(atb::DestroyContext(other), 0);
  EXPECT_EQ(self.run(operation, pack), 0) << message();
  EXPECT_EQ(self.read_floats(pack.outTensors[0]), (std::vector<float>{2, 4}));
  EXPECT_EQ(atb::DestroyOperation(operation), 0);
  EXPECT_EQ(atb::DestroyOperation(nullptr), 0);
}

TEST(AtbOperation, GivesItsParametersBackAndTakesNewOnes) {
  atb::Operation* operation = nullptr;
  ASSERT_EQ(atb::CreateOperation(norm_param(0.5f), &operation), 0);
  infer::RmsNormParam copy;
  EXPECT_EQ(atb::CloneOperationParam(operation, copy), 0);
  EXPECT_EQ(copy.normParam.epsilon, 0.5f);
  copy.normParam.rstd = true;
  EXPECT_EQ(operation->GetOutputNum(), 1u);
  EXPECT_EQ(atb::UpdateOperationParam(operation, copy), 0);
  EXPECT_EQ(operation->GetOutputNum(), 2u);
  copy.rsv[3] = 1;
  EXPECT_EQ(atb::UpdateOperationParam(operation, copy), atb::ERROR_INVALID_PARAM);
  infer::AllReduceParam other;
  EXPECT_EQ(atb::CloneOperationParam(operation, other), atb::ERROR_INVALID_PARAM);
  EXPECT_EQ(atb::SetExecuteStreamId(operation, 1), 0);
  EXPECT_EQ(atb::GetExecuteStreamId(operation), 1u);
  EXPECT_EQ(atb::DestroyOperation(operation), 0);
}

TEST(AtbCollectives, MoveEqualParts) {
  on_threads(4, [&](int rank) {
    Rank self(rank);
    const float own = static_cast<float>(rank + 1);
    const atb::Tensor x = self.halves({4, 2}, {own, own, 2 * own, 1, 3, 4, -own, own});
    const atb::Tensor sum = self.tensor(ACL_FLOAT16, {4, 2}), part = self.tensor(ACL_FLOAT16, {1, 2});
    const atb::Tensor all = self.tensor(ACL_FLOAT16, {4, 1, 2});
    auto reduce = between<infer::AllReduceParam>(rank, 4, "equal");
    EXPECT_EQ(self.run(reduce, {x}, {sum}), 0) << message();
    EXPECT_EQ(self.read_halves(sum), (std::vector<float>{10, 10, 20, 4, 12, 16, -10, 10}));
    auto scatter = between<infer::ReduceScatterParam>(rank, 4, "equal");
    scatter.reduceType = "max";
    EXPECT_EQ(self.run(scatter, {x}, {part}), 0) << message();
    const std::vector<float> largest[] = {{4, 4}, {8, 1}, {3, 4}, {-1, 4}};
    EXPECT_EQ(self.read_halves(part), largest[rank]);
    EXPECT_EQ(self.run(between<infer::AllGatherParam>(rank, 4, "equal"), {part}, {all}), 0) << message();
    EXPECT_EQ(self.read_halves(all), (std::vector<float>{4, 4, 8, 1, 3, 4, -1, 4}));
    auto broadcast = between<infer::BroadcastParam>(rank, 4, "equal");
    broadcast.rankRoot = 2;
    EXPECT_EQ(self.run(broadcast, {x}, {}), 0) << message();
    EXPECT_EQ(self.read_halves(x), (std::vector<float>{3, 3, 6, 1, 3, 4, -3, 3}));
  });
}

TEST(AtbCollectives, RefuseRowsThatRanksDoNotDivide) {
  Rank self;
  atb::Operation* operation = nullptr;
  ASSERT_EQ(atb::CreateOperation(between<infer::ReduceScatterParam>(0, 2, "odd"), &operation), 0);
  atb::SVector<atb::TensorDesc> in = {desc(ACL_FLOAT16, {5, 4})}, out;
  EXPECT_EQ(operation->InferShape(in, out), atb::ERROR_INVALID_TENSOR_DIM);
  in = {desc(ACL_UINT8, {4, 4})};
  EXPECT_EQ(operation->InferShape(in, out), atb::ERROR_INVALID_TENSOR_INI_MATCH);
  EXPECT_EQ(atb::DestroyOperation(operation), 0);
  auto product = between<infer::ReduceScatterParam>(0, 2, "odd");
  product.reduceType = "prod";
  product.backend = "lccl";
  EXPECT_EQ(atb::CreateOperation(product, &operation), atb::ERROR_INVALID_PARAM);
}

TEST(AtbComm, MakesCommunicatorsForPrograms) {
  // Other runs of this test meet elsewhere.
  setenv("ATB_SHARE_MEMORY_NAME_SUFFIX", std::to_string(getpid()).c_str(), 1);
  on_threads(2, [&](int rank) {
    Rank self(rank);
    char name[128] = {};
    const atb::HcclComm comm = atb::Comm::CreateHcclComm(rank, 0, 2, name);
    ASSERT_NE(comm, nullptr) << message();
    EXPECT_NE(name[0], '\0');
    infer::AllReduceParam param;
    param.hcclComm = comm;
    const atb::Tensor x = self.floats({1}, {static_cast<float>(rank + 1)}), y = self.tensor(ACL_FLOAT, {1});
    EXPECT_EQ(self.run(param, {x}, {y}), 0) << message();
    EXPECT_EQ(self.read_floats(y), std::vector<float>{3});
    EXPECT_EQ(atb::Comm::DestoryHcclComm(comm), 0) << message();
  });
  EXPECT_EQ(atb::Comm::DestoryHcclComm(nullptr), atb::ERROR_COMM_EMPTY);
  EXPECT_EQ(aclrtSetDevice(0), 0);
  EXPECT_EQ(atb::Comm::CreateHcclComm(3, 0, 2, nullptr), nullptr);
  EXPECT_NE(message().find("rank is 3"), std::string::npos) << message();
}

}  // namespace
}  // namespace atb_test
