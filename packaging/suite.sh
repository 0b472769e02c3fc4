# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by test.sh and .ci/run after packages.sh, with $root set.

# run_suite PRESET [ctest options]: configures, builds and tests build/PRESET, says what was skipped and why, and ends
# with ctest's closing lines and its exit code.
run_suite() {
  local preset=$1 jobs log rc=0
  shift
  jobs=$(build_jobs)
  say "$preset: configuring"
  (cd "$root" && cmake --preset "$preset" -DTANDEM_TESTS=ON) >&2 || return
  say "$preset: building"
  cmake --build "$root/build/$preset" -j "$jobs" >&2 || return
  say "$preset: testing"
  log=$root/build/$preset/ctest.log
  (cd "$root" && ctest --preset "$preset" -j "$jobs" --no-tests=error "$@" </dev/null 2>&1) | tee "$log" || rc=$?
  print_skips "$preset"
  sed -n '/tests passed,/,$p' "$log"
  return "$rc"
}

# How many tests of the last run were skipped, and each different reason they gave.
print_skips() {
  local folder=$root/build/$1
  printf '%s: %s skipped\n' "$1" "$(grep -cE '\*\*\*Skipped' "$folder/ctest.log" || true)"
  awk '/: Skipped$/ {getline; print "  skipped: " $0}' "$folder/Testing/Temporary/LastTest.log" 2>/dev/null | sort | uniq -c
}
