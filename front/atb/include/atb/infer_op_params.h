// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "acl/acl.h"
#include "atb/svector.h"
#include "hccl/hccl_types.h"

// Parameters of the operations for inference. Members without a remark mean what the vendor's pages say.
#pragma GCC visibility push(default)
namespace atb {
namespace infer {

enum InputLayout : int { TYPE_BSND = 0, TYPE_BNSD };
enum QuantType : int {
  QUANT_UNDEFINED = 0,
  QUANT_UNQUANT = 0,
  QUANT_INT4,
  QUANT_INT8,
  QUANT_INT16,
  QUANT_FLOAT8,
  QUANT_FLOAT16
};
enum DynamicQuantType : int { DYNAMIC_QUANT_UNDEFINED = 0, DYNAMIC_QUANT_SYMMETRIC, DYNAMIC_QUANT_ASYMMETRIC };
enum ActivationType : int {
  ACTIVATION_UNDEFINED = 0,
  ACTIVATION_RELU,
  ACTIVATION_GELU,
  ACTIVATION_FAST_GELU,
  ACTIVATION_SWISH,
  ACTIVATION_LOG,
  ACTIVATION_SWIGLU_FORWARD,
  ACTIVATION_SWIGLU_BACKWARD,
  ACTIVATION_SIGMOID,
  ACTIVATION_FASTER_GELU_FORWARD,
  ACTIVATION_MAX
};
enum CommMode : int { COMM_UNDEFINED = -1, COMM_MULTI_PROCESS, COMM_MULTI_THREAD };

struct ActivationParam {
  enum GeLUMode : int { TANH_MODE = 0, NONE_MODE };
  ActivationType activationType = ACTIVATION_UNDEFINED;
  float scale = 1.0f;
  int32_t dim = -1;
  GeLUMode geluMode = TANH_MODE;
  uint8_t rsv[8] = {0};
};

// Element by element; what and with which attributes says elewiseType.
struct ElewiseParam {
  enum ElewiseType : int {
    ELEWISE_UNDEFINED = 0,
    ELEWISE_CAST,
    ELEWISE_MULS,
    ELEWISE_COS,
    ELEWISE_SIN,
    ELEWISE_NEG,
    ELEWISE_QUANT,
    ELEWISE_LOGICAL_NOT,
    ELEWISE_ADD,
    ELEWISE_MUL,
    ELEWISE_REALDIV,
    ELEWISE_LOGICAL_AND,
    ELEWISE_LOGICAL_OR,
    ELEWISE_LESS,
    ELEWISE_GREATER,
    ELEWISE_SUB,
    ELEWISE_EQUAL,
    ELEWISE_QUANT_PER_CHANNEL,
    ELEWISE_DEQUANT_PER_CHANNEL,
    ELEWISE_DYNAMIC_QUANT,
    ELEWISE_TANH,
    ELEWISE_TYPE_MAX
  };
  struct QuantParam {
    float inputScale = 1.0f;
    bool asymmetric = false;
    int inputOffset = 0;
    uint8_t rsv[20] = {0};
  };
  struct MulsParam {
    float varAttr = 0.0f;
    uint8_t rsv[12] = {0};
  };
  ElewiseType elewiseType = ELEWISE_UNDEFINED;
  QuantParam quantParam;
  MulsParam mulsParam;
  aclDataType outTensorType = ACL_DT_UNDEFINED;
  uint8_t rsv[8] = {0};
};

// out = x @ weight (+ bias); weight (n, k) with transposeB.
struct LinearParam {
  enum MatmulType : uint8_t { MATMUL_UNDEFINED = 0, MATMUL_EIN_SUM };
  enum QuantMode : uint8_t { QUANT_UNDEFINED, PER_CHANNEL, PER_TOKEN };
  bool transposeA = false;
  bool transposeB = true;
  bool hasBias = true;
  aclDataType outDataType = ACL_DT_UNDEFINED;
  bool enAccum = false;
  MatmulType matmulType = MATMUL_UNDEFINED;
  QuantMode quantMode = QUANT_UNDEFINED;
  uint8_t rsv[21] = {0};
};

// A product with a collective behind or before it.
struct LinearParallelParam {
  enum ParallelType : int {
    UNDEFINED = -1,
    LINEAR_ALL_REDUCE = 0,
    LINEAR_REDUCE_SCATTER = 1,
    ALL_GATHER_LINEAR = 2,
    PURE_LINEAR = 3,
    ALL_GATHER_LINEAR_REDUCE_SCATTER = 4,
    ALLTOALLVC_ALL_GATHER_GMM = 5,
    GMM_REDUCE_SCATTER_ALLTOALLVC = 6,
    MAX = 7
  };
  enum QuantType : int {
    QUANT_TYPE_UNDEFINED = -1,
    QUANT_TYPE_UNQUANT = -1,
    QUANT_TYPE_PER_TENSOR = 0,
    QUANT_TYPE_PER_CHANNEL = 1,
    QUANT_TYPE_PER_GROUP = 2,
    QUANT_TYPE_PER_TOKEN = 3,
    QUANT_TYPE_MAX = 4
  };
  bool transWeight = true;
  int rank = 0;
  int rankSize = 0;
  int rankRoot = 0;
  bool hasResidual = false;
  std::string backend = "hccl";
  HcclComm hcclComm = nullptr;
  CommMode commMode = COMM_MULTI_PROCESS;
  std::string rankTableFile;
  ParallelType type = LINEAR_ALL_REDUCE;
  bool keepIntermediate = false;
  QuantType quantType = QUANT_TYPE_UNQUANT;
  int32_t quantGroupSize = 0;
  aclDataType outDataType = ACL_DT_UNDEFINED;
  std::string commDomain;
  struct TwoDimTPInfo {
    uint16_t agDim = 0;
    uint16_t rsDim = 0;
    uint8_t innerDimIsAg = 1;
    uint8_t rsv[3] = {0};
  };
  TwoDimTPInfo twoDimTPInfo;
  struct MoeInfo {
    int16_t localExpertNums = 1;
    int8_t epSize = 1;
    int8_t tpSize = 1;
  };
  MoeInfo moeInfo;
  uint8_t rsv[52] = {0};
};

struct RmsNormParam {
  enum RmsNormType : int { RMS_NORM_UNDEFINED = 0, RMS_NORM_NORM, RMS_NORM_PRENORM, RMS_NORM_POSTNORM };
  enum PrecisionMode : int { HIGH_PRECISION_MODE = 0, HIGH_PERFORMANCE_MODE };
  enum ModelType : int { LLAMA_MODEL = 0, GEMMA_MODEL };
  struct NormParam {
    QuantType quantType = QUANT_UNQUANT;
    float epsilon = 1e-5f;
    double layerNormEps = 1e-5;
    bool rstd = false;
    PrecisionMode precisionMode = HIGH_PRECISION_MODE;
    ModelType modelType = LLAMA_MODEL;
    DynamicQuantType dynamicQuantType = DYNAMIC_QUANT_UNDEFINED;
    uint8_t rsv[32] = {0};
  };
  struct PreNormParam {
    QuantType quantType = QUANT_UNQUANT;
    float epsilon = 1e-5f;
    bool hasBias = false;
    uint8_t rsv[23] = {0};
  };
  struct PostNormParam {
    QuantType quantType = QUANT_UNQUANT;
    float epsilon = 1e-5f;
    bool hasBias = false;
    uint8_t rsv[23] = {0};
  };
  RmsNormType layerType = RMS_NORM_UNDEFINED;
  NormParam normParam;
  PreNormParam preNormParam;
  PostNormParam postNormParam;
  uint8_t rsv[8] = {0};
};

struct LayerNormParam {
  enum LayerNormType : int {
    LAYER_NORM_UNDEFINED = 0,
    LAYER_NORM_NORM,
    LAYER_NORM_PRENORM,
    LAYER_NORM_POSTNORM,
    LAYER_NORM_MAX
  };
  struct NormParam {
    QuantType quantType = QUANT_UNQUANT;
    float epsilon = 1e-5f;
    int32_t beginNormAxis = 0;
    int32_t beginParamsAxis = 0;
    DynamicQuantType dynamicQuantType = DYNAMIC_QUANT_UNDEFINED;
    uint8_t rsv[20] = {0};
  };
  struct PreNormParam {
    QuantType quantType = QUANT_UNQUANT;
    float epsilon = 1e-5f;
    uint64_t opMode = 0;
    float zoomScaleValue = 1.0f;
    uint8_t rsv[20] = {0};
  };
  struct PostNormParam {
    QuantType quantType = QUANT_UNQUANT;
    float epsilon = 1e-5f;
    uint64_t opMode = 0;
    float zoomScaleValue = 1.0f;
    uint8_t rsv[20] = {0};
  };
  LayerNormType layerType = LAYER_NORM_UNDEFINED;
  NormParam normParam;
  PreNormParam preNormParam;
  PostNormParam postNormParam;
  uint8_t rsv[8] = {0};
};

// Rotary embedding of query and key.
struct RopeParam {
  int32_t rotaryCoeff = 4;
  int32_t cosFormat = 0;
  uint8_t rsv[8] = {0};
};

// Attention of new tokens over a paged cache.
struct PagedAttentionParam {
  int32_t headNum = 0;
  float qkScale = 1.0;
  int32_t kvHeadNum = 0;
  enum MaskType : int {
    UNDEFINED = 0,
    MASK_TYPE_NORM,
    MASK_TYPE_ALIBI,
    MASK_TYPE_SPEC,
    MASK_TYPE_MASK_FREE,
    MASK_TYPE_NORM_COMPRESS
  };
  MaskType maskType = UNDEFINED;
  bool batchRunStatusEnable = false;
  enum QuantType : int {
    TYPE_QUANT_UNDEFINED = 0,
    TYPE_QUANT_UNQUANT = 0,
    TYPE_DEQUANT_FUSION = 1,
    TYPE_QUANT_QKV_OFFLINE = 2,
    TYPE_QUANT_QKV_ONLINE = 3
  };
  QuantType quantType = TYPE_QUANT_UNQUANT;
  aclDataType outDataType = ACL_DT_UNDEFINED;
  bool hasQuantOffset = false;
  enum CompressType : int {
    COMPRESS_TYPE_UNDEFINED = 0,
    COMPRESS_TYPE_KVHEAD,
    COMPRESS_TYPE_KVHEAD_ROPE,
    COMPRESS_TYPE_MAX
  };
  CompressType compressType = COMPRESS_TYPE_UNDEFINED;
  enum CalcType : int { CALC_TYPE_UNDEFINED = 0, CALC_TYPE_SPEC };
  CalcType calcType = CALC_TYPE_UNDEFINED;
  enum ScaleType : int { SCALE_TYPE_TOR = 0, SCALE_TYPE_LOGN, SCALE_TYPE_MAX };
  ScaleType scaleType = SCALE_TYPE_TOR;
  InputLayout inputLayout = TYPE_BSND;
  uint32_t mlaVHeadSize = 0;
  float qScale = 0;
  uint8_t rsv[64] = {0};
};

// Rows of key and value into the slots of a paged cache.
struct ReshapeAndCacheParam {
  enum CompressType : int { COMPRESS_TYPE_UNDEFINED = 0, COMPRESS_TYPE_KVHEAD, COMPRESS_TYPE_KVHEAD_ROPE };
  enum KvCacheCfg : int { K_CACHE_V_CACHE = 0, K_CACHE_V_BYPASS, K_CACHE_V_CACHE_NZ };
  CompressType compressType = COMPRESS_TYPE_UNDEFINED;
  KvCacheCfg kvCacheCfg = K_CACHE_V_CACHE;
  uint8_t rsv[16] = {0};
};

struct SelfAttentionParam {
  enum CalcType : int { UNDEFINED = 0, ENCODER, DECODER, PA_ENCODER, PREFIX_ENCODER };
  enum KernelType : int { KERNELTYPE_DEFAULT = 0, KERNELTYPE_HIGH_PRECISION, KERNELTYPE_EXP_M8V2 };
  enum ClampType : int { CLAMP_TYPE_UNDEFINED = 0, CLAMP_TYPE_MIN_MAX };
  enum MaskType : int {
    MASK_TYPE_UNDEFINED = 0,
    MASK_TYPE_NORM,
    MASK_TYPE_ALIBI,
    MASK_TYPE_NORM_COMPRESS,
    MASK_TYPE_ALIBI_COMPRESS,
    MASK_TYPE_ALIBI_COMPRESS_SQRT,
    MASK_TYPE_ALIBI_COMPRESS_LEFT_ALIGN,
    MASK_TYPE_SLIDING_WINDOW_NORM,
    MASK_TYPE_SLIDING_WINDOW_COMPRESS,
    MASK_TYPE_CAUSAL_MASK
  };
  enum KvCacheCfg : int { K_CACHE_V_CACHE = 0, K_BYPASS_V_BYPASS };
  enum ScaleType : int { SCALE_TYPE_TOR = 0, SCALE_TYPE_LOGN, SCALE_TYPE_MAX };
  enum QuantType : int {
    TYPE_QUANT_UNDEFINED = 0,
    TYPE_QUANT_UNQUANT = 0,
    TYPE_DEQUANT_FUSION = 1,
    TYPE_QUANT_QKV_OFFLINE = 2,
    TYPE_QUANT_QKV_ONLINE = 3
  };
  enum CacheType : int8_t { CACHE_TYPE_NORM = 0, CACHE_TYPE_SWA = 1 };
  QuantType quantType = TYPE_QUANT_UNQUANT;
  aclDataType outDataType = ACL_DT_UNDEFINED;
  int32_t headNum = 0;
  int32_t kvHeadNum = 0;
  float qScale = 1;
  float qkScale = 1;
  bool batchRunStatusEnable = false;
  uint32_t isTriuMask = 0;
  CalcType calcType = UNDEFINED;
  KernelType kernelType = KERNELTYPE_DEFAULT;
  ClampType clampType = CLAMP_TYPE_UNDEFINED;
  float clampMin = 0;
  float clampMax = 0;
  MaskType maskType = MASK_TYPE_UNDEFINED;
  KvCacheCfg kvcacheCfg = K_CACHE_V_CACHE;
  ScaleType scaleType = SCALE_TYPE_TOR;
  InputLayout inputLayout = TYPE_BSND;
  uint32_t mlaVHeadSize = 0;
  CacheType cacheType = CACHE_TYPE_NORM;
  uint32_t windowSize = 0;
  uint8_t rsv[64] = {0};
};

// out = combination of x over the ranks.
struct AllReduceParam {
  enum QuantType : int {
    QUANT_TYPE_UNQUANT = 0,
    QUANT_TYPE_UNDEFINED = 0,
    QUANT_TYPE_PER_TENSOR = 1,
    QUANT_TYPE_PER_CHANNEL = 2,
    QUANT_TYPE_MAX = 3
  };
  int rank = 0;
  int rankSize = 0;
  int rankRoot = 0;
  std::string allReduceType = "sum";
  std::string backend = "hccl";
  HcclComm hcclComm = nullptr;
  CommMode commMode = COMM_MULTI_PROCESS;
  std::string rankTableFile;
  std::string commDomain;
  QuantType quantType = QUANT_TYPE_UNQUANT;
  aclDataType outDataType = ACL_DT_UNDEFINED;
  uint8_t rsv[64] = {0};
};

// out[r] = x of rank r.
struct AllGatherParam {
  int rank = 0;
  int rankSize = 0;
  int rankRoot = 0;
  std::string backend = "hccl";
  HcclComm hcclComm = nullptr;
  CommMode commMode = COMM_MULTI_PROCESS;
  std::string rankTableFile;
  std::string commDomain;
  uint8_t rsv[64] = {0};
};

// Part r of out = x of rank r; counts and displacements (elements) from the hostData of inputs 1 to 3.
struct AllGatherVParam {
  int rank = -1;
  int rankSize = 0;
  int rankRoot = 0;
  std::string backend = "hccl";
  HcclComm hcclComm = nullptr;
  CommMode commMode = COMM_MULTI_PROCESS;
  std::string rankTableFile;
  std::string commDomain;
  uint8_t rsv[64] = {0};
};

// x of rankRoot into x of every rank; no output.
struct BroadcastParam {
  int rank = 0;
  int rankSize = 0;
  int rankRoot = 0;
  HcclComm hcclComm = nullptr;
  CommMode commMode = COMM_MULTI_PROCESS;
  std::string backend = "hccl";
  std::string rankTableFile;
  std::string commDomain;
  uint8_t rsv[64] = {0};
};

// Block r of x, combined over the ranks, to rank r.
struct ReduceScatterParam {
  int rank = 0;
  int rankSize = 0;
  int rankRoot = 0;
  std::string reduceType = "sum";
  HcclComm hcclComm = nullptr;
  CommMode commMode = COMM_MULTI_PROCESS;
  std::string backend = "lccl";
  std::string rankTableFile;
  std::string commDomain;
  uint8_t rsv[64] = {0};
};

// Part r of x, combined over the ranks, to rank r. Counts and displacements come from the hostData of inputs 1 to 3;
// the members stand in where that is null. Rows when the counts add up to x.dim0, elements when to x.dim0 * x.dim1.
struct ReduceScatterVParam {
  int rank = 0;
  int rankSize = 0;
  int rankRoot = 0;
  std::vector<int64_t> sendCounts;
  std::vector<int64_t> sdispls;
  std::int64_t recvCount = 0;
  std::string reduceType = "sum";
  HcclComm hcclComm = nullptr;
  CommMode commMode = COMM_MULTI_PROCESS;
  std::string backend = "hccl";
  std::string rankTableFile;
  std::string commDomain;
  uint8_t rsv[64] = {0};
};

struct SendParam {
  int rank = 0;
  int rankSize = 0;
  int rankRoot = 0;
  uint32_t destRank = 1;
  std::string backend = "hccl";
  HcclComm hcclComm = nullptr;
  CommMode commMode = COMM_MULTI_PROCESS;
  std::string rankTableFile;
  std::string commDomain;
  uint8_t rsv[64] = {0};
};

struct RecvParam {
  int rank = 0;
  int rankSize = 0;
  int rankRoot = 0;
  uint32_t srcRank = 1;
  std::string backend = "hccl";
  HcclComm hcclComm = nullptr;
  CommMode commMode = COMM_MULTI_PROCESS;
  std::string rankTableFile;
  std::string commDomain;
  uint8_t rsv[64] = {0};
};

struct AllToAllParam {
  int rank = 0;
  int rankSize = 0;
  int rankRoot = 0;
  std::string backend = "hccl";
  HcclComm hcclComm = nullptr;
  CommMode commMode = COMM_MULTI_PROCESS;
  std::string rankTableFile;
  std::string commDomain;
  bool transpose = false;
  uint8_t rsv[62] = {0};
};

struct AllToAllVParam {
  int rank = 0;
  int rankSize = 0;
  int rankRoot = 0;
  std::vector<int64_t> sendCounts;
  std::vector<int64_t> sdispls;
  std::vector<int64_t> recvCounts;
  std::vector<int64_t> rdispls;
  std::string backend = "hccl";
  HcclComm hcclComm = nullptr;
  CommMode commMode = COMM_MULTI_PROCESS;
  std::string rankTableFile;
  std::string commDomain;
  uint8_t rsv[64] = {0};
};

struct AllToAllVV2Param {
  int rank = -1;
  int rankSize = 0;
  int rankRoot = 0;
  std::string backend = "hccl";
  HcclComm hcclComm = nullptr;
  CommMode commMode = COMM_MULTI_PROCESS;
  std::string rankTableFile;
  std::string commDomain;
  uint8_t rsv[64] = {0};
};

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

struct SoftmaxParam {
  SVector<int64_t> axes;
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

struct CumsumParam {
  SVector<int64_t> axes;
  bool exclusive = false;
  bool reverse = false;
  uint8_t rsv[14] = {0};
};

struct KvCacheParam {
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

struct GroupedMatmulWithRoutingParam {
  enum GroupedMatmulType : int { GROUPED_MATMUL_UP = 0, GROUPED_MATMUL_DOWN };
  bool transposeB = true;
  int32_t topK = 0;
  GroupedMatmulType groupedMatmulType = GROUPED_MATMUL_UP;
  aclDataType outDataType = ACL_DT_UNDEFINED;
  uint8_t rsv[16] = {0};
};

struct SwigluQuantParam {
  enum QuantType : int { QUANT_TYPE_PER_TOKEN = 0 };
  QuantType quantType = QUANT_TYPE_PER_TOKEN;
  uint8_t rsv[8] = {0};
};

struct FusedAddTopkDivParam {
  uint32_t groupNum = 1;
  uint32_t groupTopk = 1;
  uint32_t n = 1;
  uint32_t k = 1;
  ActivationType activationType = ACTIVATION_SIGMOID;
  bool isNorm = true;
  float scale = 1.0f;
  bool enableExpertMapping = false;
  uint8_t rsv[27] = {0};
};

struct FaUpdateParam {
  enum FaUpdateType { DECODE_UPDATE = 0 };
  FaUpdateType faUpdateType = DECODE_UPDATE;
  uint32_t sp = 1;
  uint8_t rsv[64] = {0};
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

struct ReduceParam {
  enum ReduceType { REDUCE_UNDEFINED = 0, REDUCE_MAX, REDUCE_MIN, REDUCE_SUM };
  ReduceType reduceType = REDUCE_UNDEFINED;
  SVector<int64_t> axis;
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

inline bool operator==(const AllGatherVParam& left, const AllGatherVParam& right) {
  return left.rank == right.rank && left.rankSize == right.rankSize && left.rankRoot == right.rankRoot &&
         left.hcclComm == right.hcclComm && left.commMode == right.commMode && left.backend == right.backend &&
         left.rankTableFile == right.rankTableFile && left.commDomain == right.commDomain;
}

inline bool operator==(const AllToAllVV2Param& left, const AllToAllVV2Param& right) {
  return left.rank == right.rank && left.rankSize == right.rankSize && left.rankRoot == right.rankRoot &&
         left.hcclComm == right.hcclComm && left.commMode == right.commMode && left.backend == right.backend &&
         left.rankTableFile == right.rankTableFile && left.commDomain == right.commDomain;
}

inline bool operator==(const ReduceScatterVParam& left, const ReduceScatterVParam& right) {
  return left.rank == right.rank && left.rankSize == right.rankSize && left.rankRoot == right.rankRoot &&
         left.sendCounts == right.sendCounts && left.sdispls == right.sdispls && left.recvCount == right.recvCount &&
         left.reduceType == right.reduceType && left.hcclComm == right.hcclComm && left.commMode == right.commMode &&
         left.backend == right.backend && left.rankTableFile == right.rankTableFile &&
         left.commDomain == right.commDomain;
}

inline bool operator==(const RopeParam& left, const RopeParam& right) {
  return left.rotaryCoeff == right.rotaryCoeff && left.cosFormat == right.cosFormat;
}

inline bool operator==(const TopkToppSamplingParam& left, const TopkToppSamplingParam& right) {
  return left.topkToppSamplingType == right.topkToppSamplingType && left.randSeeds == right.randSeeds &&
         left.randSeed == right.randSeed && left.topk == right.topk && left.logProbsSize == right.logProbsSize;
}

inline bool operator==(const SortParam& left, const SortParam& right) { return left.num == right.num; }

}  // namespace infer
}  // namespace atb
#pragma GCC visibility pop
