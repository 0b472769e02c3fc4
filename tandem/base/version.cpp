// SPDX-License-Identifier: Apache-2.0
#include "tandem/version.h"

namespace tandem {
const char* version() { return TANDEM_VERSION; }
const char* build() { return TANDEM_BUILD; }
}  // namespace tandem
