// SPDX-License-Identifier: Apache-2.0
#include "front/atb/graph.h"

#include <algorithm>
#include <memory>
#include <set>

#include "acl/acl.h"

namespace tandem::atbfront {
namespace {

constexpr size_t kAlignment = 512;
constexpr uint32_t kMostTensors = 1 << 16;
size_t padded(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

tl::unexpected<Refusal> node_refused(size_t node, const atb::Operation& operation, int code) {
  const char* text = aclGetRecentErrMsg();
  return refuse(code, "node {} ({}): {}", node, operation.GetName(), text == nullptr ? "no reason given" : text);
}

// Every tensor a node reads has a value by then: an input of the graph, or the result of a node before it.
Outcome<> check_node(const atb::Node& node, size_t index, std::vector<bool>& written) {
  if (node.operation == nullptr) return refuse(atb::ERROR_INVALID_GRAPH, "node {} has no operation", index);
  const uint32_t inputs = node.operation->GetInputNum(), outputs = node.operation->GetOutputNum();
  if (node.inTensorIds.size() != inputs || node.outTensorIds.size() != outputs)
    return refuse(atb::ERROR_INVALID_GRAPH, "node {} has {} inputs and {} outputs, {} and {} wanted", index,
                  node.inTensorIds.size(), node.outTensorIds.size(), inputs, outputs);
  for (const auto* ids : {&node.inTensorIds, &node.outTensorIds}) {
    for (const uint32_t id : *ids) {
      if (id >= written.size())
        return refuse(atb::ERROR_INVALID_GRAPH, "node {} names tensor {}, below {} wanted", index, id, written.size());
      if (ids == &node.inTensorIds && !written[id])
        return refuse(atb::ERROR_INVALID_GRAPH, "node {} reads tensor {} before a node wrote it", index, id);
    }
  }
  for (const uint32_t id : node.outTensorIds) written[id] = true;
  const size_t views = node.inTensorReshapeFuncs.size(), chunks = node.inTensorChunks.size();
  if ((views != 0 && views != inputs) || (chunks != 0 && chunks != inputs))
    return refuse(atb::ERROR_INVALID_GRAPH, "node {} has {} reshape functions and {} chunks, none or {} wanted", index,
                  views, chunks, inputs);
  for (const atb::Chunk& chunk : node.inTensorChunks) {
    if (chunk.chunkNum == 0 || chunk.chunkIndex >= chunk.chunkNum)
      return refuse(atb::ERROR_INVALID_GRAPH_NODE_CHUNK, "node {} takes chunk {} of {}", index, chunk.chunkIndex,
                    chunk.chunkNum);
  }
  return {};
}

Outcome<> check_graph(const atb::GraphParam& param) {
  std::set<const atb::Operation*> seen;
  for (const atb::Node& node : param.nodes) {
    if (node.operation != nullptr && !seen.insert(node.operation).second)
      return refuse(atb::ERROR_INVALID_GRAPH, "an operation ({}) stands in two nodes, one of its own for each wanted",
                    node.operation->GetName());
  }
  const auto count = uint64_t{param.inTensorNum} + param.outTensorNum + param.internalTensorNum;
  if (param.nodes.empty() || count > kMostTensors)
    return refuse(atb::ERROR_INVALID_GRAPH, "{} nodes and {} tensors, a node and at most {} tensors wanted",
                  param.nodes.size(), count, kMostTensors);
  if (param.inTensorNum > atb::MAX_SVECTOR_SIZE || param.outTensorNum > atb::MAX_SVECTOR_SIZE)
    return refuse(atb::ERROR_INVALID_GRAPH, "{} inputs and {} outputs, at most {} wanted", param.inTensorNum,
                  param.outTensorNum, atb::MAX_SVECTOR_SIZE);
  std::vector<bool> written(count, false);
  std::fill_n(written.begin(), param.inTensorNum, true);
  for (size_t i = 0; i < param.nodes.size(); ++i) {
    if (const auto fine = check_node(param.nodes[i], i, written); !fine) return fine;
  }
  const auto missing = std::find(written.begin(), written.end(), false);
  if (missing == written.end()) return {};
  return refuse(atb::ERROR_INVALID_GRAPH, "no node writes tensor {}", missing - written.begin());
}

// How a node sees its input `index`: a part of it, with another shape.
Outcome<> look_through(const atb::Node& node, size_t index, atb::Tensor& tensor) {
  if (!node.inTensorChunks.empty() && node.inTensorChunks[index].chunkNum > 1) {
    const atb::Chunk& chunk = node.inTensorChunks[index];
    int64_t& rows = tensor.desc.shape.dims[0];
    if (tensor.desc.shape.dimNum == 0 || rows % chunk.chunkNum != 0)
      return refuse(atb::ERROR_INVALID_GRAPH_NODE_CHUNK, "input {} {} has no {} equal parts", index,
                    describe(tensor.desc), chunk.chunkNum);
    rows /= chunk.chunkNum;
    tensor.dataSize = bytes_of(tensor.desc);
    for (void** data : {&tensor.deviceData, &tensor.hostData})
      if (*data != nullptr) *data = static_cast<char*>(*data) + tensor.dataSize * chunk.chunkIndex;
  }
  if (node.inTensorReshapeFuncs.empty() || !node.inTensorReshapeFuncs[index]) return {};
  atb::TensorDesc view = tensor.desc;
  node.inTensorReshapeFuncs[index](tensor.desc.shape, view.shape);
  if (!sound(view) || count_of(view) != count_of(tensor.desc))
    return refuse(atb::ERROR_GRAPH_NODE_RESHAPE_FUNC_FAIL, "input {} {} as {}, as many elements wanted", index,
                  describe(tensor.desc), describe(view));
  tensor.desc = view;
  return {};
}

}  // namespace

GraphOperation::~GraphOperation() {
  for (const atb::Node& node : param_.nodes) delete node.operation;
}

Outcome<Descs> GraphOperation::infer_all(const Descs& in) const {
  std::vector<atb::TensorDesc> all(tensors());
  std::copy(in.begin(), in.end(), all.begin());
  for (size_t i = 0; i < param_.nodes.size(); ++i) {
    const atb::Node& node = param_.nodes[i];
    Descs inputs, outputs;
    for (size_t k = 0; k < node.inTensorIds.size(); ++k) {
      atb::Tensor seen;
      seen.desc = all[node.inTensorIds[k]];
      if (const auto fine = look_through(node, k, seen); !fine) return refuse(fine.error());
      inputs.push_back(seen.desc);
    }
    if (const int code = node.operation->InferShape(inputs, outputs); code != atb::NO_ERROR)
      return node_refused(i, *node.operation, code);
    if (outputs.size() != node.outTensorIds.size())
      return refuse(atb::ERROR_INTERNAL_ERROR, "node {} says {} outputs, {} wanted", i, outputs.size(),
                    node.outTensorIds.size());
    for (size_t k = 0; k < outputs.size(); ++k) all[node.outTensorIds[k]] = outputs[k];
  }
  Descs result;
  result.reserve(std::min(all.size(), atb::MAX_SVECTOR_SIZE));
  if (all.size() > atb::MAX_SVECTOR_SIZE)
    return refuse(atb::ERROR_INVALID_GRAPH, "{} tensors, at most {} wanted", all.size(), atb::MAX_SVECTOR_SIZE);
  for (const atb::TensorDesc& desc : all) result.push_back(desc);
  return result;
}

Outcome<Descs> GraphOperation::infer(const Descs& in) const {
  Descs out;
  if (param_.inferShapeFunc) {
    out.resize(param_.outTensorNum);
    const int code = param_.inferShapeFunc(in, out);
    if (code == atb::NO_ERROR && out.size() == param_.outTensorNum) return out;
    return refuse(atb::ERROR_GRAPH_INFERSHAPE_FUNC_FAIL, "inferShapeFunc gave {} and {} outputs, 0 and {} wanted", code,
                  out.size(), param_.outTensorNum);
  }
  const auto all = infer_all(in);
  if (!all) return refuse(all.error());
  for (size_t i = 0; i < param_.outTensorNum; ++i) out.push_back((*all)[param_.inTensorNum + i]);
  return out;
}

std::vector<atb::Tensor> GraphOperation::tensors_of(const atb::VariantPack& pack, const Descs& descs,
                                                    std::byte* workspace) const {
  std::vector<atb::Tensor> all(pack.inTensors.begin(), pack.inTensors.end());
  all.insert(all.end(), pack.outTensors.begin(), pack.outTensors.end());
  size_t at = 0;
  while (all.size() < tensors()) {
    atb::Tensor between;
    between.desc = descs[all.size()];
    between.dataSize = bytes_of(between.desc);
    if (workspace != nullptr) between.deviceData = workspace + at;
    at += padded(between.dataSize);
    all.push_back(between);
  }
  return all;
}

Outcome<atb::VariantPack> GraphOperation::pack_of(const atb::Node& node, const std::vector<atb::Tensor>& all) const {
  atb::VariantPack pack;
  for (size_t k = 0; k < node.inTensorIds.size(); ++k) {
    atb::Tensor seen = all[node.inTensorIds[k]];
    if (const auto fine = look_through(node, k, seen); !fine) return refuse(fine.error());
    pack.inTensors.push_back(seen);
  }
  for (const uint32_t id : node.outTensorIds) pack.outTensors.push_back(all[id]);
  return pack;
}

Outcome<uint64_t> GraphOperation::prepare(const atb::VariantPack& pack, const Place& place) {
  Descs in;
  for (const atb::Tensor& tensor : pack.inTensors) in.push_back(tensor.desc);
  const auto descs = infer_all(in);
  if (!descs) return refuse(descs.error());
  const auto all = tensors_of(pack, *descs, nullptr);
  size_t bytes = 0;
  for (size_t i = param_.inTensorNum + param_.outTensorNum; i < all.size(); ++i) bytes += padded(all[i].dataSize);
  internal_bytes_ = bytes;
  prepared_.assign(param_.nodes.size(), {});
  for (size_t i = 0; i < param_.nodes.size(); ++i) {
    const atb::Node& node = param_.nodes[i];
    const auto operands = pack_of(node, all);
    if (!operands) return refuse(operands.error());
    Prepared& own = prepared_[i];
    own.workspace_at = bytes;
    if (const int code = node.operation->Setup(*operands, own.workspace_bytes, place.context); code != atb::NO_ERROR)
      return node_refused(i, *node.operation, code);
    bytes += padded(own.workspace_bytes);
  }
  return bytes;
}

Outcome<> GraphOperation::launch(const atb::VariantPack& pack, std::byte* workspace, const Place& place) {
  Descs in;
  for (const atb::Tensor& tensor : pack.inTensors) in.push_back(tensor.desc);
  const auto descs = infer_all(in);
  if (!descs) return refuse(descs.error());
  const auto all = tensors_of(pack, *descs, workspace);
  size_t bytes = 0;
  for (size_t i = param_.inTensorNum + param_.outTensorNum; i < all.size(); ++i) bytes += padded(all[i].dataSize);
  if (bytes > internal_bytes_)
    return refuse(atb::ERROR_INVALID_WORKSPACE_SIZE, "{} bytes lie between the nodes, Setup saw {}", bytes,
                  internal_bytes_);
  for (size_t i = 0; i < param_.nodes.size(); ++i) {
    const atb::Node& node = param_.nodes[i];
    const auto operands = pack_of(node, all);
    if (!operands) return refuse(operands.error());
    const Prepared& own = prepared_[i];
    auto* const part = own.workspace_bytes == 0 ? nullptr : reinterpret_cast<uint8_t*>(workspace + own.workspace_at);
    const int code = node.operation->Execute(*operands, part, own.workspace_bytes, place.context);
    if (code != atb::NO_ERROR) return node_refused(i, *node.operation, code);
  }
  return {};
}

}  // namespace tandem::atbfront

#pragma GCC visibility push(default)
namespace atb {

template <>
Status CreateOperation(const GraphParam& opParam, Operation** operation) {
  namespace front = tandem::atbfront;
  return front::atb_call("GraphOperation", [&]() -> front::Outcome<> {
    if (const auto fine = front::check_place(operation); !fine) return fine;
    if (const auto fine = front::check_graph(opParam); !fine) return fine;
    return front::hand_out(new front::GraphOperation(opParam), operation);
  });
}

}  // namespace atb
#pragma GCC visibility pop
