#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./run.sh                              the embedded model writes text on two rank processes
# ./run.sh --prompt "In the" --tp 4     the same with your options of `tandem generate`
# ./run.sh doctor                       any other subcommand of the tool
# Installs what is missing, builds what is older than its sources, and does neither when there is no need.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
build=$root/build/release
tool=$build/bin/tandem
stamp=$build/.tandem-tool-built # as old as the youngest source the tool was built from

up_to_date() {
  [ -x "$tool" ] && [ -e "$stamp" ] || return 1
  local newer
  newer=$(find "$root/CMakeLists.txt" "$root/cmake" "$root/tandem" "$root/tools" -newer "$stamp" -print -quit)
  [ -z "$newer" ]
}

build_tool() {
  # shellcheck source=packaging/packages.sh
  . "$root/packaging/packages.sh"
  ensure_packages "$tandem_build_packages"
  local begun
  mkdir -p "$build"
  begun=$(mktemp "$build/.begun.XXXXXX")
  if [ ! -e "$build/build.ninja" ]; then
    say "configuring $build"
    cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DTANDEM_TESTS=OFF >&2
  fi
  say "building (about a minute or two on two cores)"
  cmake --build "$build" --target tandem_tool -j "$(build_jobs)" >&2
  mv "$begun" "$stamp"
}

given() { # given --option ARGS...: is the option among the arguments?
  local option=$1 argument
  shift
  for argument in "$@"; do
    case $argument in "$option" | "$option"=*) return 0 ;; esac
  done
  return 1
}

up_to_date || build_tool

export TANDEM_MODEL=${TANDEM_MODEL:-$root/model}
case ${1:-} in
  '' | -*) ;;
  *) exec "$tool" "$@" ;;
esac
defaults=()
given --tp "$@" || defaults+=(--tp 2)
given --ranks "$@" || defaults+=(--ranks processes)
given --model "$@" || given --prompt "$@" || defaults+=(--prompt "And it came to pass")
given --max-tokens "$@" || defaults+=(--max-tokens 120)
given --temperature "$@" || given --model "$@" || defaults+=(--temperature 0.8 --seed 7)
exec "$tool" generate "${defaults[@]}" "$@"
