// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "atb/operation.h"
#include "front/atb/context.h"
#include "front/atb/outcome.h"
#include "front/atb/tensors.h"
#include "tandem/exec/device.h"
#include "tandem/ops/plan.h"

// What operations have in common. An operation is a Kind of its parameter struct: a row of functions, not a class.
namespace tandem::atbfront {

// One Setup or Execute: operands as views, and the plans that are to run one after the other.
class Run {
 public:
  Run(Device& where, const atb::VariantPack& operands, std::byte* workspace)
      : device(where), pack(operands), workspace_(workspace) {}

  const TensorView in(size_t index) const { return view(pack.inTensors, index); }
  const TensorView out(size_t index) const { return view(pack.outTensors, index); }
  const atb::TensorDesc& in_desc(size_t index) const { return pack.inTensors[index].desc; }
  const void* host(size_t index) const { return pack.inTensors[index].hostData; }
  // Dense memory of the workspace; null while its size is being found out.
  TensorView scratch(DType dtype, std::initializer_list<int64_t> shape);
  TensorView scratch_like(const TensorView& other, DType dtype);

  template <class Op>
  Outcome<> add(const Op& op) {
    auto made = plan(op, device);
    if (!made) return refuse(made.error());
    plans.push_back(std::move(*made));
    return {};
  }
  // Bytes the operation needs: what scratch() gave, and the largest of the plans' own.
  size_t workspace_bytes() const;
  Status submit(Stream& stream) const;

  Device& device;
  const atb::VariantPack& pack;
  std::vector<Plan> plans;

 private:
  static TensorView view(const atb::SVector<atb::Tensor>& tensors, size_t index);
  size_t plan_bytes() const;

  std::byte* workspace_;
  size_t scratch_bytes_ = 0;
};

struct Arity {
  uint32_t inputs = 0, outputs = 0;
};

// An operation as functions of its parameters. `infer` sees sound descriptions in the number of `arity`; `build` sees
// outputs as inferred.
template <class P>
struct Kind {
  std::string_view name;
  Outcome<> (*check)(const P&);
  Arity (*arity)(const P&);
  Outcome<Descs> (*infer)(const P&, const Descs&);
  Outcome<> (*build)(const P&, Run&);
  uint32_t host_inputs = 0;       // bit i: input i is read from hostData
  bool address_is_param = false;  // a missing address has the code of a wrong parameter
};
template <class P>
const Kind<P>& kind_of();

// The part that does not depend on the parameter struct.
class OperationBase : public atb::Operation {
 public:
  atb::Status InferShape(const Descs& in, Descs& out) const final;
  atb::Status Setup(const atb::VariantPack& pack, uint64_t& workspace_size, atb::Context* context) final;
  atb::Status Execute(const atb::VariantPack& pack, uint8_t* workspace, uint64_t workspace_size,
                      atb::Context* context) final;
  uint32_t GetInputNum() const final { return arity().inputs; }
  uint32_t GetOutputNum() const final { return arity().outputs; }

  std::atomic<uint32_t> stream_id{0};

 protected:
  struct Place {
    StreamContext* context;
    aclrtStream stream;
  };
  // A graph sets its nodes up instead.
  virtual Outcome<uint64_t> prepare(const atb::VariantPack& pack, const Place& place);
  virtual Outcome<> launch(const atb::VariantPack& pack, std::byte* workspace, const Place& place);

  virtual std::string_view kind_name() const = 0;
  virtual Arity arity() const = 0;
  virtual Outcome<Descs> infer(const Descs& in) const = 0;
  virtual Outcome<> build(Run& run) const = 0;
  virtual uint32_t host_inputs() const { return 0; }
  virtual bool address_is_param() const { return false; }
  // The next Execute() wants a Setup() before it.
  void forget_setup() { ready_ = nullptr; }

 private:
  Outcome<Descs> infer_checked(const Descs& in) const;
  Outcome<> check_pack(const atb::VariantPack& pack) const;
  Outcome<> check_memory(const atb::VariantPack& pack) const;
  Outcome<Place> place_of(atb::Context* context) const;

  std::atomic<atb::Context*> ready_{nullptr};  // of the last Setup()
  std::atomic<uint64_t> wanted_{0};
};

template <class P>
class OperationOf final : public OperationBase {
 public:
  explicit OperationOf(const P& param) : param_(param) {}
  std::string GetName() const override { return std::string(kind_of<P>().name); }
  const P& param() const { return param_; }
  void update(const P& param) {
    param_ = param;
    forget_setup();
  }

 private:
  std::string_view kind_name() const override { return kind_of<P>().name; }
  Arity arity() const override { return kind_of<P>().arity(param_); }
  Outcome<Descs> infer(const Descs& in) const override { return kind_of<P>().infer(param_, in); }
  Outcome<> build(Run& run) const override { return kind_of<P>().build(param_, run); }
  uint32_t host_inputs() const override { return kind_of<P>().host_inputs; }
  bool address_is_param() const override { return kind_of<P>().address_is_param; }

  P param_;
};

// The reserved bytes at the end of a parameter struct, which have to be zero.
Outcome<> check_reserved(const uint8_t* bytes, size_t count);

template <class P>
Outcome<> check_param(const P& param) {
  if constexpr (requires { param.rsv; }) {
    if (const auto zero = check_reserved(param.rsv, sizeof(param.rsv)); !zero) return zero;
  }
  return kind_of<P>().check(param);
}

// Puts an operation into the place of a program, and takes it back.
Outcome<> hand_out(OperationBase* made, atb::Operation** place);
Outcome<> check_place(atb::Operation** place);

template <class P>
atb::Status create(const P& param, atb::Operation** place) noexcept {
  return atb_call(kind_of<P>().name, [&]() -> Outcome<> {
    if (const auto fine = check_place(place); !fine) return fine;
    if (const auto fine = check_param(param); !fine) return fine;
    return hand_out(new OperationOf<P>(param), place);
  });
}

template <class P>
atb::Status copy_param(const atb::Operation* operation, P& param) noexcept {
  return atb_call(kind_of<P>().name, [&]() -> Outcome<> {
    const auto* found = dynamic_cast<const OperationOf<P>*>(operation);
    if (found == nullptr) return refuse(atb::ERROR_INVALID_PARAM, "operation is null or of another kind");
    param = found->param();
    return {};
  });
}

template <class P>
atb::Status update_param(atb::Operation* operation, const P& param) noexcept {
  return atb_call(kind_of<P>().name, [&]() -> Outcome<> {
    auto* found = dynamic_cast<OperationOf<P>*>(operation);
    if (found == nullptr) return refuse(atb::ERROR_INVALID_PARAM, "operation is null or of another kind");
    if (const auto fine = check_param(param); !fine) return fine;
    found->update(param);
    return {};
  });
}

}  // namespace tandem::atbfront

// The templates that programs call; each family's file instantiates them for its structs.
#pragma GCC visibility push(default)
namespace atb {

template <typename OpParam>
Status CreateOperation(const OpParam& opParam, Operation** operation) {
  return tandem::atbfront::create(opParam, operation);
}
template <typename OpParam>
Status CloneOperationParam(const Operation* operation, OpParam& opParam) {
  return tandem::atbfront::copy_param(operation, opParam);
}
template <typename OpParam>
Status UpdateOperationParam(Operation* operation, const OpParam& opParam) {
  return tandem::atbfront::update_param(operation, opParam);
}

}  // namespace atb
#pragma GCC visibility pop
