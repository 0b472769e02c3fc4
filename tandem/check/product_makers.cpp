// SPDX-License-Identifier: Apache-2.0
// Random cases of the matrix products, attention and the routing of experts.
#include "tandem/check/maker.h"

namespace tandem::check {
namespace {

using nlohmann::json;

json matmul(Maker& m) {
  const std::string type = m.float_type();
  const int64_t rows = m.between(1, 20), k = m.chance(5) ? 0 : m.size(), n = m.size();
  Dims a{rows, k}, b{k, n}, y{rows, n};
  if (m.chance(40)) {
    const int64_t batch = m.between(1, 3);
    a.insert(a.begin(), batch);
    y.insert(y.begin(), batch);
    if (m.chance(50)) b.insert(b.begin(), batch);
  }
  json tensors{{"a", m.wild(type, a)}, {"b", m.input(type, b)}, {"y", m.output(type, y)}};
  if (m.chance(40)) tensors["c"] = m.input(type, {m.chance(50) ? n : 1});
  return {{"op", "matmul"},
          {"numbers", {{"alpha", m.chance(50) ? 1 : 0.5}, {"beta", m.chance(50) ? 1 : -2}}},
          {"tensors", tensors}};
}

json linear(Maker& m) {
  const std::string type = m.float_type();
  const int64_t k = m.size(), n = m.size();
  const Dims x{m.between(1, 3), m.between(1, 4), k};
  json tensors{{"x", m.wild(type, x)}, {"weight", m.input(type, {n, k})}, {"y", m.output(type, {x[0], x[1], n})}};
  if (m.chance(60)) tensors["bias"] = m.input(type, {n});
  return {{"op", "linear"}, {"tensors", tensors}};
}

json quant_matmul(Maker& m) {
  const int64_t rows = m.between(1, 20), k = m.size(), n = m.size();
  json tensors{{"x1", m.input("i8", {rows, k}, -128, 128)},
               {"x2", m.input("i8", {k, n}, -128, 128)},
               {"scale", m.input("f32", {m.chance(80) ? n : 1}, 1e-4, 1e-3)},
               {"y", m.output(m.float_type(), {rows, n})}};
  if (m.chance(40)) tensors["token"] = m.input("f32", {rows}, 0.5, 2);
  if (m.chance(40)) tensors["bias"] = m.chance(50) ? m.plain("i32", {n}, -9999, 9999) : m.plain("f16", {n}, -3, 3);
  return {{"op", "quant_matmul"}, {"tensors", tensors}};
}

json weight_quant_matmul(Maker& m) {
  const std::string type = m.float_type();
  const int64_t rows = m.between(1, 20), k = m.between(2, 130), n = 2 * m.between(1, 40),
                group = m.chance(50) ? m.between(1, k) : 0;
  const Dims scale = group > 0 ? Dims{(k + group - 1) / group, n} : Dims{m.chance(80) ? n : 1};
  json tensors{{"x", m.wild(type, {rows, k})},
               {"weight", m.plain(m.one_of({"i8", "i4"}), {k, n}, -8, 8)},
               {"scale", m.plain(type, scale, 0.01, 0.05)},
               {"y", m.output(type, {rows, n})}};
  if (m.chance(60)) tensors["offset"] = m.plain(type, scale, -4, 4);
  if (m.chance(50)) tensors["bias"] = m.plain(type, {n}, -3, 3);
  return {{"op", "weight_quant_matmul"}, {"numbers", {{"group", group}}}, {"tensors", tensors}};
}

// Rising ends of `groups` parts of `rows`, some of them empty.
std::vector<double> ends_of(Maker& m, int64_t rows, int64_t groups) {
  std::vector<double> ends;
  for (int64_t g = 1; g < groups; ++g) ends.push_back(static_cast<double>(m.between(0, rows)));
  std::sort(ends.begin(), ends.end());
  ends.push_back(static_cast<double>(rows));
  return ends;
}

json list_of(json one) { return json::array({std::move(one)}); }

json grouped_matmul(Maker& m) {
  const std::string type = m.float_type();
  const int64_t rows = m.between(1, 30), k = m.between(1, 130), n = 2 * m.between(1, 40), groups = m.between(2, 5);
  const std::string kind = m.one_of({"float", "float", "i8", "i4", "dequant"});
  json tensors{{"x", list_of(m.plain(kind == "dequant" ? "i8" : type, {rows, k}, kind == "dequant" ? -128 : -3,
                                     kind == "dequant" ? 128 : 3))},
               {"y", list_of(m.dense(type, {rows, n}))}};
  const json group{{"dtype", "i64"}, {"dims", {groups}}, {"values", ends_of(m, rows, groups)}};
  tensors[m.chance(70) ? "group" : "ends"] = group;
  const std::string weight = kind == "float" ? type : kind == "dequant" ? "i8" : kind;
  const double most = kind == "float" ? 3 : kind == "dequant" ? 128 : 8;
  tensors["weight"] = list_of(m.plain(weight, {groups, k, n}, -most, most));
  if (kind == "i8" || kind == "i4") tensors["scale"] = list_of(m.plain(type, {groups, n}, 0.01, 0.05));
  if (tensors.contains("scale") && m.chance(60)) tensors["offset"] = list_of(m.plain(type, {groups, n}, -4, 4));
  if (kind == "dequant") {
    tensors["dequant"] = list_of(m.plain("f32", {groups, n}, 1e-4, 1e-3));
    if (m.chance(50)) tensors["token"] = list_of(m.plain("f32", {rows}, 0.5, 2));
  } else if (m.chance(50)) {
    tensors["bias"] = list_of(m.plain(type, {groups, n}, -3, 3));
  }
  return {{"op", "grouped_matmul"}, {"tensors", tensors}};
}

json moe_gating(Maker& m) {
  const int64_t rows = m.between(1, 9), experts = m.between(1, 60), k = m.between(1, std::min<int64_t>(8, experts));
  json tensors{{"x", m.input("f32", {rows, experts})},
               {"y", m.output("f32", {rows, k})},
               {"expert", m.output("i32", {rows, k})},
               {"row", m.output("i32", {rows, k})}};
  if (m.chance(30)) tensors["finished"] = m.plain("u8", {rows}, 0, 2);
  return {{"op", "moe_gating"}, {"numbers", {{"top_k", k}, {"normalise", m.chance(50)}}}, {"tensors", tensors}};
}

json moe_init_routing(Maker& m) {
  const std::string type = m.one_of({"f32", "f16", "bf16", "i8"});
  const int64_t rows = m.between(1, 12), h = m.size(), k = m.between(1, 4), experts = m.between(1, 9), slots = rows * k,
                active = m.chance(60) ? 0 : m.between(1, rows),
                capacity = active == 0 && m.chance(40) ? m.between(1, 4) : 0;
  const Dims expanded = capacity > 0 ? Dims{experts, capacity, h} : Dims{active == 0 ? slots : active * k, h};
  json tensors{{"x", m.input(type, {rows, h})},
               {"expert", m.plain("i32", {rows, k}, 0, static_cast<double>(experts))},
               {"expanded_x", m.dense(type, expanded)},
               {"place", m.dense("i32", {slots})},
               {"tokens", m.dense(m.one_of({"i32", "i64"}), {experts})}};
  if (m.chance(50)) tensors["sorted_expert"] = m.dense("i32", {slots});
  return {{"op", "moe_init_routing"},
          {"numbers", {{"active", active}, {"counts", m.chance(50)}, {"capacity", capacity}}},
          {"tensors", tensors}};
}

json moe_expert_tokens(Maker& m) {
  std::vector<double> ids;
  for (int64_t id = m.between(-1, 2), count = m.between(1, 40); count > 0; --count, id += m.between(0, 2) / 2)
    ids.push_back(static_cast<double>(id));
  json sorted = m.plain("i32", {static_cast<int64_t>(ids.size())}, 0, 1);
  sorted["values"] = ids;
  return {{"op", "moe_expert_tokens"},
          {"tensors", {{"sorted_expert", sorted}, {"tokens", m.dense(m.one_of({"i32", "i64"}), {m.between(1, 20)})}}}};
}

json transdata(Maker& m) {
  const std::string kind = m.one_of({"to_nz", "from_nz", "to_panels", "from_panels"});
  // Panels of int4 have an order of their own, which products check.
  const bool nibbles = kind.ends_with("nz") && m.chance(20);
  const std::string type = nibbles ? "i4" : m.one_of({"f32", "f16", "bf16", "i8"});
  const int64_t batch = m.between(1, 3), k = m.size(), n = (m.size() + 1) / 2 * 2;
  const int64_t columns = type == "i4" ? 64 : type == "i8" ? 32 : type == "f32" ? 8 : 16;
  const Dims plain{batch, k, n}, blocks{batch, (n + columns - 1) / columns, (k + 15) / 16, 16, columns},
      panels{batch * ((n + 63) / 64) * 64 * k};
  const bool out = kind.starts_with("to");
  const Dims& other = kind.ends_with("nz") ? blocks : panels;
  // Two int4 share a byte, so they have no other order of memory.
  const json x = type == "i4" ? m.plain(type, out ? plain : other, -8, 8) : m.input(type, out ? plain : other);
  return {{"op", "transdata"},
          {"words", {{"kind", kind}}},
          {"tensors", {{"x", x}, {"y", m.dense(type, out ? other : plain)}}}};
}

// Numbers 0 .. count in random order.
std::vector<double> shuffled(Maker& m, int64_t count) {
  std::vector<double> all;
  for (int64_t i = 0; i < count; ++i) all.push_back(static_cast<double>(i));
  for (size_t i = all.size(); i > 1; --i)
    std::swap(all[i - 1], all[static_cast<size_t>(m.between(0, static_cast<int64_t>(i) - 1))]);
  return all;
}

// The same, some of them dropped.
std::vector<double> places(Maker& m, int64_t count) {
  std::vector<double> all = shuffled(m, count);
  for (double& place : all) place = m.chance(5) ? -1 : place;
  return all;
}

json moe_finalize_routing(Maker& m) {
  const std::string type = m.float_type();
  const int64_t rows = m.between(1, 10), h = m.size(), k = m.between(1, 4), experts = m.between(1, 6);
  json tensors{{"expanded", m.plain(type, {rows * k, h}, -3, 3)},
               {"place", {{"dtype", "i32"}, {"dims", {rows * k}}, {"values", places(m, rows * k)}}},
               {"y", m.dense(type, {rows, h})}};
  if (m.chance(60)) tensors["scales"] = m.plain(m.chance(50) ? type : "f32", {rows, k}, 0, 1);
  if (m.chance(60)) tensors["skip1"] = m.plain(type, {rows, h}, -3, 3);
  if (tensors.contains("skip1") && m.chance(50)) tensors["skip2"] = m.plain(type, {rows, h}, -3, 3);
  if (m.chance(50)) {
    tensors["bias"] = m.plain(type, {experts, h}, -3, 3);
    tensors["expert"] = m.plain("i32", {rows, k}, 0, static_cast<double>(experts));
  }
  return {{"op", "moe_finalize_routing"}, {"numbers", {{"row_major", m.chance(50)}}}, {"tensors", tensors}};
}

// The keys and values of a decode step, now and then int8, now and then in blocks.
void put_caches(Maker& m, json& made, const std::string& type, const Dims& rows) {
  json& tensors = made["tensors"];
  const bool whole = m.chance(30), paged = m.chance(30);
  const std::string stored = whole ? "i8" : type;
  Dims dims = rows;
  if (paged) {
    const int64_t size = 16 * m.between(1, 3), each = (rows[1] + size - 1) / size, blocks = rows[0] * each;
    tensors["block_table"] = {{"dtype", "i32"}, {"dims", {rows[0], each}}, {"values", shuffled(m, blocks)}};
    made["numbers"]["block_size"] = size;
    dims = {blocks, size, rows[2], rows[3]};
  }
  for (const char* name : {"key", "value"})
    tensors[name] =
        list_of(paged || whole ? m.plain(stored, dims, whole ? -100 : -3, whole ? 100 : 3) : m.input(stored, dims));
  if (!whole) return;
  tensors["kv_scale"] = m.plain("f32", {2}, 0.005, 0.03);
  if (m.chance(50)) tensors["kv_offset"] = m.plain("f32", {2}, -4, 4);
}

json attention(Maker& m) {
  const std::string type = m.one_of({"f16", "bf16"});
  const int64_t kv_heads = m.between(1, 3), heads = kv_heads * m.between(1, 4), dim = m.between(1, 40),
                batch = m.between(1, 3);
  const int64_t positions = m.chance(80) ? m.between(1, 60) : m.between(250, 600);
  json lengths{{"dtype", "i64"}, {"dims", {batch}}, {"range", {0, positions + 1}}};
  json made{{"op", "incre_flash_attention"},
            {"words", {{"order", "BSND"}}},
            {"tensors",
             {{"query", m.input(type, {batch, 1, heads, dim})},
              {"lengths", lengths},
              {"y", m.output(type, {batch, 1, heads, dim})}}},
            {"numbers", {{"heads", heads}, {"kv_heads", kv_heads}, {"scale", 0.25}}}};
  put_caches(m, made, type, {batch, positions, kv_heads, dim});
  json& tensors = made["tensors"];
  if (tensors.contains("block_table")) return made;
  if (m.chance(30)) tensors["mask"] = m.plain("u8", {batch, positions}, 0, 2);
  if (m.chance(30)) tensors["pse"] = m.input(type, {1, heads, 1, positions});
  return made;
}

// Rising ends of so many sequences, up to `most` tokens each.
std::vector<double> rising_ends(Maker& m, int64_t batch, int64_t most) {
  std::vector<double> ends;
  for (int64_t b = 0; b < batch; ++b)
    ends.push_back((b == 0 ? 0 : ends.back()) + static_cast<double>(m.between(b == 0 ? 1 : 0, most)));
  return ends;
}

// The tokens of all sequences one behind the other.
json packed_prompt(Maker& m) {
  const std::string type = m.one_of({"f16", "bf16", "f32"});
  const int64_t kv_heads = m.between(1, 2), heads = kv_heads * m.between(1, 3), dim = m.between(1, 20);
  const int64_t batch = m.between(1, 4);
  const std::vector<double> queries = rising_ends(m, batch, 9), keys = rising_ends(m, batch, m.chance(90) ? 20 : 280);
  const auto tokens = static_cast<int64_t>(queries.back()), positions = static_cast<int64_t>(keys.back());
  return {{"op", "fused_infer_attention"},
          {"words", {{"order", "TND"}, {"causal", m.one_of({"none", "left_up", "right_down"})}}},
          {"tensors",
           {{"query", m.input(type, {tokens, heads, dim})},
            {"key", list_of(m.input(type, {positions, kv_heads, dim}))},
            {"value", list_of(m.input(type, {positions, kv_heads, dim}))},
            {"query_lengths", {{"dtype", "i64"}, {"dims", {batch}}, {"values", queries}}},
            {"lengths", {{"dtype", "i64"}, {"dims", {batch}}, {"values", keys}}},
            {"y", m.output(type, {tokens, heads, dim})}}},
          {"numbers", {{"heads", heads}, {"kv_heads", kv_heads}, {"scale", 0.25}}}};
}

json prompt(Maker& m) {
  if (m.chance(30)) return packed_prompt(m);
  const std::string type = m.one_of({"f16", "bf16", "f32"});
  const int64_t kv_heads = m.between(1, 2), heads = kv_heads * m.between(1, 3), dim = m.between(1, 20);
  const int64_t batch = m.between(1, 3), tokens = m.between(1, 9);
  const int64_t positions = m.chance(90) ? m.between(1, 30) : m.between(255, 290);
  const bool outside = m.chance(40);
  const Dims query = outside ? Dims{batch, heads, tokens, dim} : Dims{batch, tokens, heads, dim};
  const Dims keys = outside ? Dims{batch, kv_heads, positions, dim} : Dims{batch, positions, kv_heads, dim};
  json tensors{{"query", m.input(type, query)},
               {"key", list_of(m.input(type, keys))},
               {"value", list_of(m.input(type, keys))},
               {"query_lengths", {{"dtype", "i64"}, {"dims", {batch}}, {"range", {0, tokens + 1}}}},
               {"lengths", {{"dtype", "i64"}, {"dims", {batch}}, {"range", {0, positions + 1}}}},
               {"y", m.output(type, query)}};
  if (m.chance(30)) tensors["mask"] = m.plain("u8", {batch, tokens, positions}, 0, 2);
  if (m.chance(30)) tensors["pse"] = m.input(type, {1, heads, tokens, positions});
  return {{"op", "fused_infer_attention"},
          {"words", {{"order", outside ? "BNSD" : "BSND"}, {"causal", m.one_of({"none", "left_up", "right_down"})}}},
          {"tensors", tensors},
          {"numbers", {{"heads", heads}, {"kv_heads", kv_heads}, {"scale", 0.25}}}};
}

json reshape_and_cache(Maker& m) {
  const std::string type = m.one_of({"f32", "f16", "bf16", "i8"});
  const int64_t blocks = m.between(1, 5), size = m.between(1, 8), heads = m.between(1, 3), d = m.between(1, 20),
                tokens = m.between(1, std::min<int64_t>(6, blocks * size));
  std::vector<double> slots = places(m, blocks * size);
  slots.resize(static_cast<size_t>(tokens));
  const Dims row{tokens, heads, d}, cache{blocks, size, heads, d};
  return {{"op", "reshape_and_cache"},
          {"tensors",
           {{"key", m.input(type, row)},
            {"value", m.input(type, row)},
            {"slot", {{"dtype", "i32"}, {"dims", {tokens}}, {"values", slots}}},
            {"key_cache", m.plain(type, cache, -3, 3)},
            {"value_cache", m.plain(type, cache, -3, 3)}}}};
}

json paged_cache_load(Maker& m) {
  const std::string type = m.one_of({"f32", "f16", "bf16", "i8"});
  const int64_t batch = m.between(1, 4), size = m.between(1, 8), each = m.between(1, 3), heads = m.between(1, 3),
                d = m.between(1, 20), blocks = batch * each;
  const bool ends = m.chance(50);
  std::vector<double> context;
  double rows = 0;
  for (int64_t b = 0; b < batch; ++b) {
    const auto length = static_cast<double>(m.between(b == 0 ? 1 : 0, each * size));
    rows += length;
    context.push_back(ends ? rows : length);
  }
  const Dims cache{blocks, size, heads, d}, row{static_cast<int64_t>(rows), heads, d};
  return {{"op", "paged_cache_load"},
          {"numbers", {{"ends", ends}}},
          {"tensors",
           {{"key_cache", m.plain(type, cache, -3, 3)},
            {"value_cache", m.plain(type, cache, -3, 3)},
            {"block_table", {{"dtype", "i32"}, {"dims", {batch, each}}, {"values", shuffled(m, blocks)}}},
            {"context", {{"dtype", "i32"}, {"dims", {batch}}, {"values", context}}},
            {"key", m.output(type, row)},
            {"value", m.output(type, row)}}}};
}

}  // namespace

std::vector<Family> product_families() {
  return {{"matmul", matmul},
          {"linear", linear},
          {"quant_matmul", quant_matmul},
          {"weight_quant_matmul", weight_quant_matmul},
          {"grouped_matmul", grouped_matmul},
          {"transdata", transdata}};
}

std::vector<Family> attention_families() {
  return {{"incre_flash_attention", attention},
          {"fused_infer_attention", prompt},
          {"paged_cache_load", paged_cache_load},
          {"reshape_and_cache", reshape_and_cache}};
}

std::vector<Family> moe_families() {
  return {{"moe_gating", moe_gating},
          {"moe_init_routing", moe_init_routing},
          {"moe_expert_tokens", moe_expert_tokens},
          {"moe_finalize_routing", moe_finalize_routing}};
}

}  // namespace tandem::check
