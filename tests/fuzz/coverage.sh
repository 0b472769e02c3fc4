#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# coverage.sh [SECONDS] [BUILD]: fuzzes all parsers with clang's libFuzzer, AddressSanitizer and UBSan, then prints which
# share of each parser's lines the inputs reached. Exit code 1 on a finding; the input is left in BUILD.
set -euo pipefail
seconds=${1:-60}
source=$(cd "$(dirname "$0")/../.." && pwd)
build=${2:-$source/build/fuzz}
flags="-fprofile-instr-generate -fcoverage-mapping -fsanitize=fuzzer-no-link"
cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER=clang++ \
  "-DCMAKE_CXX_FLAGS=$flags" "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1" -DTANDEM_SANITIZE=address,undefined \
  -DTANDEM_FUZZERS=ON -DTANDEM_TESTS=ON -DTANDEM_BENCH=OFF -DTANDEM_ISAS=portable >/dev/null
cmake --build "$build" --target fuzz_parsers
program=$(find "$build" -name fuzz_parsers -type f)
mkdir -p "$build/corpus"
cd "$build"
rm -f fuzz.profraw
LLVM_PROFILE_FILE=fuzz.profraw "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
  -print_final_stats=1 corpus
# The kept inputs alone, once: what they reach is what a regression run reaches.
LLVM_PROFILE_FILE=fuzz.profraw "$program" -runs=0 -verbosity=0 corpus
llvm-profdata-14 merge -o fuzz.profdata fuzz.profraw
llvm-cov-14 report "$program" -instr-profile=fuzz.profdata \
  "$source"/tandem/base/json.cpp "$source"/tandem/comm/rank_table.cpp "$source"/tandem/comm/fault.cpp \
  "$source"/tandem/comm/rendezvous_tcp.cpp "$source"/tandem/comm/rendezvous.cpp "$source"/tandem/llm/config.cpp "$source"/tandem/llm/safetensors.cpp "$source"/tandem/llm/tokenizer_load.cpp |
  awk '/\.cpp|^TOTAL/ {printf "%-40s lines reached %s\n", $1, $10}'
