#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC1007,SC2154
# bench/repro.sh [--short] [--rounds N] [--no-install] [--out FOLDER]: builds, finds the peers, measures, writes one JSON a run and
# the roofline under docs/results/, and fills the figures of docs/performance.md.
#   --short       one shape, fewer rounds: about three minutes instead of an hour
#   --rounds N    visits of each configuration; 7
#   --no-install  takes the peers that are there; installs nothing
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# shellcheck source=../packaging/packages.sh disable=SC1091
. packaging/packages.sh

short= install=1 out=docs/results rounds=7
while [ $# -gt 0 ]; do
  case $1 in
    --short) short=1 ;;
    --no-install) install= ;;
    --rounds) rounds=$2; shift ;;
    --out) out=$2; shift ;;
    *) sed -n '4,8s/^# \?//p' "$root/bench/repro.sh" >&2; exit 2 ;;
  esac
  shift
done

build=$root/build/bench
venv=$build/python
if [ -n "$install" ]; then
  ensure_packages "$tandem_build_packages$tandem_peer_packages" || say "some peers are absent: their comparisons are not shown"
  # The newest oneDNN, into a folder of the build tree.
  if [ ! -e "$venv/lib/libdnnl.so.3" ] && command -v python3 >/dev/null; then
    { python3 -m venv "$venv" && "$venv/bin/pip" -q install onednn onednn-devel; } || say "no oneDNN from PyPI: its comparison is not shown"
  fi
fi
onednn=
[ ! -e "$venv/lib/libdnnl.so.3" ] || onednn=$venv
cmake --preset bench "-DTANDEM_ONEDNN=$onednn" >&2
cmake --build "$build" -j "$(build_jobs)" --target tandem_tool bench_peers >&2

threads=1,$(nproc)
[ "$(nproc)" -gt 1 ] || threads=1
shapes=2048x4096,4096x4096,4096x14336
[ -z "$short" ] || { shapes=2048x4096 rounds=3; }
revision=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain -- tandem bench tools cmake 2>/dev/null)" ] || revision=$revision+
cpu=$(awk -F': ' '/model name/ {print $2; exit}' /proc/cpuinfo | tr -cs '[:alnum:]' '-' | tr '[:upper:]' '[:lower:]' | sed 's/-$//')
name=$(date -u +%Y-%m-%d)-${cpu:-unknown}
mkdir -p "$out"

measure() { # measure NAME ARGUMENTS...: one run, one file; a run with rows that are not verified goes on, and is told
  local file=$out/$name-$1.json
  shift
  say "measuring into $file"
  "$build/bin/tandem" bench kernel --shape "$shapes" --threads "$threads" --rounds "$rounds" --revision "$revision" --out "$file" "$@" || failed=1
}
failed=
all=f32xf32,f16xf16,bf16xbf16,f16xi8,bf16xi8,f16xi4,bf16xi4
measure products --family gemm --types "$all" --layout packed --m 1,8,32,128 --plot "$out/$name-roofline.svg"
measure row-major --family gemm --types "$all" --layout row --m 1,8,32,128 --peers none
measure fast --family gemm --types f16xi8,f16xi4,bf16xi8,bf16xi4 --math fast --m 1,8,32,128 --peers none
measure integers --family int8,int4xint8 --m 1,8,32,128
measure forms --family transposed,tree,group --m 1,32,128 --peers none
measure held-to-avx2 --family gemm,int8 --types f32xf32,f16xf16,f16xi8,f16xi4,i8xi8 --table avx2 --peers-avx2 --m 1,8,32,128
shapes=2048x4096 measure rows --family rows,attention --m 1,8 --peers none

python3 bench/figures.py "$out/$name"-{products,row-major,fast,integers,forms,held-to-avx2,rows}.json --into docs/performance.md
[ -z "$failed" ] || { say "a run ended with an error: see above"; exit 1; }
