// SPDX-License-Identifier: Apache-2.0
#include "tandem/ops/transdata.h"

#include <cstring>

#include "tandem/base/int4.h"
#include "tandem/kernels/pack.h"
#include "tandem/ops/single.h"

namespace tandem {
namespace {

constexpr std::string_view kName = "transdata";
constexpr int64_t kBlockRows = 16;
static_assert(kPackedColumns == kPanel);

constexpr Field<Transdata> kFields[] = {
    {{"x", Role::input, "f32 f16 bf16 i8 u8 i32 i4", "", "matrices in one layout"}, &Transdata::x},
    {{"y", Role::output, "=x", "", "the same matrices in the other", Layout::dense}, &Transdata::y},
};

bool plain_to_blocks(const Transdata& op) {
  return op.kind == Transdata::Kind::to_nz || op.kind == Transdata::Kind::to_panels;
}
bool blocked(const Transdata& op) { return op.kind == Transdata::Kind::to_nz || op.kind == Transdata::Kind::from_nz; }
// The operand whose last two axes are rows and columns.
const TensorView& plain_of(const Transdata& op) { return plain_to_blocks(op) ? op.x : op.y; }
const TensorView& other_of(const Transdata& op) { return plain_to_blocks(op) ? op.y : op.x; }

int64_t block_columns(DType dtype) { return 256 / dtype_bits(dtype); }
int64_t blocks(int64_t count, int64_t size) { return (count + size - 1) / size; }

struct Matrices {
  int64_t count = 1, k = 0, n = 0;
};

Matrices matrices_of(const TensorView& plain) {
  Matrices m{1, plain.dim(-2), plain.dim(-1)};
  for (int axis = 0; axis + 2 < plain.rank; ++axis) m.count *= plain.dim(axis);
  return m;
}

// Elements of one matrix in the other layout.
int64_t other_elements(const Transdata& op, const Matrices& m) {
  if (!blocked(op)) return panel_elements(m.k, m.n);
  const int64_t columns = block_columns(op.x.dtype);
  return blocks(m.n, columns) * columns * blocks(m.k, kBlockRows) * kBlockRows;
}

void check_transdata(Check& check, const Transdata& op) {
  const TensorView &plain = plain_of(op), &other = other_of(op);
  const std::string_view name = plain_to_blocks(op) ? "x" : "y", other_name = plain_to_blocks(op) ? "y" : "x";
  check.rank(name, plain, 2, TensorView::kMaxRank);
  if (check.failed()) return;
  const Matrices m = matrices_of(plain);
  constexpr int64_t kMost = int64_t{1} << 40;
  check.that(m.k <= kMost && m.n <= kMost && m.count <= kMost / 64, "{} is {}, extents up to 2^40 wanted", name,
             plain.describe());
  check.that(plain.dtype != DType::i4 || m.n % 2 == 0, "{} is {}, an even number of columns wanted for i4", name,
             plain.describe());
  if (check.failed()) return;
  if (!blocked(op)) {
    const int64_t wanted = m.count * panel_elements(m.k, m.n);
    check.that(other.elements() >= wanted, "{} is {}, at least {} elements wanted", other_name, other.describe(),
               wanted);
    return;
  }
  const int64_t columns = block_columns(plain.dtype), n1 = blocks(m.n, columns), k1 = blocks(m.k, kBlockRows);
  bool fits = other.rank == plain.rank + 2 && other.dim(-4) == n1 && other.dim(-3) == k1 &&
              other.dim(-2) == kBlockRows && other.dim(-1) == columns;
  for (int axis = 0; fits && axis + 2 < plain.rank; ++axis) fits = other.dim(axis) == plain.dim(axis);
  check.that(fits, "{} is {}, [..,{},{},{},{}] wanted", other_name, other.describe(), n1, k1, kBlockRows, columns);
}

// Where element (i, j) of a matrix of k rows stands among its blocks.
int64_t block_place(int64_t i, int64_t j, int64_t k, int64_t columns) {
  return (j / columns * blocks(k, kBlockRows) * kBlockRows + i) * columns + j % columns;
}

// Rows of a matrix piece by piece, a piece being what stands together in a block.
void move_blocks(const Matrices& m, DType dtype, char* plain, char* other, bool to_other) {
  const int64_t columns = block_columns(dtype);
  for (int64_t i = 0; i < m.k; ++i) {
    for (int64_t j = 0; j < m.n; j += columns) {
      const size_t bytes = dtype_bytes(dtype, std::min(columns, m.n - j));
      char* there = other + dtype_bytes(dtype, block_place(i, j, m.k, columns));
      char* here = plain + dtype_bytes(dtype, i * m.n + j);
      std::memcpy(to_other ? there : here, to_other ? here : there, bytes);
    }
  }
}

Status run_transdata(const Transdata& op, Work& work) {
  const Matrices m = matrices_of(plain_of(op));
  const auto source_bytes = op.x.bytes();
  char* x = op.x.as<char>();
  if (op.x.data == op.y.data) {
    x = static_cast<char*>(work.lane.scratch->take(source_bytes));
    if (x == nullptr) return no_scratch(kName, "a copy of x");
    std::memcpy(x, op.x.data, source_bytes);
  }
  char* y = op.y.as<char>();
  const bool out = plain_to_blocks(op);
  if (out) std::memset(y, 0, op.y.bytes());
  const size_t plain_bytes = dtype_bytes(op.x.dtype, m.k * m.n),
               other_bytes = dtype_bytes(op.x.dtype, other_elements(op, m));
  for (int64_t index = 0; index < m.count; ++index) {
    const auto at = static_cast<size_t>(index);
    char* plain = (out ? x : y) + at * plain_bytes;
    char* other = (out ? y : x) + at * other_bytes;
    if (blocked(op)) {
      move_blocks(m, op.x.dtype, plain, other, out);
    } else if (out) {
      pack_weight({plain, op.x.dtype, m.n, 1, 0}, m.k, m.n, other);
    } else {
      unpack_weight({other, op.x.dtype, 0, 0, kPanel}, m.k, m.n, plain);
    }
  }
  return {};
}

}  // namespace

int64_t panel_elements(int64_t k, int64_t n) { return blocks(n, kPanel) * kPanel * k; }

template <>
const OperatorTable<Transdata>& table_of<Transdata>() {
  static constexpr OperatorTable<Transdata> kTable{
      kName, "y = x in another layout of memory", kFields, {}, check_transdata, run_transdata};
  return kTable;
}

Expected<Plan> plan(const Transdata& op, Device&) { return plan_single(op); }

}  // namespace tandem
