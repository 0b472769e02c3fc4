// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <memory>
#include <utility>

#include "atb/common_op_params.h"
#include "atb/graph_op_builder.h"
#include "atb/operation_infra.h"
#include "front/atb/graph.h"

// Graphs by names of tensors, operations of a program's own, and events between streams.
namespace tandem::atbfront {
namespace {

class NamedGraph final : public atb::GraphOpBuilder {
 public:
  ~NamedGraph() override {
    for (const atb::Node& node : param_.nodes) delete node.operation;
  }

  atb::Status Init(const std::string& name, const atb::InferShapeFunc& infer, const atb::SVector<std::string>& in,
                   const atb::SVector<std::string>& out) override {
    return atb_call("GraphOpBuilder::Init", [&]() -> Outcome<> {
      if (!param_.nodes.empty() || !ids_.empty())
        return refuse(atb::ERROR_INVALID_GRAPH, "the builder is in use, one Init wanted");
      param_.name = name;
      param_.inferShapeFunc = infer;
      param_.inTensorNum = static_cast<uint32_t>(in.size());
      param_.outTensorNum = static_cast<uint32_t>(out.size());
      for (const auto* names : {&in, &out}) {
        for (const std::string& one : *names) {
          if (!ids_.emplace(one, static_cast<uint32_t>(ids_.size())).second)
            return refuse(atb::ERROR_INVALID_GRAPH, "tensor {} is named twice", one);
        }
      }
      return {};
    });
  }

  atb::Status Reshape(const std::string& source, const atb::ReshapeFunc& shape, const std::string& view) override {
    return atb_call("GraphOpBuilder::Reshape", [&]() -> Outcome<> {
      if (!shape) return refuse(atb::ERROR_INVALID_GRAPH, "reshapeFunc is empty, a function wanted");
      if (ids_.count(source) == 0) return refuse(atb::ERROR_INVALID_GRAPH, "tensor {} is unknown", source);
      if (ids_.count(view) != 0 || !views_.emplace(view, View{source, shape}).second)
        return refuse(atb::ERROR_INVALID_GRAPH, "tensor {} is named twice", view);
      return {};
    });
  }

  atb::Status AddOperation(atb::Operation* operation, const atb::SVector<std::string>& in,
                           const atb::SVector<std::string>& out) override {
    return atb_call("GraphOpBuilder::AddOperation", [&]() -> Outcome<> {
      if (operation == nullptr) return refuse(atb::ERROR_INVALID_PARAM, "operation is null, one wanted");
      atb::Node node;
      node.operation = operation;
      for (const std::string& name : in) {
        if (const auto fine = read(name, node); !fine) return fine;
      }
      for (const std::string& name : out) {
        const auto next = static_cast<uint32_t>(ids_.size());
        node.outTensorIds.push_back(ids_.emplace(name, next).first->second);
      }
      param_.nodes.push_back(node);
      return {};
    });
  }

  atb::Operation* Build() override {
    param_.internalTensorNum = static_cast<uint32_t>(ids_.size()) - param_.inTensorNum - param_.outTensorNum;
    atb::Operation* made = nullptr;
    if (atb::CreateOperation(param_, &made) != atb::NO_ERROR) return nullptr;
    param_ = {};  // the operations are the graph's now
    ids_.clear();
    views_.clear();
    return made;
  }

 private:
  struct View {
    std::string source;
    atb::ReshapeFunc shape;
  };

  Outcome<> read(const std::string& name, atb::Node& node) {
    const auto view = views_.find(name);
    const auto found = ids_.find(view == views_.end() ? name : view->second.source);
    if (found == ids_.end()) return refuse(atb::ERROR_INVALID_GRAPH, "tensor {} is read before it is written", name);
    node.inTensorIds.push_back(found->second);
    node.inTensorReshapeFuncs.push_back(view == views_.end() ? atb::ReshapeFunc() : view->second.shape);
    return {};
  }

  atb::GraphParam param_;
  std::map<std::string, uint32_t> ids_;
  std::map<std::string, View> views_;
};

class EventOperation final : public OperationBase {
 public:
  explicit EventOperation(const atb::common::EventParam& param) : param_(param) {}
  std::string GetName() const override { return "EventOperation"; }

 private:
  std::string_view kind_name() const override { return "EventOperation"; }
  Arity arity() const override { return {}; }
  Outcome<Descs> infer(const Descs&) const override { return Descs{}; }
  Outcome<> build(Run&) const override { return {}; }
  Outcome<> launch(const atb::VariantPack&, std::byte*, const Place& place) override {
    const bool records = param_.operatorType == atb::common::EventParam::RECORD;
    const aclError code =
        records ? aclrtRecordEvent(param_.event, place.stream) : aclrtStreamWaitEvent(place.stream, param_.event);
    if (code == ACL_SUCCESS) return {};
    const char* text = aclGetRecentErrMsg();
    return refuse(atb::ERROR_RT_FAIL, "{}", text == nullptr ? "the runtime refused" : text);
  }

  atb::common::EventParam param_;
};

}  // namespace
}  // namespace tandem::atbfront

#pragma GCC visibility push(default)
namespace atb {

GraphOpBuilder::GraphOpBuilder() = default;
GraphOpBuilder::~GraphOpBuilder() = default;

Status CreateGraphOpBuilder(GraphOpBuilder** builder) {
  namespace front = tandem::atbfront;
  return front::atb_call("CreateGraphOpBuilder", [&]() -> front::Outcome<> {
    if (builder == nullptr) return front::refuse(ERROR_INVALID_PARAM, "builder is null, a place wanted");
    *builder = new front::NamedGraph;
    return {};
  });
}

Status DestroyGraphOpBuilder(GraphOpBuilder* builder) {
  delete builder;
  return NO_ERROR;
}

class OperationImpl {
 public:
  uint32_t stream_id = 0;
};

OperationInfra::OperationInfra() : impl_(new OperationImpl) {}
OperationInfra::OperationInfra(const OperationInfra& other)
    : Operation(other), impl_(new OperationImpl(*other.impl_)) {}
OperationInfra& OperationInfra::operator=(const OperationInfra& other) {
  *impl_ = *other.impl_;
  return *this;
}
OperationInfra::~OperationInfra() = default;
void OperationInfra::SetExecuteStreamId(uint32_t streamId) { impl_->stream_id = streamId; }
uint32_t OperationInfra::GetExecuteStreamId() const { return impl_->stream_id; }
aclrtStream OperationInfra::GetExecuteStream(Context* context) {
  const auto found = tandem::atbfront::context_of(context);
  return found ? (*found)->stream(impl_->stream_id) : nullptr;
}

template <>
Status CreateOperation(const common::EventParam& opParam, Operation** operation) {
  namespace front = tandem::atbfront;
  return front::atb_call("EventOperation", [&]() -> front::Outcome<> {
    if (const auto fine = front::check_place(operation); !fine) return fine;
    if (const auto zero = front::check_reserved(opParam.rsv, sizeof(opParam.rsv)); !zero) return zero;
    const bool known =
        opParam.operatorType == common::EventParam::RECORD || opParam.operatorType == common::EventParam::WAIT;
    if (!known || opParam.event == nullptr)
      return front::refuse(ERROR_INVALID_PARAM, "operatorType {} and an event, 1 or 2 and an event wanted",
                           static_cast<int>(opParam.operatorType));
    return front::hand_out(new front::EventOperation(opParam), operation);
  });
}

}  // namespace atb
#pragma GCC visibility pop
