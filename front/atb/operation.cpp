// SPDX-License-Identifier: Apache-2.0
#include "front/atb/operation.h"

#include <algorithm>

#include "front/acl/runtime.h"
#include "front/aclnn/objects.h"

namespace tandem::atbfront {
namespace {

constexpr size_t kAlignment = 512;
size_t padded(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

Descs descs_of(const atb::SVector<atb::Tensor>& tensors) {
  Descs descs;
  for (const atb::Tensor& tensor : tensors) descs.push_back(tensor.desc);
  return descs;
}

// Device 0, 1, .. of the stream, or the calling thread's while no stream is set.
Outcome<Device*> device_for(aclrtStream stream) {
  int index = -1;
  if (stream != nullptr) {
    const auto found = front::stream_of(stream);
    if (!found) return refuse(atb::ERROR_INVALID_STREAM, "{}", found.error().message);
    index = (*found)->device;
  } else if (const auto current = front::current_context()) {
    index = current->device;
  }
  if (index < 0) return refuse(atb::ERROR_RT_FAIL, "no stream and no device, aclrtSetDevice before it wanted");
  const auto device = Device::get(index);
  if (!device) return refuse(device.error());
  return *device;
}

Outcome<> check_size(std::string_view what, size_t index, const atb::Tensor& tensor) {
  const uint64_t wanted = bytes_of(tensor.desc);
  if (tensor.dataSize == wanted) return {};
  return refuse(atb::ERROR_INVALID_TENSOR_SIZE, "dataSize of {} {} is {}, {} wanted ({})", what, index, tensor.dataSize,
                wanted, describe(tensor.desc));
}

Outcome<> check_outputs(const Descs& given, const Descs& wanted) {
  Wanted check(given);
  for (size_t i = 0; i < wanted.size(); ++i) {
    const std::string name = fmt::format("output {}", i);
    check.shape(i, name, wanted[i]).dtype(i, name, {wanted[i].dtype}, atb::ERROR_INVALID_TENSOR_DTYPE);
  }
  return check.outcome();
}

}  // namespace

// --- Run

TensorView Run::view(const atb::SVector<atb::Tensor>& tensors, size_t index) {
  if (index >= tensors.size()) return {};
  return view_of(tensors[index].desc, tensors[index].deviceData);
}

TensorView Run::scratch(DType dtype, std::initializer_list<int64_t> shape) {
  TensorView taken = make_tensor(nullptr, dtype, shape);
  if (workspace_ != nullptr) taken.data = workspace_ + scratch_bytes_;
  scratch_bytes_ += padded(taken.bytes());
  return taken;
}

TensorView Run::scratch_like(const TensorView& other, DType dtype) {
  TensorView taken = make_tensor(nullptr, dtype, other.shape.data(), other.rank);
  if (workspace_ != nullptr) taken.data = workspace_ + scratch_bytes_;
  scratch_bytes_ += padded(taken.bytes());
  return taken;
}

size_t Run::plan_bytes() const {
  size_t most = 0;
  for (const Plan& plan : plans) most = std::max(most, plan.workspace_bytes());
  return most;
}

size_t Run::workspace_bytes() const { return scratch_bytes_ + plan_bytes(); }

Status Run::submit(Stream& stream) const {
  std::byte* behind = workspace_ == nullptr ? nullptr : workspace_ + scratch_bytes_;
  for (const Plan& plan : plans) {
    if (Status s = plan.run({behind, plan.workspace_bytes()}, stream); !s) return s;
  }
  return {};
}

// --- OperationBase

Outcome<Descs> OperationBase::infer_checked(const Descs& in) const {
  if (in.size() != arity().inputs)
    return refuse(atb::ERROR_INVALID_IN_TENSOR_NUM, "{} input tensors, {} wanted", in.size(), arity().inputs);
  for (size_t i = 0; i < in.size(); ++i) {
    if (in[i].shape.dimNum > atb::MAX_DIM)
      return refuse(atb::ERROR_INVALID_TENSOR_DIM_NUM, "input {} has {} dimensions, at most {} wanted", i,
                    in[i].shape.dimNum, atb::MAX_DIM);
    if (!sound(in[i]))
      return refuse(atb::ERROR_INVALID_TENSOR_DIM, "input {} is {}, extents of a real tensor wanted", i,
                    describe(in[i]));
  }
  return infer(in);
}

atb::Status OperationBase::InferShape(const Descs& in, Descs& out) const {
  return atb_call(kind_name(), [&]() -> Outcome<> {
    const auto inferred = infer_checked(in);
    if (!inferred) return refuse(inferred.error());
    out = *inferred;
    return {};
  });
}

Outcome<> OperationBase::check_pack(const atb::VariantPack& pack) const {
  const auto inferred = infer_checked(descs_of(pack.inTensors));
  if (!inferred) return refuse(inferred.error());
  if (pack.outTensors.size() != arity().outputs)
    return refuse(atb::ERROR_INVALID_TENSOR_NUM, "{} output tensors, {} wanted", pack.outTensors.size(),
                  arity().outputs);
  return check_outputs(descs_of(pack.outTensors), *inferred);
}

Outcome<> OperationBase::check_memory(const atb::VariantPack& pack) const {
  const int missing = address_is_param() ? atb::ERROR_INVALID_PARAM : atb::ERROR_INVALID_TENSOR_ADDR;
  const auto check = [&](std::string_view what, size_t index, const atb::Tensor& tensor, bool host) -> Outcome<> {
    if (bytes_of(tensor.desc) == 0) return {};
    // Programs leave the size of memory they fill themselves at 0; a smaller one than wanted is none.
    if (host && tensor.hostData != nullptr)
      return tensor.dataSize == 0 || tensor.dataSize >= bytes_of(tensor.desc) ? Outcome<>{}
                                                                              : check_size(what, index, tensor);
    if (tensor.deviceData != nullptr) return check_size(what, index, tensor);
    // An operand nobody reads from the device, whose values came with the parameters.
    if (host && address_is_param()) return {};
    return refuse(missing, "{} {} has no address, aclrtMalloc'ed memory wanted", what, index);
  };
  for (size_t i = 0; i < pack.inTensors.size(); ++i) {
    if (const auto fine = check("input", i, pack.inTensors[i], (host_inputs() >> i & 1u) != 0); !fine) return fine;
  }
  for (size_t i = 0; i < pack.outTensors.size(); ++i) {
    if (const auto fine = check("output", i, pack.outTensors[i], false); !fine) return fine;
  }
  return {};
}

Outcome<OperationBase::Place> OperationBase::place_of(atb::Context* context) const {
  const auto found = context_of(context);
  if (!found) return refuse(found.error());
  return Place{*found, (*found)->stream(stream_id)};
}

Outcome<uint64_t> OperationBase::prepare(const atb::VariantPack& pack, const Place& place) {
  const auto device = device_for(place.stream);
  if (!device) return refuse(device.error());
  Run run(**device, pack, nullptr);
  if (const auto built = build(run); !built) return refuse(built.error());
  return run.workspace_bytes();
}

Outcome<> OperationBase::launch(const atb::VariantPack& pack, std::byte* workspace, const Place& place) {
  const auto device = device_for(place.stream);
  if (!device) return refuse(device.error());
  Run run(**device, pack, workspace);
  if (const auto built = build(run); !built) return built;
  if (run.workspace_bytes() > wanted_)
    return refuse(atb::ERROR_INVALID_WORKSPACE_SIZE, "{} bytes are needed for these tensors, Setup said {}",
                  run.workspace_bytes(), wanted_.load());
  const auto stream = front::stream_of(place.stream);
  if (!stream) return refuse(atb::ERROR_INVALID_STREAM, "{}", stream.error().message);
  if (const Status sent = run.submit(*(*stream)->queue); !sent) return refuse(sent.error());
  return {};
}

atb::Status OperationBase::Setup(const atb::VariantPack& pack, uint64_t& workspace_size, atb::Context* context) {
  return atb_call(kind_name(), [&]() -> Outcome<> {
    const auto place = place_of(context);
    if (!place) return refuse(place.error());
    forget_setup();
    if (const auto fine = check_pack(pack); !fine) return fine;
    const auto bytes = prepare(pack, *place);
    if (!bytes) return refuse(bytes.error());
    workspace_size = *bytes;
    wanted_ = *bytes;
    ready_ = context;
    return {};
  });
}

atb::Status OperationBase::Execute(const atb::VariantPack& pack, uint8_t* workspace, uint64_t workspace_size,
                                   atb::Context* context) {
  return atb_call(kind_name(), [&]() -> Outcome<> {
    const auto place = place_of(context);
    if (!place) return refuse(place.error());
    if (ready_ == nullptr) return refuse(atb::ERROR_OPERATION_NULL_RUNNER, "Execute without Setup before it");
    if (ready_ != context) return refuse(atb::ERROR_INVALID_CONTEXT_ADDR, "another context, Setup's wanted");
    if (place->stream == nullptr)
      return refuse(atb::ERROR_INVALID_STREAM, "the context has no stream {}, SetExecuteStream before it wanted",
                    stream_id.load());
    if (workspace_size < wanted_)
      return refuse(atb::ERROR_INVALID_WORKSPACE_SIZE, "workspace has {} bytes, {} wanted (what Setup said)",
                    workspace_size, wanted_.load());
    if (workspace == nullptr && wanted_ > 0)
      return refuse(atb::ERROR_INVALID_WORKSPACE_ADDR, "workspace is null, {} bytes wanted", wanted_.load());
    if (const auto fine = check_pack(pack); !fine) return fine;
    if (const auto fine = check_memory(pack); !fine) return fine;
    if (place->context->GetExecuteType() == atb::EXECUTE_PRELAUNCH) return {};
    return launch(pack, reinterpret_cast<std::byte*>(workspace), *place);
  });
}

// --- creation

Outcome<> check_reserved(const uint8_t* bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (bytes[i] != 0) return refuse(atb::ERROR_INVALID_PARAM, "rsv[{}] is {}, 0 wanted", i, bytes[i]);
  }
  return {};
}

Outcome<> check_place(atb::Operation** place) {
  if (place == nullptr) return refuse(atb::ERROR_INVALID_PARAM, "operation is null, a place wanted");
  *place = nullptr;
  if (const Status same = front::same_build("CreateOperation"); !same) return refuse(same.error());
  return {};
}

Outcome<> hand_out(OperationBase* made, atb::Operation** place) {
  *place = made;
  return {};
}

}  // namespace tandem::atbfront

namespace atb {

Status DestroyOperation(Operation* operation) {
  delete operation;
  return NO_ERROR;
}

Status SetExecuteStreamId(Operation* operation, uint32_t streamId) {
  namespace front = tandem::atbfront;
  return front::atb_call("SetExecuteStreamId", [&]() -> front::Outcome<> {
    auto* found = dynamic_cast<front::OperationBase*>(operation);
    if (found == nullptr)
      return front::refuse(ERROR_INVALID_OPERATION_ADDR, "operation is null or not of CreateOperation");
    found->stream_id = streamId;
    return {};
  });
}

uint32_t GetExecuteStreamId(Operation* operation) {
  const auto* found = dynamic_cast<const tandem::atbfront::OperationBase*>(operation);
  return found == nullptr ? 0 : found->stream_id.load();
}

}  // namespace atb
