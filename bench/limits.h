// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "bench/data.h"
#include "bench/limits_loops.h"
#include "bench/row.h"
#include "tandem/exec/lane.h"

namespace tandem::bench {

// Instruction sets of this build that this machine runs, best first.
std::span<const LimitLoops* const> limit_loops();
// Those that bound the kernels of a table.
const LimitLoops& loops_of_table(std::string_view table);
// The same for its float arithmetic: one set of loops for every instruction set of equal width.
const LimitLoops& float_loops_of_table(std::string_view table);

// The way of reading memory that was fastest on this machine with so many threads.
struct ReadForm {
  const LimitLoops* loops = nullptr;
  int pattern = 0;
  double bytes_per_second = 0;
  std::string name() const;
};

// Makes the limits of one thread count; every one shares the work among the lane's threads.
class LimitMaker {
 public:
  LimitMaker(Lane& lane, int threads, size_t pool_bytes);

  const ReadForm& read_form() const { return read_form_; }
  const std::string& copy_form() const { return copy_form_; }
  // Reading a block of the pool, the next one each time.
  LimitTurn read(Pool& pool);
  // Copying bytes / 2 to elsewhere, out of every cache; counts read and written bytes.
  LimitTurn copy(size_t bytes);
  // The same within one small block a thread.
  LimitTurn copy_in_cache(size_t bytes);
  // Products and sums from registers: names "fma avx2", "madd avx2", "dot avx512_vnni".
  LimitTurn fma(const LimitLoops& loops);
  LimitTurn madd(const LimitLoops& loops);
  LimitTurn dot(const LimitLoops& loops);

 private:
  void choose_read();
  void choose_copy();
  void copy_once(uint8_t* to, const uint8_t* from, size_t bytes, int form);

  Lane& lane_;
  int threads_;
  std::shared_ptr<Pool> pool_;
  ReadForm read_form_;
  int copy_ = 0;
  std::string copy_form_;
};

}  // namespace tandem::bench
