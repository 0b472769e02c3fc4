// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
#include <cmath>

#include "tests/ops/aclnn_call.h"
#include "tests/ops/case.h"

namespace tandem::ops_test {
namespace {

using nlohmann::json;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// Whether `text` names `word`: short ones as whole words.
bool names(const std::string& text, const std::string& word) {
  const auto letter = [&](size_t i) {
    return i < text.size() && std::isalnum(static_cast<unsigned char>(text[i])) != 0;
  };
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    if (word.size() > 2 || (!(at > 0 && letter(at - 1)) && !letter(at + word.size()))) return true;
  }
  return false;
}

std::string check_status(const char* who, const Outcome& got, int wanted, const std::string& says) {
  if (got.status != wanted) return fmt::format("{} gave {} ({}), {} wanted", who, got.status, got.message, wanted);
  if (wanted == 0) return got.message;
  return !says.empty() && names(lower(got.message), lower(says))
             ? ""
             : fmt::format("{} says \"{}\", which does not name \"{}\"", who, got.message, says);
}

Operand with_bytes(const Operand& like, const std::vector<std::byte>& bytes) {
  Operand o = like;
  o.bytes = bytes;
  return o;
}

double number_of(const json& value) {
  if (value.is_number()) return value.get<double>();
  const auto text = value.get<std::string>();
  if (text == "nan") return NAN;
  if (text == "inf") return HUGE_VAL;
  return text == "-inf" ? -HUGE_VAL : static_cast<double>(std::stoull(text, nullptr, 0));
}

std::string hex_of(const std::vector<std::byte>& bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<int>(byte));
  return text;
}

// What the case itself says about results: {"y": {"values": [..], "tolerance": 1e-6}}, {"y": {"same_as": "x"}} or
// {"y": {"bytes": "780f"}}; "all" is a value for every element.
std::string check_expectations(const Case& c, const Results& results) {
  const json expected = c.spec.value("expect", json::object());
  for (const auto& [name, said] : expected.items()) {
    const Operand got = with_bytes(c.operand(name), results.at(name).front());
    Wanted wanted;
    if (said.contains("bytes") && hex_of(got.bytes) != said.at("bytes").get<std::string>()) {
      return fmt::format("{} has the bytes {}, {} wanted", name, hex_of(got.bytes),
                         said.at("bytes").get<std::string>());
    }
    if (said.size() == 1 && said.contains("bytes")) continue;
    if (said.contains("all")) wanted.values.assign(static_cast<size_t>(got.elements()), number_of(said.at("all")));
    if (said.contains("same_as")) wanted.values = c.operand(said.at("same_as")).values();
    for (const json& value : said.value("values", json::array())) wanted.values.push_back(number_of(value));
    wanted.bounds.assign(wanted.values.size(), said.value("tolerance", 0.0));
    if (auto wrong = compare(name, got, wanted); !wrong.empty()) return wrong;
  }
  return {};
}

std::string check_oracle(const Case& c, const Operator& op, const Results& results) {
  if (op.oracle == nullptr || !c.spec.value("oracle", true)) return {};
  for (const auto& [name, wanted] : op.oracle(c)) {
    const auto got = results.find(name);
    if (got == results.end()) continue;
    if (auto wrong = compare(name, with_bytes(c.operand(name), got->second.front()), wanted); !wrong.empty())
      return wrong;
  }
  return {};
}

// The same bits as the C++ call, and no operand written that is only read.
std::string check_bits(const Case& c, const Results& cpp, const Results& vendor) {
  for (const auto& [name, operands] : c.operands) {
    const auto result = cpp.find(name);
    for (size_t i = 0; i < operands.size(); ++i) {
      const auto& wanted = result == cpp.end() ? operands[i].bytes : result->second[i];
      if (vendor.at(name)[i] != wanted)
        return name + (result == cpp.end() ? " was written" : " has other bits than the C++ call");
    }
  }
  return {};
}

std::string run_form(const Case& c, const std::string& name, const Results& cpp) {
  const auto form = std::find_if(forms().begin(), forms().end(), [&](const Form& f) { return f.name == name; });
  if (form == forms().end()) return "no form " + name;
  const Outcome got = call_aclnn(c, *form);
  if (auto wrong = check_status(name.c_str(), got, c.status, c.says); !wrong.empty()) return wrong;
  if (c.status != 0 || c.cpp_status != 0) return {};
  const auto wrong = check_bits(c, cpp, got.results);
  return wrong.empty() ? "" : name + ": " + wrong;
}

}  // namespace

std::string run_case(const Case& c) {
  const Operator& op = find_operator(c.op);
  const Outcome cpp = op.call(c);
  if (c.spec.contains("run_status")) return check_status("the C++ run", cpp, c.spec.at("run_status"), c.cpp_says);
  if (auto wrong = check_status("the C++ call", cpp, c.cpp_status, c.cpp_says); !wrong.empty()) return wrong;
  if (c.cpp_status == 0) {
    if (auto wrong = check_oracle(c, op, cpp.results); !wrong.empty()) return wrong;
    if (auto wrong = check_expectations(c, cpp.results); !wrong.empty()) return wrong;
  }
  for (const std::string& form : c.forms) {
    if (auto wrong = run_form(c, form, cpp.results); !wrong.empty()) return wrong;
  }
  return {};
}

}  // namespace tandem::ops_test
