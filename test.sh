#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./test.sh [ctest options]   installs what is missing, builds Release with its tests, runs them all.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=packaging/packages.sh
. "$root/packaging/packages.sh"
# shellcheck source=packaging/suite.sh
. "$root/packaging/suite.sh"
# shellcheck source=packaging/python.sh
. "$root/packaging/python.sh"
ensure_packages "$tandem_build_packages$tandem_test_packages"
ensure_optional_packages "$tandem_optional_packages"
ensure_python
run_suite release "$@"
