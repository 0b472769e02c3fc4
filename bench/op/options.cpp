// SPDX-License-Identifier: Apache-2.0
#include "bench/op/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

namespace tandem::bench::op {
namespace {

constexpr int64_t kMostExtent = 1 << 24;
constexpr int kMostReplayed = 64;

std::optional<OpKind> kind_of(std::string_view operation) {
  if (operation.starts_with("mm_all_reduce")) return OpKind::all_reduce;
  if (operation.starts_with("mm_reduce_scatter")) return OpKind::reduce_scatter;
  if (operation.starts_with("all_gather_mm")) return OpKind::all_gather;
  return std::nullopt;
}

// "", "_add_rms_norm"
bool known_operation(std::string_view operation) {
  for (const std::string_view name : {"mm_all_reduce", "mm_reduce_scatter", "all_gather_mm"}) {
    if (operation == name || operation == std::string(name) + "_add_rms_norm") return true;
  }
  return false;
}

std::optional<int64_t> number(std::string_view text, int64_t low, int64_t high) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < low || value > high) return std::nullopt;
  return value;
}

// fp16, bf16, fp32; int8, int4, with -gN and with a floating type before it: bf16-int4-g64; w8a8.
bool set_type(std::string_view word, fused::Problem& p) {
  p.dtype = p.output = DType::f16;
  p.scales = "none";
  p.bias = "none";
  p.offset = false;
  for (const auto& [name, dtype] :
       {std::pair{"fp16", DType::f16}, std::pair{"bf16", DType::bf16}, std::pair{"fp32", DType::f32}}) {
    const std::string_view floating = name;
    if (word == floating) {
      p.dtype = p.output = p.weight = dtype;
      return true;
    }
    if (!word.starts_with(floating) || word[floating.size()] != '-') continue;
    p.dtype = p.output = dtype;
    word.remove_prefix(floating.size() + 1);
    break;
  }
  p.scales = "channel";
  if (word == "w8a8") {
    p.dtype = p.weight = DType::i8;
    p.scale_dtype = DType::f32;
    p.token = true;
    return true;
  }
  if (!word.starts_with("int8") && !word.starts_with("int4")) return false;
  p.weight = word.starts_with("int8") ? DType::i8 : DType::i4;
  word.remove_prefix(4);
  if (word.empty()) return true;
  const auto group = word.starts_with("-g") ? number(word.substr(2), 2, kMostExtent) : std::nullopt;
  if (!group) return false;
  p.scales = "group";
  p.group = *group;
  return true;
}

using Words = std::map<std::string, std::string, std::less<>>;

// "name=value" of a verbose line, up to its second last comma.
Words words_of(std::string_view text) {
  Words words;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(" ,"), text.size());
    const std::string_view word = text.substr(0, end);
    const size_t equals = word.find('=');
    if (equals != std::string_view::npos) words.emplace(word.substr(0, equals), word.substr(equals + 1));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

std::string word_at(const Words& words, std::string_view name) {
  const auto found = words.find(name);
  return found == words.end() ? "" : found->second;
}

// "channel:f16+offset", "group128:f16", "channel:f32+token", "none"
bool set_quant(std::string_view text, fused::Problem& p) {
  p.scales = "none";
  p.offset = p.token = false;
  if (text == "none") return true;
  const size_t colon = text.find(':'), plus = text.find('+');
  if (colon == std::string_view::npos) return false;
  const std::string_view form = text.substr(0, colon);
  p.scale_dtype = dtype_from_name(text.substr(colon + 1, plus == std::string_view::npos ? plus : plus - colon - 1));
  p.token = text.ends_with("+token");
  p.offset = text.ends_with("+offset");
  if (p.scale_dtype == DType::none) return false;
  p.scales = form.starts_with("group") ? "group" : std::string(form);
  if (form == "tensor" || form == "channel") return true;
  const auto group = form.starts_with("group") ? number(form.substr(5), 1, kMostExtent) : std::nullopt;
  p.group = group.value_or(0);
  return group.has_value();
}

tl::unexpected<Error> no_line(std::string_view why) {
  return fail(ErrorCode::invalid_argument, fmt::format("--replay: {}; a line of TANDEM_VERBOSE=1 wanted", why));
}

}  // namespace

double OpProblem::weight_bytes() const {
  const fused::Problem& p = data;
  const double weight = static_cast<double>(dtype_bytes(p.weight, p.k * p.n));
  if (p.scales == "none") return weight;
  const DType scale = p.scale_dtype == DType::none ? p.output : p.scale_dtype;
  const int64_t count = p.groups() * (p.scales == "tensor" ? 1 : p.n) * (p.offset ? 2 : 1);
  return weight + static_cast<double>(dtype_bytes(scale, count));
}

double OpProblem::communicated_bytes() const {
  const double others = ranks - 1, share = others / ranks;
  if (kind == OpKind::all_gather) return share * static_cast<double>(dtype_bytes(data.dtype, data.m * data.k));
  const double partial = static_cast<double>(data.m * data.n) * 4;
  return share * partial * (kind == OpKind::all_reduce ? 2 : 1);
}

std::string complaint_about(const OpOptions& o) {
  if (!o.replay.empty()) {
    const auto problem = problem_of_line(o.replay);
    return problem ? "" : problem.error().message;
  }
  if (!known_operation(o.operation)) {
    return fmt::format("{}: known are mm_all_reduce, mm_reduce_scatter, all_gather_mm, each also with _add_rms_norm",
                       o.operation);
  }
  for (const std::string& type : o.types) {
    fused::Problem ignored;
    if (!set_type(type, ignored)) {
      return fmt::format(
          "-d {}: known are fp16, bf16, fp32, int8, int4, w8a8, with a group int4-g128, and "
          "activations before them: bf16-int8",
          type);
    }
  }
  const bool odd = std::any_of(o.n.begin(), o.n.end(), [](int64_t n) { return n % 2 != 0; });
  return odd ? "-n: even numbers wanted" : "";
}

std::vector<OpProblem> problems_of(const OpOptions& o, int ranks) {
  if (!o.replay.empty()) return {*problem_of_line(o.replay)};
  std::vector<OpProblem> all;
  for (const std::string& type : o.types) {
    for (const int64_t k : o.k) {
      for (const int64_t n : o.n) {
        for (const std::string& math : o.maths) {
          for (const int64_t m : o.m) {
            OpProblem problem{o.operation, type, o.layout, *kind_of(o.operation), Math::exact, {}, ranks};
            set_type(type, problem.data);
            const bool weight_only = problem.data.scales != "none" && !problem.data.integer();
            if (math == "fast" && !weight_only) continue;
            problem.math = math == "fast" ? Math::fast : Math::exact;
            problem.data.offset = o.offset && weight_only;
            problem.data.ranks = problem.kind == OpKind::all_gather ? 1 : ranks;
            problem.data.m = m, problem.data.k = k, problem.data.n = n;
            problem.data.tail = o.operation.ends_with("_add_rms_norm");
            problem.data.replicated = o.replicated;
            problem.data.transposed = o.layout == "transposed";
            all.push_back(std::move(problem));
          }
        }
      }
    }
  }
  return all;
}

Expected<OpProblem> problem_of_line(std::string_view line) {
  if (line.starts_with("tandem,")) line.remove_prefix(7);
  const std::string_view name = line.substr(0, line.find(','));
  const auto kind = kind_of(name);
  if (!kind || !known_operation(name)) return no_line(fmt::format("operator {} cannot be replayed", name));
  const Words words = words_of(line);
  const std::string rank = word_at(words, "rank");
  const auto slash = rank.find('/');
  const auto ranks = number(slash == std::string::npos ? "" : rank.substr(slash + 1), 1, kMostReplayed);
  const auto m = number(word_at(words, "m"), 1, kMostExtent), n = number(word_at(words, "n"), 1, kMostExtent);
  const auto k = number(word_at(words, "k"), 1, kMostExtent);
  if (!ranks || !m || !n || !k) return no_line("rank, m, n or k is missing");
  for (const char* beyond : {"top_k", "reduction", "wire", "norm"}) {
    if (words.contains(beyond)) return no_line(fmt::format("a call with {} cannot be replayed", beyond));
  }
  OpProblem problem{std::string(name), "replay", word_at(words, "layout"), *kind,
                    Math::exact,       {},       static_cast<int>(*ranks)};
  fused::Problem& p = problem.data;
  p.ranks = *kind == OpKind::all_gather ? 1 : problem.ranks;
  p.m = *m, p.n = *n, p.k = *k;
  p.dtype = dtype_from_name(word_at(words, "x"));
  p.weight = dtype_from_name(word_at(words, "w"));
  p.output = dtype_from_name(word_at(words, "y"));
  if (p.dtype == DType::none || p.weight == DType::none || p.output == DType::none)
    return no_line("x, w or y is missing");
  if (!set_quant(word_at(words, "quant"), p)) return no_line("quant is missing");
  const bool known_layout = problem.layout == "row" || problem.layout == "packed" || problem.layout == "transposed";
  if (!known_layout) return no_line("layout is missing");
  p.transposed = problem.layout == "transposed";
  p.bias = word_at(words, "bias") == "none" ? "none" : "all";
  p.x3 = word_at(words, "x3") == "none" ? "none" : "all";
  const std::string tail = word_at(words, "tail");
  p.tail = tail.starts_with("add_rms_norm");
  p.replicated = tail.ends_with(":replicated");
  problem.math = word_at(words, "math") == "fast" ? Math::fast : Math::exact;
  return problem;
}

}  // namespace tandem::bench::op
