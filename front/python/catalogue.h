// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "tandem/ops/fields.h"
#include "tandem/ops/plan.h"

// Every operator with its type forgotten: what the tables say, and a call that takes operands by their places.
namespace tandem::python {

struct Row {
  Operand row;
  bool list = false;
};
enum class Kind : uint8_t { integer, real, boolean };
struct Figure {
  std::string_view name, text;
  Range range;
  Kind kind = Kind::real;
  double standard = 0;  // where it is not given
};
struct Word {
  std::string_view name, text;
  std::vector<std::string_view> values;  // the first where it is not given
};
struct Integers {
  std::string_view name, text;
};

// One call under construction.
class Call {
 public:
  virtual ~Call() = default;
  virtual void give(size_t row, const TensorView& tensor) = 0;  // again for the next of a list
  virtual void integer(size_t figure, int64_t value) = 0;
  virtual void real(size_t figure, double value) = 0;
  virtual void choose(size_t word, size_t value) = 0;
  virtual void integers(size_t list, std::vector<int64_t> values) = 0;
  // The text must live until plan() returned.
  virtual void group(std::string_view name) = 0;
  virtual Expected<Plan> plan(Device& device) const = 0;
};

struct Entry {
  std::string_view name, formula;
  std::vector<Row> rows;
  std::vector<Figure> figures;
  std::vector<Word> words;
  std::vector<Integers> lists;
  bool between_ranks = false;
  std::unique_ptr<Call> (*call)() = nullptr;
};

const std::vector<Entry>& catalogue();
// nullptr when there is none of that name.
const Entry* find_entry(std::string_view name);

}  // namespace tandem::python
