// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tandem/check/fused_problem.h"

// tests/cases/group_a.json as structures; the file's "about" explains the fields.
namespace tandem::group_a {

// What a tensor's descriptor says instead of what the problem implies.
struct Override {
  std::optional<std::vector<int64_t>> dims, strides, storage;
  std::string dtype, format;
  // Other than a reshape: the memory need not make sense, the case must be refused.
  bool reshape_only() const { return dtype.empty() && format.empty() && !strides && !storage; }
};

struct Step {
  std::string action;             // plan run sync check clear untouched pack repeatable destroy "drop descriptors"
  std::string executor = "a";     // name of an executor, or none
  std::string workspace = "own";  // own null zero none short
  int status = 0;
};

struct Case {
  std::string id;  // line/name
  fused::Problem problem;
  std::string form;
  double epsilon = 0;
  std::string group, reduce_op;
  int64_t comm_turn = 0, stream_mode = 1, group_size = 0;
  std::set<std::string> null;
  std::map<std::string, Override> tensors;
  bool unreadable = false;
  std::vector<Step> steps;

  int status = 0;
  std::string says;
  bool empty = false;  // workspace size 0 wanted
  std::string same_as;
  std::string cpp;  // through C++: "" the same result or refusal, "accepts" no refusal, "none" not tried
  std::optional<double> y_all, norm_all;
  bool y_is_residual = false;

  // Whether the call is given an operand.
  bool has(const std::string& name) const;
  bool inplace() const { return form.starts_with("inplace"); }
  bool by_rank() const;  // the residuals of the ranks differ
};

struct Line {
  std::string name, text, excuse;
  std::vector<Case> cases;
};

// With `strict` the codes are the vendor's; refused cases whose vendor code is not given are left out.
std::vector<Line> read_lines(const std::string& path, bool strict);

}  // namespace tandem::group_a
