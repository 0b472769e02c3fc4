// SPDX-License-Identifier: Apache-2.0
#include "tandem/exec/reserve.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "tandem/exec/memory.h"

namespace tandem {

int reserve_file(int descriptor, size_t bytes) {
  if (bytes > device_memory_info().free_bytes) return ENOMEM;
  // In pieces, so that a timer's signals cannot undo the work for ever.
  constexpr size_t kPiece = 4u << 20;
  for (size_t done = 0; done < bytes; done += kPiece) {
    const auto length = static_cast<off_t>(std::min(kPiece, bytes - done));
    int code = EINTR;
    while (code == EINTR) code = posix_fallocate(descriptor, static_cast<off_t>(done), length);
    if (code != 0) return code;
  }
  return 0;
}

}  // namespace tandem
