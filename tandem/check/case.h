// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tandem/base/tensor.h"

// Calls of single-device operators as data; tests/cases/norm.json explains the fields.
namespace tandem::check {

// An operand in memory: its view's extents and strides, and every byte from its first to its last element.
struct Operand {
  DType dtype = DType::none;
  std::vector<int64_t> dims, strides;
  std::vector<std::byte> bytes;
  int vendor_dtype = 0;  // of the aclnn tensor where it differs (eight int4 in an int32)

  TensorView view(void* data) const;
  int64_t elements() const;
  // Elements in row-major order of the view; 64-bit integers as integers.
  std::vector<double> values() const;
  double at(int64_t index) const;
};

struct Case {
  std::string id;    // family/name
  std::string line;  // numbered line of the contract it stands for, or ""
  std::string op;
  std::vector<std::string> forms;  // vendor functions that take the same call
  nlohmann::json spec;
  std::map<std::string, std::vector<Operand>> operands;  // lists have several
  std::map<std::string, double> numbers;
  std::map<std::string, std::string> words;
  int status = 0;              // of the vendor's first phase
  int cpp_status = 0;          // the same of the C++ call
  std::string says, cpp_says;  // words of the messages

  const Operand& operand(const std::string& name) const { return operands.at(name).front(); }
  bool has(const std::string& name) const { return operands.contains(name); }
  double number(const std::string& name, double absent) const {
    const auto found = numbers.find(name);
    return found == numbers.end() ? absent : found->second;
  }
};

Case parse_case(const std::string& family, const nlohmann::json& spec);

// Bytes of the operands that a call writes, by name.
using Results = std::map<std::string, std::vector<std::vector<std::byte>>>;

}  // namespace tandem::check
