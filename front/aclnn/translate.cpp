// SPDX-License-Identifier: Apache-2.0
#include "front/aclnn/translate.h"

#include <cstring>

#include "tandem/base/half.h"
#include "tandem/ops/transdata.h"

namespace tandem::front {

void Arguments::look_at(std::string_view name, const aclTensor* tensor) {
  if (tensor == nullptr) return;
  check.that(tensor->view.present(), "{} {} has an unknown dtype, one of this operator wanted", name,
             describe(*tensor));
  check.that(!private_format(tensor->format), "{} {} has format {}, ND wanted", name, describe(*tensor),
             tensor->format);
}

Arguments& Arguments::in(std::string_view name, TensorView& place, const aclTensor* tensor) {
  look_at(name, tensor);
  bind(inputs, place, tensor);
  return *this;
}

Arguments& Arguments::out(std::string_view name, TensorView& place, const aclTensor* tensor) {
  look_at(name, tensor);
  bind(outputs, place, tensor);
  return *this;
}

Arguments& Arguments::weight(std::string_view name, TensorView& place, int64_t& panel, const aclTensor* tensor) {
  if (tensor == nullptr || tensor->format != ACL_FORMAT_FRACTAL_NZ) return in(name, place, tensor);
  check.that(tensor->view.present(), "{} {} has an unknown dtype, one of this operator wanted", name,
             describe(*tensor));
  bind(inputs, place, tensor);
  unpack_words(place);
  panel = panel_of(place);
  return *this;
}

int64_t panel_of(const TensorView& view) {
  if (view.rank < 2) return 0;
  const int64_t columns = view.contiguous() ? view.dim(-1) : view.dim(-2);
  return columns % kPackedColumns == 0 ? kPackedColumns : 0;
}

void want_packed(Check& check, std::string_view name, const aclTensor* tensor) {
  check.that(tensor == nullptr || tensor->format == ACL_FORMAT_FRACTAL_NZ, "{} {} has format {}, FRACTAL_NZ wanted",
             name, tensor == nullptr ? "" : describe(*tensor), tensor == nullptr ? 0 : tensor->format);
}

Arguments& Arguments::need(std::string_view name, TensorView& place, const aclTensor* tensor) {
  check.present(name, tensor != nullptr);
  return in(name, place, tensor);
}

Arguments& Arguments::absent(std::string_view name, const void* argument) {
  check.that(argument == nullptr, "{} is given, null wanted (not supported)", name);
  return *this;
}

void Arguments::fill(std::string_view name, std::vector<Operand>& operands, std::vector<TensorView>& places,
                     const aclTensorList* tensors) {
  if (tensors == nullptr) return;
  places.resize(tensors->values.size());
  for (size_t i = 0; i < places.size(); ++i) {
    look_at(name, tensors->values[i]);
    bind(operands, places[i], tensors->values[i]);
  }
}

Arguments& Arguments::in(std::string_view name, std::vector<TensorView>& places, const aclTensorList* tensors) {
  fill(name, inputs, places, tensors);
  return *this;
}

Arguments& Arguments::out(std::string_view name, std::vector<TensorView>& places, const aclTensorList* tensors) {
  fill(name, outputs, places, tensors);
  return *this;
}

std::string_view text_of(const char* text, std::string_view absent) {
  return text == nullptr || *text == '\0' ? absent : std::string_view(text);
}

namespace {

template <class T>
double stored(const aclScalar& scalar) {
  T value{};
  std::memcpy(&value, scalar.value.data(), sizeof(value));
  return static_cast<double>(value);
}

}  // namespace

double value_of(const aclScalar* scalar) {
  if (scalar == nullptr) return 0;
  switch (dtype_of(scalar->type)) {
    case DType::f32: return stored<float>(*scalar);
    case DType::f64: return stored<double>(*scalar);
    case DType::f16: return static_cast<double>(to_float(f16{static_cast<uint16_t>(stored<uint16_t>(*scalar))}));
    case DType::bf16: return static_cast<double>(to_float(bf16{static_cast<uint16_t>(stored<uint16_t>(*scalar))}));
    case DType::i8: return stored<int8_t>(*scalar);
    case DType::u8: return stored<uint8_t>(*scalar);
    case DType::i16: return stored<int16_t>(*scalar);
    case DType::u16: return stored<uint16_t>(*scalar);
    case DType::i32: return stored<int32_t>(*scalar);
    case DType::u32: return stored<uint32_t>(*scalar);
    case DType::i64: return stored<int64_t>(*scalar);
    case DType::u64: return stored<uint64_t>(*scalar);
    case DType::i4:
    case DType::none: return 0;
  }
  return 0;
}

void unpack_words(TensorView& view) {
  constexpr int64_t kInWord = 8;
  if (view.dtype != DType::i32 || view.rank == 0) return;
  view.dtype = DType::i4;
  int inner = view.rank - 1;
  if (view.rank > 1 && view.step(-1) != 1 && view.step(-2) == 1) inner = view.rank - 2;
  for (int axis = 0; axis < view.rank; ++axis) {
    if (axis != inner) view.stride[static_cast<size_t>(axis)] *= kInWord;
  }
  view.shape[static_cast<size_t>(inner)] *= kInWord;
}

void transpose_if(bool wanted, TensorView& view) {
  if (wanted && view.rank >= 2) view = view.transposed();
}

}  // namespace tandem::front
