// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tandem/base/tensor.h"
#include "tandem/comm/collectives.h"

namespace tandem::python {

// One collective or message as Python asks for it.
struct Collective {
  std::string kind;
  TensorView in, out;  // absent where this rank gives or takes nothing
  Combine how = Combine::sum;
  int root = 0;                                    // or the peer of a message
  std::vector<int64_t> counts, displacements;      // of the parts of a _v form; of all_to_all_v what is sent
  std::vector<int64_t> receives, receive_offsets;  // of all_to_all_v

  Status run(Communicator& comm, Lane& lane) const;
};

// Fills in and checks: known kind and reduction, dense operands of one dtype, sizes that fit each other and the parts.
Status settle(Collective& call, std::string_view reduction, const Communicator& comm);

}  // namespace tandem::python
