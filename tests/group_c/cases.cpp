// SPDX-License-Identifier: Apache-2.0
#include "tests/group_c/cases.h"

#include <fstream>

#include "tandem/check/fused_problem.h"

namespace tandem::group_c {
namespace {

using nlohmann::json;

std::vector<Bytes> by_rank(const Case& c, const json& values) {
  std::vector<Bytes> all;
  const bool same = values.empty() || !values.front().is_array();
  for (int rank = 0; rank < c.ranks; ++rank) {
    const json& own = same ? values : values.at(static_cast<size_t>(rank));
    all.push_back(encode(c.dtype, own.get<std::vector<double>>()));
  }
  return all;
}

}  // namespace

DType dtype_of(const std::string& name) {
  for (const DType dtype : {DType::i8, DType::i16, DType::i32, DType::i64, DType::f16, DType::bf16, DType::f32}) {
    if (dtype_name(dtype) == name) return dtype;
  }
  return DType::none;
}

Bytes encode(DType dtype, const std::vector<double>& values) {
  Bytes bytes(dtype_bytes(dtype, static_cast<int64_t>(values.size())));
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::i16) {
      reinterpret_cast<int16_t*>(bytes.data())[i] = static_cast<int16_t>(values[i]);
    } else {
      fused::store(dtype, bytes.data(), static_cast<int64_t>(i), values[i]);
    }
  }
  return bytes;
}

json read_file() {
  std::ifstream file(TANDEM_SOURCE_DIR "/tests/cases/group_c.json");
  return json::parse(file);
}

size_t Case::bytes_of(int rank) const {
  const int64_t elements = equal_parts() ? rows * columns / ranks : counts[static_cast<size_t>(rank)] * scale();
  return elements < 0 ? 0 : dtype_bytes(dtype, elements);
}

std::vector<Case> read_values(const json& file) {
  std::vector<Case> cases;
  for (const json& spec : file.at("values")) {
    Case c;
    c.line = spec.at("line");
    c.name = spec.value("name", "");
    c.op = spec.value("op", c.op);
    c.how = spec.value("how", c.how);
    c.dtype = dtype_of(spec.value("dtype", "f16"));
    c.ranks = spec.value("ranks", c.ranks);
    c.rows = spec.at("rows");
    c.columns = spec.value("columns", c.columns);
    c.in_rows = spec.value("unit", "elements") == "rows";
    c.counts = spec.value("counts", std::vector<int64_t>{});
    c.at = spec.value("at", std::vector<int64_t>{});
    c.receive = spec.value("receive", c.counts);
    c.forms = spec.value("forms", std::vector<std::string>{"cpp", "hccl", "atb"});
    c.codes = spec.value("codes", json::object());
    c.x = by_rank(c, spec.at("x"));
    c.expect = by_rank(c, spec.at("expect"));
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace tandem::group_c
