// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/mm_forms.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tandem/kernels/pack.h"
#include "tandem/ops/mm_all_reduce_body.h"
#include "tandem/ops/product.h"
#include "tandem/ops/single.h"

namespace tandem {
namespace {

constexpr std::pair<std::string_view, Combine> kReductions[] = {{"sum", Combine::sum},
                                                                {"prod", Combine::product},
                                                                {"max", Combine::maximum},
                                                                {"min", Combine::minimum},
                                                                {"avg", Combine::average}};

void check_wire_scale(Check& check, std::string_view name, const TensorView& scale, DType output, int64_t n) {
  check.present(name, scale).same_dtype(name, scale, "y", output).rank(name, scale, 1, 2);
  check.that(check.failed() || (scale.dim(-1) == n && scale.elements() == n), "{} is {}, [{}] or [1,{}] wanted", name,
             scale.describe(), n, n);
}

// Panels of columns cannot be read as panels of rows: they become rows.
bool unpack_columns(MmAllReduceBody& body, Lane& lane) {
  const TensorView turned = body.x2.transposed();
  void* plain = lane.scratch->take(turned.bytes());
  if (plain == nullptr) return false;
  unpack_weight({turned.data, turned.dtype, 0, 0, kPanel}, turned.dim(0), turned.dim(1), plain);
  body.product.w = {plain, turned.dtype, 1, turned.dim(1), 0};
  return true;
}

bool stage_weight(MmAllReduceBody& body, Lane& lane) {
  if (!body.x2.present()) return true;
  if (body.product.w.panel != 0) return !packed_as_columns(body.x2) || unpack_columns(body, lane);
  if (reads_in_place(body.x2) || body.x2.dtype == DType::i4) return true;
  const TensorView dense = dense_copy(body.x2, lane);
  body.product.w = {dense.data, dense.dtype, dense.step(0), dense.step(1), 0};
  return dense.data != nullptr;
}

}  // namespace

std::optional<Combine> combine_of(std::string_view reduction) {
  for (const auto& [name, how] : kReductions) {
    if (name == reduction) return how;
  }
  return std::nullopt;
}

void check_reduction(Check& check, const MmAllReduce& op, bool reduces) {
  check.that(combine_of(op.reduction).has_value(),
             "reduction is \"{}\", \"sum\", \"prod\", \"max\", \"min\" or \"avg\" wanted", op.reduction);
  check.that(reduces || op.reduction == "sum", "reduction is \"{}\", \"sum\" wanted (nothing is reduced)",
             op.reduction);
}

void check_wire(Check& check, const MmAllReduce& op, bool whole, int64_t n) {
  if (!op.wire) return;
  check.that(whole, "wire is given, none wanted (only mm_all_reduce sends int8)");
  check.that(std::holds_alternative<Int8Scale>(op.quant), "wire is given with x1 {}, an int8 x int8 product wanted",
             op.x1.describe());
  check.that(op.reduction == "sum", "wire is given with reduction \"{}\", \"sum\" wanted", op.reduction);
  check_wire_scale(check, "wire first", op.wire->first, op.y.dtype, n);
  check_wire_scale(check, "wire second", op.wire->second, op.y.dtype, n);
}

void check_norm_quant(Check& check, const NormQuant& quant, const MmAllReduce& op) {
  const int64_t n = op.y.dim(-1);
  check.present("quant y", quant.y).dtype("quant y", quant.y, {DType::i8}).contiguous("quant y", quant.y);
  check.same_shape("quant y", quant.y, "y", op.y);
  check.that(quant.scale.present() != quant.row_scale.present(),
             "quant scale is {} and row_scale {}, one of them wanted", quant.scale.describe(),
             quant.row_scale.describe());
  check.that(!quant.offset.present() || quant.scale.present(), "quant offset is {} without scale, none wanted",
             quant.offset.describe());
  check.that(!quant.smooth.present() || quant.row_scale.present(), "quant smooth is {} without row_scale, none wanted",
             quant.smooth.describe());
  const int64_t columns = quant.scale.elements();
  check.dtype("quant scale", quant.scale, {DType::f32, DType::f16, DType::bf16});
  check.that(!quant.scale.present() || columns == 1 || columns == n, "quant scale is {}, [1] or [{}] wanted",
             quant.scale.describe(), n);
  check.same_shape("quant offset", quant.offset, "quant scale", quant.scale);
  check.same_dtype("quant offset", quant.offset, "quant scale", quant.scale.dtype);
  check.dtype("quant row_scale", quant.row_scale, {DType::f32}).contiguous("quant row_scale", quant.row_scale);
  check.that(!quant.row_scale.present() || quant.row_scale.elements() == op.y.row_count(),
             "quant row_scale is {}, {} rows wanted", quant.row_scale.describe(), op.y.row_count());
  check.same_dtype("quant smooth", quant.smooth, "y", op.y.dtype);
  check.that(!quant.smooth.present() || quant.smooth.elements() == n, "quant smooth is {}, [{}] wanted",
             quant.smooth.describe(), n);
}

bool reads_in_place(const TensorView& weight) {
  const bool row_major = weight.step(1) == 1 && weight.step(0) == weight.dim(1);
  const bool transposed = weight.step(0) == 1 && weight.step(1) == weight.dim(0);
  return row_major || transposed || weight.dim(0) <= 1 || weight.dim(1) <= 1;
}

bool needs_staging(const MmAllReduce& op) {
  std::vector<const TensorView*> plain{&op.x1, &op.bias, &op.x3};
  if (op.then) plain.insert(plain.end(), {&op.then->residual, &op.then->gamma});
  if (op.then && op.then->quant)
    plain.insert(plain.end(), {&op.then->quant->scale, &op.then->quant->offset, &op.then->quant->smooth});
  if (op.wire) plain.insert(plain.end(), {&op.wire->first, &op.wire->second});
  if (const auto* quant = std::get_if<Int8Scale>(&op.quant))
    plain.insert(plain.end(), {&quant->channel, &quant->token});
  const auto strided = [](const TensorView* view) { return view->present() && !view->contiguous(); };
  if (std::any_of(plain.begin(), plain.end(), strided)) return true;
  if (!op.x2.present()) return false;
  return op.x2_panel != 0 ? packed_as_columns(op.x2) : op.x2.dtype != DType::i4 && !reads_in_place(op.x2);
}

bool MmAllReduceBody::stage(Lane& lane) {
  std::vector<TensorView*> views{&x1, &bias, &x3, &residual, &gamma, &channel, &token};
  if (wire) views.insert(views.end(), {&wire->first, &wire->second});
  if (norm_quant) views.insert(views.end(), {&norm_quant->scale, &norm_quant->offset, &norm_quant->smooth});
  for (TensorView* view : views) {
    if (!view->present() || view->elements() == 0) continue;
    *view = dense_copy(*view, lane);
    if (view->data == nullptr) return false;
  }
  product.x = x1.data;
  return stage_weight(*this, lane);
}

}  // namespace tandem
