// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "acl/acl.h"
#include "atb/infer_types.h"
#include "atb/svector.h"

// Parameters of operations that move, choose and order values. Members without a remark mean what the vendor's pages
// say.
#pragma GCC visibility push(default)
namespace atb {
namespace infer {

struct GatherParam {
  int64_t axis = 0;
  int64_t batchDims = 0;
  uint8_t rsv[16] = {0};
};

struct SplitParam {
  int32_t splitDim = 0;
  int32_t splitNum = 2;
  SVector<int32_t> splitSizes = {};
  uint8_t rsv[8] = {0};
};

struct ConcatParam {
  int concatDim = 0;
  uint8_t rsv[12] = {0};
};

struct SliceParam {
  SVector<int64_t> offsets;
  SVector<int64_t> size;
  uint8_t rsv[8] = {0};
};

struct TransposeParam {
  SVector<int32_t> perm;
  uint8_t rsv[8] = {0};
};

struct TransdataParam {
  enum TransdataType : int { UNDEFINED = 0, FRACTAL_NZ_TO_ND, ND_TO_FRACTAL_NZ };
  TransdataType transdataType = UNDEFINED;
  SVector<int64_t> outCrops = {0, 0};
  uint8_t rsv[8] = {0};
};

struct GatingParam {
  int32_t topkExpertNum = 1;
  int32_t cumSumNum = 0;
  bool cumSumInt64 = false;
  std::vector<int32_t> deviceExpert;
  uint8_t rsv[16] = {0};
};

struct GroupTopkParam {
  int32_t groupNum = 1;
  int32_t k = 0;
  enum GroupMultiFlag : uint16_t { UNDEFINED = 0, SUM_MULTI_MAX };
  GroupMultiFlag groupMultiFlag = UNDEFINED;
  uint16_t n = 1;
  uint8_t rsv[12] = {0};
};

struct TopkToppSamplingParam {
  enum TopkToppSamplingType {
    SAMPLING_UNDEFINED = -1,
    SINGLE_TOPK_SAMPLING,
    BATCH_TOPK_MULTINOMIAL_SAMPLING,
    BATCH_TOPK_EXPONENTIAL_SAMPLING,
    BATCH_TOPK_MULTINOMIAL_LOGPROBS_SAMPLING,
    BATCH_TOPK_EXPONENTIAL_LOGPROBS_SAMPLING,
    SAMPLING_MAX
  };
  TopkToppSamplingType topkToppSamplingType = SINGLE_TOPK_SAMPLING;
  std::vector<uint32_t> randSeeds;
  uint32_t randSeed = 0;
  uint32_t topk = 100;
  int32_t logProbsSize = 0;
  uint8_t rsv[12] = {0};
};

struct SortParam {
  SVector<int32_t> num;
  uint8_t rsv[8] = {0};
};

struct IndexAddParam {
  enum IndexType { INDEX_UNDEFINED = 0, INDEX_ADD, INDEX_ADD_VALID };
  IndexType indexType = INDEX_UNDEFINED;
  int64_t axis = 0;
  uint8_t rsv[16] = {0};
};

struct OnehotParam {
  int64_t axis = 0;
  int64_t depth = 0;
  uint8_t rsv[8] = {0};
};

struct FillParam {
  bool withMask = true;
  SVector<float> value;
  SVector<int64_t> outDim;
  uint8_t rsv[8] = {0};
};

struct RepeatParam {
  SVector<int64_t> multiples;
  uint8_t rsv[8] = {0};
};

struct SetValueParam {
  SVector<int64_t> starts;
  SVector<int64_t> ends;
  SVector<int64_t> strides;
  uint8_t rsv[8] = {0};
};

struct MultinomialParam {
  uint32_t numSamples = 1;
  uint32_t randSeed = 0;
  uint8_t rsv[8] = {0};
};

struct NonzeroParam {
  uint8_t rsv[8] = {0};
};

struct WhereParam {
  uint8_t rsv[8] = {0};
};

struct PadParam {
  uint8_t rsv[8] = {0};
};

struct UnpadParam {
  uint8_t rsv[8] = {0};
};

inline bool operator==(const TopkToppSamplingParam& left, const TopkToppSamplingParam& right) {
  return left.topkToppSamplingType == right.topkToppSamplingType && left.randSeeds == right.randSeeds &&
         left.randSeed == right.randSeed && left.topk == right.topk && left.logProbsSize == right.logProbsSize;
}

inline bool operator==(const SortParam& left, const SortParam& right) { return left.num == right.num; }

}  // namespace infer
}  // namespace atb
#pragma GCC visibility pop
