// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <string_view>
#include <utility>

#include "front/hccl/comm.h"
#include "tandem/comm/collectives.h"

// HCCL's element types and reductions as ours, and what every call refuses.
namespace tandem::front {

inline constexpr uint64_t kMostElements = uint64_t{1} << 48;

// --- types

// HCCL's element as `factor` of ours; factor 0: no element of HCCL's.
struct Element {
  DType type = DType::none;
  int64_t factor = 0;
  bool reducible = false;
};

inline Element element_of(HcclDataType type) {
  switch (type) {
    case HCCL_DATA_TYPE_INT8: return {DType::i8, 1, true};
    case HCCL_DATA_TYPE_INT16: return {DType::i16, 1, true};
    case HCCL_DATA_TYPE_INT32: return {DType::i32, 1, true};
    case HCCL_DATA_TYPE_INT64: return {DType::i64, 1, true};
    case HCCL_DATA_TYPE_UINT8: return {DType::u8, 1, false};
    case HCCL_DATA_TYPE_UINT16: return {DType::u16, 1, false};
    case HCCL_DATA_TYPE_UINT32: return {DType::u32, 1, false};
    case HCCL_DATA_TYPE_UINT64: return {DType::u64, 1, true};
    case HCCL_DATA_TYPE_FP16: return {DType::f16, 1, true};
    case HCCL_DATA_TYPE_BFP16: return {DType::bf16, 1, true};
    case HCCL_DATA_TYPE_FP32: return {DType::f32, 1, true};
    case HCCL_DATA_TYPE_FP64: return {DType::f64, 1, true};
    case HCCL_DATA_TYPE_INT128: return {DType::u64, 2, false};
    case HCCL_DATA_TYPE_HIF8:
    case HCCL_DATA_TYPE_FP8E4M3:
    case HCCL_DATA_TYPE_FP8E5M2:
    case HCCL_DATA_TYPE_FP8E8M0: return {DType::u8, 1, false};
    default: return {};
  }
}

inline constexpr int kOperations = 4;
inline constexpr std::array<Combine, kOperations> kCombines = {Combine::sum, Combine::product, Combine::maximum,
                                                               Combine::minimum};

// --- checks: the first one that fails decides and leaves its text

class Checks {
 public:
  explicit Checks(std::string_view call) : call_(call) {}
  HcclResult code() const { return code_; }

  Checks& count(uint64_t count) {
    return require(count <= kMostElements, HCCL_E_PARA, "count {}, 0 to 2^48 wanted", count);
  }
  Checks& type(HcclDataType type) {
    return require(element_of(type).factor > 0, HCCL_E_PARA, "data type {}, one of HcclDataType wanted",
                   static_cast<int>(type));
  }
  // One element type on both sides of an all-to-all.
  Checks& types(HcclDataType sent, HcclDataType received) {
    return require(sent == received, HCCL_E_PARA, "sendType {} and recvType {}, one type wanted",
                   static_cast<int>(sent), static_cast<int>(received))
        .type(sent);
  }
  Checks& reduction(HcclDataType data, HcclReduceOp op) {
    const auto index = static_cast<uint32_t>(op);
    const bool no_product = data == HCCL_DATA_TYPE_INT16 || data == HCCL_DATA_TYPE_BFP16;
    return type(data)
        .require(index < kOperations, HCCL_E_PARA, "reduction {}, 0 to 3 wanted", index)
        .require(element_of(data).reducible && !(op == HCCL_REDUCE_PROD && no_product), HCCL_E_NOT_SUPPORT,
                 "data type {} with reduction {} is not supported", static_cast<int>(data), index);
  }
  Checks& rank(uint32_t rank, const Communicator& comm) {
    return require(rank < static_cast<uint32_t>(comm.size()), HCCL_E_PARA, "rank {}, 0 to {} wanted", rank,
                   comm.size() - 1);
  }
  Checks& peer(uint32_t peer, const Communicator& comm) {
    return rank(peer, comm)
        .require(peer != static_cast<uint32_t>(comm.rank()), HCCL_E_PARA,
                 "rank {} is this rank itself, another one wanted", peer);
  }
  Checks& address(std::string_view what, const void* address, uint64_t count) {
    return require(address != nullptr || count == 0, HCCL_E_PTR, "{} is null, {} elements wanted", what, count);
  }
  Checks& apart(const void* sent, const void* received) {
    return require(sent == nullptr || sent != received, HCCL_E_PARA,
                   "sendBuf is recvBuf at {}, different buffers wanted", sent);
  }
  Checks& equal(std::string_view what, uint64_t given, uint64_t wanted) {
    return require(given == wanted, HCCL_E_PARA, "{} {}, {} wanted", what, given, wanted);
  }

  template <class... Args>
  Checks& require(bool holds, HcclResult code, fmt::format_string<Args...> format, Args&&... args) {
    if (code_ != HCCL_SUCCESS || holds) return *this;
    code_ = refuse(code, "{}: {}", call_, fmt::format(format, std::forward<Args>(args)...));
    return *this;
  }

 private:
  std::string_view call_;
  HcclResult code_ = HCCL_SUCCESS;
};

}  // namespace tandem::front
