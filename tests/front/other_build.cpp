// SPDX-License-Identifier: Apache-2.0
// Loaded before libtandem by the test of mixed builds: what another build says of itself.
namespace tandem {
__attribute__((visibility("default"))) const char* build();
const char* build() { return "99.0.1+other"; }
}  // namespace tandem
