// SPDX-License-Identifier: Apache-2.0
#include "front/python/catalogue.h"

#include <algorithm>
#include <span>
#include <utility>

#include "front/python/fused.h"
#include "tandem/ops/attention.h"
#include "tandem/ops/elementwise.h"
#include "tandem/ops/grouped_matmul.h"
#include "tandem/ops/matmul.h"
#include "tandem/ops/moe_ffn.h"
#include "tandem/ops/moe_routing.h"
#include "tandem/ops/movement.h"
#include "tandem/ops/norm.h"
#include "tandem/ops/quantize.h"
#include "tandem/ops/rope.h"
#include "tandem/ops/transdata.h"

namespace tandem::python {
namespace {

// Members that the rows of a table cannot name: enumerations by their words, and lists of integers.
template <class Op>
struct Choice {
  Word word;
  void (*set)(Op&, size_t);
};
template <class Op>
struct List {
  Integers list;
  void (*set)(Op&, std::vector<int64_t>);
};
template <class Op>
struct Extras {
  std::vector<Choice<Op>> choices;
  std::vector<List<Op>> lists;
};

template <auto Member, class Op>
void set_enum(Op& op, size_t value) {
  using Enum = std::remove_reference_t<decltype(op.*Member)>;
  op.*Member = static_cast<Enum>(value);
}
template <auto Member, class Op>
void set_list(Op& op, std::vector<int64_t> values) {
  auto& list = op.*Member;
  list.assign(values.begin(), values.end());
}

template <class Op>
Extras<Op> extras_of() {
  return {};
}
template <>
Extras<Quantize> extras_of() {
  return {{{{"rounding", "of ties and fractions", {"half_even", "floor", "ceil", "trunc"}},
            set_enum<&Quantize::rounding, Quantize>}},
          {}};
}
template <>
Extras<Activation> extras_of() {
  static const auto set = [](Activation& op, size_t value) {
    constexpr Unary kOrder[] = {Unary::silu,        Unary::gelu,       Unary::scale,
                                Unary::copy,        Unary::negate,     Unary::absolute,
                                Unary::square_root, Unary::reciprocal, Unary::exponential};
    op.op = kOrder[value];
  };
  return {{{{"op",
             "the function",
             {"silu", "gelu", "scale", "copy", "negate", "absolute", "square_root", "reciprocal", "exponential"}},
            set}},
          {}};
}
template <>
Extras<Arithmetic> extras_of() {
  return {{{{"op", "the function", {"add", "subtract", "multiply", "divide", "maximum", "minimum"}},
            set_enum<&Arithmetic::op, Arithmetic>}},
          {}};
}
template <>
Extras<Rope> extras_of() {
  return {{{{"form", "which columns turn together", {"half", "interleave", "quarter"}}, set_enum<&Rope::form, Rope>}},
          {}};
}
template <>
Extras<Transdata> extras_of() {
  return {{{{"kind", "from which layout to which", {"to_nz", "from_nz", "to_panels", "from_panels"}},
            set_enum<&Transdata::kind, Transdata>}},
          {}};
}
template <>
Extras<GroupedMatmul> extras_of() {
  static const auto set = [](GroupedMatmul& op, size_t value) {
    constexpr Unary kOrder[] = {Unary::copy, Unary::silu, Unary::gelu};
    op.activation = kOrder[value];
  };
  return {{{{"activation", "of the products", {"copy", "silu", "gelu"}}, set}},
          {{{"ends", "the row behind each group"}, set_list<&GroupedMatmul::ends, GroupedMatmul>}}};
}
template <>
Extras<IncreFlashAttention> extras_of() {
  using Op = IncreFlashAttention;
  return {{{{"order", "of dimensions", {"bsh", "bsnd", "bnsd"}}, set_enum<&Op::order, Op>}},
          {{{"lengths", "positions of each sequence; none: all"}, set_list<&Op::lengths, Op>}}};
}
template <>
Extras<FusedInferAttention> extras_of() {
  using Op = FusedInferAttention;
  return {{{{"order", "of dimensions", {"bsh", "bsnd", "bnsd", "tnd"}}, set_enum<&Op::order, Op>},
           {{"causal", "positions a token sees", {"none", "left_up", "right_down"}}, set_enum<&Op::causal, Op>}},
          {{{"query_lengths", "tokens of each sequence; none: all"}, set_list<&Op::query_lengths, Op>},
           {{"lengths", "positions of each sequence; none: all"}, set_list<&Op::lengths, Op>}}};
}
template <>
Extras<MoeFfn> extras_of() {
  static const auto set = [](MoeFfn& op, size_t value) { op.activation = value == 0 ? Unary::silu : Unary::gelu; };
  return {{{{"activation", "of experts without gate", {"silu", "gelu"}}, set}},
          {{{"owner", "rank of each expert; none: even parts"}, set_list<&MoeFfn::owner, MoeFfn>}}};
}
template <class Op>
requires std::derived_from<Op, MmCall> Extras<Op> extras_of() {
  static const auto set = [](Op& op, size_t value) {
    if (value > 0) op.math = value == 1 ? Math::exact : Math::fast;
  };
  static const auto reduce = [](Op& op, size_t value) {
    constexpr std::string_view kNames[] = {"sum", "prod", "max", "min", "avg"};
    op.reduction = kNames[value];
  };
  Extras<Op> extras;
  extras.choices = {{{"math", "of the products; default: what TANDEM_MATH says", {"default", "exact", "fast"}}, set}};
  if (std::same_as<Op, MmAllReduceCall>) {
    extras.choices.push_back({{"reduction", "over ranks", {"sum", "prod", "max", "min", "avg"}}, reduce});
  }
  if (!std::same_as<Op, MmAllReduceCall>) {
    extras.lists.push_back({{"counts", "rows of each rank; none: even parts"}, set_list<&Op::counts, Op>});
  }
  return extras;
}

template <class Op>
concept Grouped = requires(Op op) {
  requires std::same_as<decltype(op.group), std::string_view>;
};

template <class Op>
class CallOf final : public Call {
 public:
  void give(size_t row, const TensorView& tensor) override {
    const Field<Op>& field = table_of<Op>().fields[row];
    if (field.list != nullptr) return (op_.*field.list).push_back(tensor);
    op_.*field.member = tensor;
  }
  void integer(size_t figure, int64_t value) override { set(figure, value); }
  void real(size_t figure, double value) override { set(figure, value); }
  void choose(size_t word, size_t value) override { extras_of<Op>().choices[word].set(op_, value); }
  void integers(size_t list, std::vector<int64_t> values) override {
    extras_of<Op>().lists[list].set(op_, std::move(values));
  }
  void group(std::string_view name) override {
    if constexpr (Grouped<Op>) op_.group = name;
  }
  Expected<Plan> plan(Device& device) const override {
    using tandem::plan;
    using tandem::python::plan;
    return plan(op_, device);
  }

 private:
  template <class Value>
  void set(size_t figure, Value value) {
    std::visit([&]<class T>(T Op::*member) { op_.*member = static_cast<T>(value); },
               table_of<Op>().numbers[figure].member);
  }
  Op op_{};
};

template <class Op>
Figure figure_of(const Number<Op>& number) {
  [[maybe_unused]] static const Op standard{};
  return std::visit(
      [&]<class T>(T Op::*member) -> Figure {
        const Kind kind = std::same_as<T, bool> ? Kind::boolean : std::same_as<T, double> ? Kind::real : Kind::integer;
        return {number.name, number.text, number.range, kind, static_cast<double>(standard.*member)};
      },
      number.member);
}

template <class Op>
Entry entry() {
  const OperatorTable<Op>& table = table_of<Op>();
  Entry made{table.name, table.formula, {}, {}, {}, {}, Grouped<Op>, nullptr};
  for (const Field<Op>& field : table.fields) made.rows.push_back({field.row, field.list != nullptr});
  for (const Number<Op>& number : table.numbers) made.figures.push_back(figure_of(number));
  for (const auto& choice : extras_of<Op>().choices) made.words.push_back(choice.word);
  for (const auto& list : extras_of<Op>().lists) made.lists.push_back(list.list);
  made.call = []() -> std::unique_ptr<Call> { return std::make_unique<CallOf<Op>>(); };
  return made;
}

template <class... Ops>
std::vector<Entry> entries() {
  return {entry<Ops>()...};
}

}  // namespace

const std::vector<Entry>& catalogue() {
  static const std::vector<Entry> kAll =
      entries<MmAllReduceCall, MmReduceScatterCall, AllGatherMmCall, MoeFfn, RmsNorm, RmsNormQuant, RmsNormDynamicQuant,
              Quantize, Dequantize, DynamicQuant, TransQuantParam, Cast, Activation, Arithmetic, Swiglu, Softmax, Rope,
              Copy, Gather, Matmul, Linear, QuantMatmul, WeightQuantMatmul, GroupedMatmul, IncreFlashAttention,
              FusedInferAttention, ReshapeAndCache, PagedCacheLoad, LayerNorm, RmsNormBackward, Transdata, MoeGating,
              MoeInitRouting, MoeExpertTokens, MoeFinalizeRouting>();
  return kAll;
}

const Entry* find_entry(std::string_view name) {
  const auto found = std::ranges::find(catalogue(), name, &Entry::name);
  return found == catalogue().end() ? nullptr : &*found;
}

}  // namespace tandem::python
