// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tandem/base/dtype.h"

// Cases of tests/cases/group_c.json, whose "about" explains the fields, and the ways to run them.
namespace tandem::group_c {

using Bytes = std::vector<std::byte>;

struct Case {
  std::string line, name, op = "reduce_scatter_v", how = "sum";
  DType dtype = DType::f16;
  int ranks = 2;
  int64_t rows = 0, columns = 1;
  std::vector<Bytes> x, expect;  // by rank
  std::vector<int64_t> counts, at, receive;
  bool in_rows = false;
  std::vector<std::string> forms;
  nlohmann::json codes;

  bool equal_parts() const { return op == "reduce_scatter"; }
  // In elements.
  int64_t scale() const { return in_rows ? columns : 1; }
  size_t bytes_of(int rank) const;
};

nlohmann::json read_file();
std::vector<Case> read_values(const nlohmann::json& file);
DType dtype_of(const std::string& name);
Bytes encode(DType dtype, const std::vector<double>& values);

// All of them: "" or what is wrong, the code of a refusal compared with codes.<form>.
std::string run_cpp(const Case& c);
std::string run_hccl(const Case& c);
std::string run_atb(const Case& c);
std::string refuse_atb(const nlohmann::json& refusal);

// Lines that are not one call.
struct Property {
  const char* line;
  std::string (*check)();
};
std::vector<Property> cpp_properties();
std::vector<Property> hccl_properties();
std::vector<Property> atb_properties();

}  // namespace tandem::group_c
