// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "front/atb/operation.h"

namespace tandem::atbfront {

// Operations one after the other; what lies between them is in the graph's workspace. Nodes are set up and executed
// through their public calls, so that operations of a program's own may be among them.
class GraphOperation final : public OperationBase {
 public:
  explicit GraphOperation(const atb::GraphParam& param) : param_(param) {}
  ~GraphOperation() override;
  std::string GetName() const override { return param_.name.empty() ? "GraphOperation" : param_.name; }

 private:
  // A node's part of the workspace.
  struct Prepared {
    size_t workspace_at = 0;
    uint64_t workspace_bytes = 0;
  };

  std::string_view kind_name() const override { return "GraphOperation"; }
  Arity arity() const override { return {param_.inTensorNum, param_.outTensorNum}; }
  Outcome<Descs> infer(const Descs& in) const override;
  Outcome<> build(Run&) const override { return {}; }
  Outcome<uint64_t> prepare(const atb::VariantPack& pack, const Place& place) override;
  Outcome<> launch(const atb::VariantPack& pack, std::byte* workspace, const Place& place) override;

  size_t tensors() const { return size_t{param_.inTensorNum} + param_.outTensorNum + param_.internalTensorNum; }
  // What the nodes say about all tensors.
  Outcome<Descs> infer_all(const Descs& in) const;
  std::vector<atb::Tensor> tensors_of(const atb::VariantPack& pack, const Descs& descs, std::byte* workspace) const;
  Outcome<atb::VariantPack> pack_of(const atb::Node& node, const std::vector<atb::Tensor>& tensors) const;

  atb::GraphParam param_;
  std::vector<Prepared> prepared_;
  size_t internal_bytes_ = 0;
};

}  // namespace tandem::atbfront

#pragma GCC visibility push(default)
namespace atb {
template <>
Status CreateOperation(const GraphParam& opParam, Operation** operation);
}  // namespace atb
#pragma GCC visibility pop
