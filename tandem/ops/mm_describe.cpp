// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tandem/exec/device.h"
#include "tandem/exec/team.h"
#include "tandem/ops/mm_all_reduce_body.h"

// The verbose line of a product with a collective: enough of it that `tandem bench op --replay` makes the call again.
namespace tandem {
namespace {

std::string_view name_of(Tail tail) {
  constexpr std::string_view kNames[] = {"none", "add", "add_rms_norm", "add:replicated", "add_rms_norm:replicated"};
  return kNames[static_cast<size_t>(tail)];
}

const Weight& leading_weight(const MmAllReduceBody& body) {
  return body.experts.empty() ? body.product.w : body.experts.front();
}

std::string_view layout_of(const Weight& weight) {
  if (weight.panel != 0) return "packed";
  return weight.stride_n == 1 ? "row" : "transposed";
}

std::string quant_of(const MmAllReduceBody& body) {
  if (body.channel.present()) {
    return fmt::format("{}:{}{}", body.channel.elements() == 1 ? "tensor" : "channel", dtype_name(body.channel.dtype),
                       body.token.present() ? "+token" : "");
  }
  const ScaleView& scale = body.product.scale;
  if (scale.data == nullptr) return "none";
  const std::string form = body.product.group > 0 ? fmt::format("group{}", body.product.group)
                           : scale.stride_n == 0  ? "tensor"
                                                  : "channel";
  return fmt::format("{}:{}{}", form, dtype_name(scale.dtype), body.product.offset.data != nullptr ? "+offset" : "");
}

std::string_view algorithm_of(const MmAllReduceBody& body) {
  if (body.comm->size() == 1) return "alone";
  if (body.split != RowSplit::none) return "direct";
  return body.chunks.one_shot ? "one_shot" : "two_shot";
}

Prediction predicted(const MmAllReduceBody& body) {
  WorkFacts facts{.m = body.rows, .n = body.n, .k = body.k, .ranks = body.comm->size()};
  if (body.top_k > 0) facts.k *= body.top_k;
  if (const auto device = Device::get(body.comm->device())) {
    facts.threads = (*device)->team()->size();
    facts.oversubscribed = (*device)->oversubscribed();
  }
  facts.several_hosts = body.comm->several_hosts();
  facts.weight_bytes = dtype_bits(leading_weight(body).dtype) / 8.0;
  facts.integer = body.product.x_dtype == DType::i8 || body.product.math == Math::fast;
  facts.portable = body.table->name == "portable" || body.table->name == "reference";
  facts.overlap = body.overlap == Overlap::on;
  return predict(facts, body.chunks);
}

}  // namespace

std::string MmAllReduceBody::describe() const {
  std::string text = fmt::format("rank={}/{} m={} n={} k={}", comm->rank(), comm->size(), rows, n, k);
  if (top_k > 0) text += fmt::format(" top_k={}", top_k);
  text += fmt::format(" x={} w={} y={} layout={} quant={} bias={} x3={} tail={} math={} table={}",
                      dtype_name(product.x_dtype), dtype_name(leading_weight(*this).dtype), dtype_name(output),
                      layout_of(leading_weight(*this)), quant_of(*this),
                      bias.present() ? dtype_name(bias.dtype) : "none", x3.present() ? dtype_name(x3.dtype) : "none",
                      name_of(tail), product.math == Math::fast ? "fast" : "exact", table->name);
  if (reduction != Combine::sum) text += fmt::format(" reduction={}", static_cast<int>(reduction));
  if (wire) text += " wire=int8";
  if (norm_quant) text += " norm=int8";
  const Prediction guess = predicted(*this);
  return text + fmt::format(" transport={} algorithm={} chunks={}x{} overlap={}({}) predicted={:.1f}us",
                            comm->several_hosts() ? "hosts" : "memory", algorithm_of(*this), chunks.count(),
                            chunks.chunk_rows, overlap == Overlap::on ? "on" : "off", overlap_why, guess.total_us);
}

}  // namespace tandem
