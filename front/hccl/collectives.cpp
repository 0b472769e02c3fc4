// SPDX-License-Identifier: Apache-2.0
#include "tandem/comm/collectives.h"

#include <algorithm>
#include <functional>
#include <span>
#include <vector>

#include "front/acl/runtime.h"
#include "front/hccl/checks.h"
#include "front/hccl/comm.h"
#include "front/hccl/enqueued.h"
#include "front/hccl/group.h"
#include "hccl/hccl.h"
#include "tandem/ops/plan.h"

// HCCL's collectives: checks at the call, work on the stream, errors at synchronisation.
namespace tandem::front {
namespace {

using SharedComm = std::shared_ptr<Communicator>;
using Work = std::function<Status(Communicator&, Lane&)>;

HcclResult enqueue(std::string_view call, const SharedComm& comm, aclrtStream stream, Work work) {
  const auto target = stream_of(stream);
  if (!target) return refuse(HCCL_E_PARA, "{}: {}", call, target.error().message);
  if ((*target)->device != comm->device()) {
    return refuse(HCCL_E_PARA, "{}: stream of device {}, one of device {} wanted (the communicator's)", call,
                  (*target)->device, comm->device());
  }
  const auto body = std::make_shared<Enqueued>();
  body->comm = comm;
  body->call = call;
  body->work = std::move(work);
  const Status status = Plan(body).run({}, *(*target)->queue);
  return status ? HCCL_SUCCESS : refuse(status.error());
}

// Counts or displacements as programs pass them: int64_t or uint64_t on the host, copied before the call returns.
std::vector<int64_t> copy_numbers(const void* numbers, size_t count, const Element& element) {
  const auto* first = static_cast<const int64_t*>(numbers);
  std::vector<int64_t> copy(first, first + count);
  // A number out of range stays out of range.
  for (int64_t& number : copy) {
    if (number >= 0 && number <= static_cast<int64_t>(kMostElements)) number *= element.factor;
  }
  return copy;
}

struct OwnParts {
  std::vector<int64_t> counts, displacements;
  Parts view() const { return {counts, displacements}; }
  bool in_range() const;
  // The element behind the last one that is used.
  uint64_t extent() const;
};

bool OwnParts::in_range() const {
  const auto fits = [](int64_t number) { return static_cast<uint64_t>(number) <= kMostElements; };
  return std::ranges::all_of(counts, fits) && std::ranges::all_of(displacements, fits);
}

uint64_t OwnParts::extent() const {
  int64_t end = 0;
  for (size_t rank = 0; rank < counts.size(); ++rank) {
    if (counts[rank] > 0) end = std::max(end, counts[rank] + displacements[rank]);
  }
  return static_cast<uint64_t>(end);
}

// Parts that a buffer has to hold.
void check_parts(Checks& checks, const OwnParts& parts, std::string_view what, const void* data) {
  checks.require(parts.in_range(), HCCL_E_PARA, "a count or displacement below 0 or above 2^48")
      .require(!parts.in_range() || data != nullptr || parts.extent() == 0, HCCL_E_PTR,
               "{} is null, memory of all parts wanted", what);
}

// What every call comes with.
struct Call {
  std::string_view name;
  HcclComm handle;
  aclrtStream stream;

  template <class Body>
  HcclResult on_comm(bool arguments, Body&& body) const {
    return with_handle(name, handle, arguments && stream != nullptr, [&](const std::shared_ptr<CommHandle>& found) {
      if (!found->suspended) return body(found->comm);
      return refuse(HCCL_E_SUSPENDING, "{}: the communicator is suspended, HcclCommResume before it wanted", name);
    });
  }
};

// --- calls

HcclResult reduce_all(const Call& call, void* send, void* receive, uint64_t count, HcclDataType type, HcclReduceOp op) {
  return call.on_comm(true, [&](const SharedComm& comm) {
    const auto code = Checks(call.name)
                          .reduction(type, op)
                          .count(count)
                          .address("sendBuf", send, count)
                          .address("recvBuf", receive, count)
                          .code();
    if (code != HCCL_SUCCESS) return code;
    return enqueue(call.name, comm, call.stream, [=](Communicator& c, Lane& lane) {
      return all_reduce(c, send, receive, static_cast<int64_t>(count), element_of(type).type, kCombines[op], lane);
    });
  });
}

HcclResult reduce_to(const Call& call, void* send, void* receive, uint64_t count, HcclDataType type, HcclReduceOp op,
                     uint32_t root) {
  return call.on_comm(true, [&](const SharedComm& comm) {
    const bool takes = static_cast<uint32_t>(comm->rank()) == root;
    const auto code = Checks(call.name)
                          .reduction(type, op)
                          .count(count)
                          .rank(root, *comm)
                          .address("sendBuf", send, count)
                          .address("recvBuf", receive, takes ? count : 0)
                          .code();
    if (code != HCCL_SUCCESS) return code;
    return enqueue(call.name, comm, call.stream, [=](Communicator& c, Lane& lane) {
      return reduce(c, send, receive, static_cast<int64_t>(count), element_of(type).type, kCombines[op],
                    static_cast<int>(root), lane);
    });
  });
}

HcclResult scatter_reduced(const Call& call, void* send, void* receive, uint64_t count, HcclDataType type,
                           HcclReduceOp op) {
  return call.on_comm(true, [&](const SharedComm& comm) {
    const auto code = Checks(call.name)
                          .reduction(type, op)
                          .count(count)
                          .address("sendBuf", send, count)
                          .address("recvBuf", receive, count)
                          .code();
    if (code != HCCL_SUCCESS) return code;
    return enqueue(call.name, comm, call.stream, [=](Communicator& c, Lane& lane) {
      return reduce_scatter(c, send, receive, static_cast<int64_t>(count), element_of(type).type, kCombines[op], lane);
    });
  });
}

HcclResult scatter_parts(const Call& call, void* send, const void* counts, const void* displacements, void* receive,
                         uint64_t count, HcclDataType type, HcclReduceOp op) {
  const bool given = counts != nullptr && displacements != nullptr;
  return call.on_comm(given, [&](const SharedComm& comm) {
    Checks checks(call.name);
    checks.reduction(type, op).count(count).address("recvBuf", receive, count).apart(send, receive);
    if (checks.code() != HCCL_SUCCESS) return checks.code();
    const auto size = static_cast<size_t>(comm->size());
    const Element element = element_of(type);
    OwnParts parts{copy_numbers(counts, size, element), copy_numbers(displacements, size, element)};
    check_parts(checks, parts, "sendBuf", send);
    checks.equal("recvCount", count, static_cast<uint64_t>(parts.counts[static_cast<size_t>(comm->rank())]));
    if (checks.code() != HCCL_SUCCESS) return checks.code();
    return enqueue(call.name, comm, call.stream, [=, parts = std::move(parts)](Communicator& c, Lane& lane) {
      return reduce_scatter_v(c, send, parts.view(), receive, element.type, kCombines[op], lane);
    });
  });
}

HcclResult gather_all(const Call& call, void* send, void* receive, uint64_t count, HcclDataType type) {
  return call.on_comm(true, [&](const SharedComm& comm) {
    const auto code = Checks(call.name)
                          .type(type)
                          .count(count)
                          .address("sendBuf", send, count)
                          .address("recvBuf", receive, count)
                          .code();
    if (code != HCCL_SUCCESS) return code;
    const Element element = element_of(type);
    return enqueue(call.name, comm, call.stream, [=](Communicator& c, Lane& lane) {
      return all_gather(c, send, receive, static_cast<int64_t>(count) * element.factor, element.type, lane);
    });
  });
}

HcclResult gather_parts(const Call& call, void* send, uint64_t count, void* receive, const void* counts,
                        const void* displacements, HcclDataType type) {
  const bool given = counts != nullptr && displacements != nullptr;
  return call.on_comm(given, [&](const SharedComm& comm) {
    Checks checks(call.name);
    checks.type(type).count(count).address("sendBuf", send, count);
    if (checks.code() != HCCL_SUCCESS) return checks.code();
    const auto size = static_cast<size_t>(comm->size());
    const Element element = element_of(type);
    OwnParts parts{copy_numbers(counts, size, element), copy_numbers(displacements, size, element)};
    check_parts(checks, parts, "recvBuf", receive);
    const auto own = static_cast<uint64_t>(parts.counts[static_cast<size_t>(comm->rank())]);
    checks.equal("sendCount", count, own / static_cast<uint64_t>(element.factor));
    if (checks.code() != HCCL_SUCCESS) return checks.code();
    return enqueue(call.name, comm, call.stream, [=, parts = std::move(parts)](Communicator& c, Lane& lane) {
      return all_gather_v(c, send, receive, parts.view(), element.type, lane);
    });
  });
}

HcclResult broadcast_from(const Call& call, void* data, uint64_t count, HcclDataType type, uint32_t root) {
  return call.on_comm(true, [&](const SharedComm& comm) {
    const auto code = Checks(call.name).type(type).count(count).rank(root, *comm).address("buf", data, count).code();
    if (code != HCCL_SUCCESS) return code;
    const Element element = element_of(type);
    return enqueue(call.name, comm, call.stream, [=](Communicator& c, Lane& lane) {
      return broadcast(c, data, static_cast<int64_t>(count) * element.factor, element.type, static_cast<int>(root),
                       lane);
    });
  });
}

HcclResult scatter_from(const Call& call, void* send, void* receive, uint64_t count, HcclDataType type, uint32_t root) {
  return call.on_comm(true, [&](const SharedComm& comm) {
    const bool gives = static_cast<uint32_t>(comm->rank()) == root;
    const auto code = Checks(call.name)
                          .type(type)
                          .count(count)
                          .rank(root, *comm)
                          .address("sendBuf", send, gives ? count : 0)
                          .address("recvBuf", receive, count)
                          .code();
    if (code != HCCL_SUCCESS) return code;
    const Element element = element_of(type);
    return enqueue(call.name, comm, call.stream, [=](Communicator& c, Lane& lane) {
      return scatter(c, send, receive, static_cast<int64_t>(count) * element.factor, element.type,
                     static_cast<int>(root), lane);
    });
  });
}

HcclResult exchange_even(const Call& call, const void* send, uint64_t send_count, HcclDataType send_type,
                         const void* receive, uint64_t receive_count, HcclDataType receive_type) {
  return call.on_comm(true, [&](const SharedComm& comm) {
    const auto code = Checks(call.name)
                          .types(send_type, receive_type)
                          .count(send_count)
                          .address("sendBuf", send, send_count)
                          .address("recvBuf", receive, receive_count)
                          .apart(send, receive)
                          .equal("recvCount", receive_count, send_count)
                          .code();
    if (code != HCCL_SUCCESS) return code;
    const Element element = element_of(send_type);
    return enqueue(call.name, comm, call.stream, [=](Communicator& c, Lane& lane) {
      return all_to_all(c, send, const_cast<void*>(receive), static_cast<int64_t>(send_count) * element.factor,
                        element.type, lane);
    });
  });
}

struct PartsArguments {
  const void* data;
  const void* counts;
  const void* displacements;
  HcclDataType type;
};

HcclResult exchange_parts(const Call& call, const PartsArguments& send, const PartsArguments& receive) {
  const bool given = send.counts != nullptr && send.displacements != nullptr && receive.counts != nullptr &&
                     receive.displacements != nullptr;
  return call.on_comm(given, [&](const SharedComm& comm) {
    Checks checks(call.name);
    checks.types(send.type, receive.type).apart(send.data, receive.data);
    if (checks.code() != HCCL_SUCCESS) return checks.code();
    const auto size = static_cast<size_t>(comm->size()), own = static_cast<size_t>(comm->rank());
    const Element element = element_of(send.type);
    OwnParts out{copy_numbers(send.counts, size, element), copy_numbers(send.displacements, size, element)};
    OwnParts in{copy_numbers(receive.counts, size, element), copy_numbers(receive.displacements, size, element)};
    check_parts(checks, out, "sendBuf", send.data);
    check_parts(checks, in, "recvBuf", receive.data);
    checks.equal("sendCounts of this rank to itself", static_cast<uint64_t>(out.counts[own]),
                 static_cast<uint64_t>(in.counts[own]));
    if (checks.code() != HCCL_SUCCESS) return checks.code();
    const void* from = send.data;
    void* to = const_cast<void*>(receive.data);
    return enqueue(call.name, comm, call.stream,
                   [=, out = std::move(out), in = std::move(in)](Communicator& c, Lane& lane) {
                     return all_to_all_v(c, from, out.view(), to, in.view(), element.type, lane);
                   });
  });
}

HcclResult exchange_matrix(const Call& call, const void* send, const void* matrix, HcclDataType send_type,
                           const void* receive, HcclDataType receive_type) {
  return call.on_comm(matrix != nullptr, [&](const SharedComm& comm) {
    Checks checks(call.name);
    checks.types(send_type, receive_type).apart(send, receive);
    if (checks.code() != HCCL_SUCCESS) return checks.code();
    const auto size = static_cast<size_t>(comm->size()), own = static_cast<size_t>(comm->rank());
    const Element element = element_of(send_type);
    std::vector<int64_t> counts = copy_numbers(matrix, size * size, element);
    for (const int64_t count : counts) checks.count(static_cast<uint64_t>(count));
    uint64_t sent = 0, received = 0;
    for (size_t peer = 0; peer < size; ++peer) {
      sent += static_cast<uint64_t>(counts[own * size + peer]);
      received += static_cast<uint64_t>(counts[peer * size + own]);
    }
    checks.address("sendBuf", send, sent).address("recvBuf", receive, received);
    if (checks.code() != HCCL_SUCCESS) return checks.code();
    return enqueue(call.name, comm, call.stream, [=, counts = std::move(counts)](Communicator& c, Lane& lane) {
      return all_to_all_vc(c, send, const_cast<void*>(receive), counts, element.type, lane);
    });
  });
}

HcclResult message(const Call& call, bool sends, void* data, uint64_t count, HcclDataType type, uint32_t peer) {
  return call.on_comm(true, [&](const SharedComm& comm) {
    const auto code = Checks(call.name).type(type).count(count).peer(peer, *comm).address("buf", data, count).code();
    if (code != HCCL_SUCCESS) return code;
    const Element element = element_of(type);
    const auto elements = static_cast<int64_t>(count) * element.factor;
    return enqueue(call.name, comm, call.stream, [=](Communicator& c, Lane& lane) {
      const auto rank = static_cast<int>(peer);
      return sends ? send(c, data, elements, element.type, rank, lane)
                   : recv(c, data, elements, element.type, rank, lane);
    });
  });
}

HcclResult check_item(std::string_view call, const HcclSendRecvItem& item, const Communicator& comm) {
  return Checks(call)
      .require(item.sendRecvType == HCCL_SEND || item.sendRecvType == HCCL_RECV, HCCL_E_PARA,
               "sendRecvType {}, HCCL_SEND or HCCL_RECV wanted", static_cast<int>(item.sendRecvType))
      .type(item.dataType)
      .count(item.count)
      .rank(item.remoteRank, comm)
      .address("buf", item.buf, item.count)
      .code();
}

HcclResult messages(const Call& call, const HcclSendRecvItem* items, uint32_t count) {
  return call.on_comm(items != nullptr || count == 0, [&](const SharedComm& comm) {
    std::vector<Message> list;
    for (const HcclSendRecvItem& item : std::span(items, count)) {
      if (const auto code = check_item(call.name, item, *comm); code != HCCL_SUCCESS) return code;
      const Element element = element_of(item.dataType);
      const auto kind = item.sendRecvType == HCCL_SEND ? Message::Kind::send : Message::Kind::receive;
      list.push_back({kind, item.buf, static_cast<int64_t>(item.count) * element.factor, element.type,
                      static_cast<int>(item.remoteRank)});
    }
    return enqueue(call.name, comm, call.stream,
                   [list = std::move(list)](Communicator& c, Lane& lane) { return batch_send_recv(c, list, lane); });
  });
}

}  // namespace
}  // namespace tandem::front

namespace front = tandem::front;

extern "C" {

HcclResult HcclBarrier(HcclComm comm, aclrtStream stream) {
  const front::Call call{"HcclBarrier", comm, stream};
  return call.on_comm(
      true, [&](const front::SharedComm& found) { return front::enqueue(call.name, found, stream, tandem::barrier); });
}

HcclResult HcclAllReduce(void* sendBuf, void* recvBuf, uint64_t count, HcclDataType dataType, HcclReduceOp op,
                         HcclComm comm, aclrtStream stream) {
  return front::reduce_all({"HcclAllReduce", comm, stream}, sendBuf, recvBuf, count, dataType, op);
}

HcclResult HcclBroadcast(void* buf, uint64_t count, HcclDataType dataType, uint32_t root, HcclComm comm,
                         aclrtStream stream) {
  return front::broadcast_from({"HcclBroadcast", comm, stream}, buf, count, dataType, root);
}

HcclResult HcclReduce(void* sendBuf, void* recvBuf, uint64_t count, HcclDataType dataType, HcclReduceOp op,
                      uint32_t root, HcclComm comm, aclrtStream stream) {
  return front::reduce_to({"HcclReduce", comm, stream}, sendBuf, recvBuf, count, dataType, op, root);
}

HcclResult HcclReduceScatter(void* sendBuf, void* recvBuf, uint64_t recvCount, HcclDataType dataType, HcclReduceOp op,
                             HcclComm comm, aclrtStream stream) {
  return front::scatter_reduced({"HcclReduceScatter", comm, stream}, sendBuf, recvBuf, recvCount, dataType, op);
}

HcclResult HcclReduceScatterV(void* sendBuf, const void* sendCounts, const void* sendDispls, void* recvBuf,
                              uint64_t recvCount, HcclDataType dataType, HcclReduceOp op, HcclComm comm,
                              aclrtStream stream) {
  return front::scatter_parts({"HcclReduceScatterV", comm, stream}, sendBuf, sendCounts, sendDispls, recvBuf, recvCount,
                              dataType, op);
}

HcclResult HcclAllGather(void* sendBuf, void* recvBuf, uint64_t sendCount, HcclDataType dataType, HcclComm comm,
                         aclrtStream stream) {
  return front::gather_all({"HcclAllGather", comm, stream}, sendBuf, recvBuf, sendCount, dataType);
}

HcclResult HcclAllGatherV(void* sendBuf, uint64_t sendCount, void* recvBuf, const void* recvCounts,
                          const void* recvDispls, HcclDataType dataType, HcclComm comm, aclrtStream stream) {
  return front::gather_parts({"HcclAllGatherV", comm, stream}, sendBuf, sendCount, recvBuf, recvCounts, recvDispls,
                             dataType);
}

HcclResult HcclScatter(void* sendBuf, void* recvBuf, uint64_t recvCount, HcclDataType dataType, uint32_t root,
                       HcclComm comm, aclrtStream stream) {
  return front::scatter_from({"HcclScatter", comm, stream}, sendBuf, recvBuf, recvCount, dataType, root);
}

HcclResult HcclAlltoAll(const void* sendBuf, uint64_t sendCount, HcclDataType sendType, const void* recvBuf,
                        uint64_t recvCount, HcclDataType recvType, HcclComm comm, aclrtStream stream) {
  return front::exchange_even({"HcclAlltoAll", comm, stream}, sendBuf, sendCount, sendType, recvBuf, recvCount,
                              recvType);
}

HcclResult HcclAlltoAllV(const void* sendBuf, const void* sendCounts, const void* sdispls, HcclDataType sendType,
                         const void* recvBuf, const void* recvCounts, const void* rdispls, HcclDataType recvType,
                         HcclComm comm, aclrtStream stream) {
  return front::exchange_parts({"HcclAlltoAllV", comm, stream}, {sendBuf, sendCounts, sdispls, sendType},
                               {recvBuf, recvCounts, rdispls, recvType});
}

HcclResult HcclAlltoAllVC(const void* sendBuf, const void* sendCountMatrix, HcclDataType sendType, const void* recvBuf,
                          HcclDataType recvType, HcclComm comm, aclrtStream stream) {
  return front::exchange_matrix({"HcclAlltoAllVC", comm, stream}, sendBuf, sendCountMatrix, sendType, recvBuf,
                                recvType);
}

HcclResult HcclSend(void* sendBuf, uint64_t count, HcclDataType dataType, uint32_t destRank, HcclComm comm,
                    aclrtStream stream) {
  if (front::in_group()) return front::defer({HCCL_SEND, sendBuf, count, dataType, destRank}, comm, stream);
  return front::message({"HcclSend", comm, stream}, true, sendBuf, count, dataType, destRank);
}

HcclResult HcclRecv(void* recvBuf, uint64_t count, HcclDataType dataType, uint32_t srcRank, HcclComm comm,
                    aclrtStream stream) {
  if (front::in_group()) return front::defer({HCCL_RECV, recvBuf, count, dataType, srcRank}, comm, stream);
  return front::message({"HcclRecv", comm, stream}, false, recvBuf, count, dataType, srcRank);
}

HcclResult HcclBatchSendRecv(HcclSendRecvItem* sendRecvInfo, uint32_t itemNum, HcclComm comm, aclrtStream stream) {
  return front::messages({"HcclBatchSendRecv", comm, stream}, sendRecvInfo, itemNum);
}

}  // extern "C"
