#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# with_torch.sh [BUILD] VERSION...   the tests of torch and the published sample under other releases of torch.
# A virtual environment for each version (2.0.1, 2.1.2, current, ...) is made from PyPI below BUILD/with_torch.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
build=$root/build/release
if [ -d "${1:-}" ]; then
  build=$(cd -- "$1" && pwd)
  shift
fi
least=12 # GB: a release of torch with the libraries it brings
free=$(df --output=avail -BG "$build" | tail -1 | tr -dc 0-9)
if [ "$free" -lt "$least" ]; then
  echo "skipped: $free GB of free disk, $least GB wanted"
  exit 77
fi
failed=0
for version in "$@"; do
  folder=$build/with_torch/$version
  if [ ! -x "$folder/bin/python3" ]; then
    /usr/bin/python3 -m venv "$folder"
  fi
  package=torch==$version
  [ "$version" = current ] && package=torch
  numpy=numpy
  case $version in 1.* | 2.0* | 2.1* | 2.2*) numpy='numpy<2' ;; esac
  "$folder/bin/python3" -c 'import torch, numpy' 2>/dev/null ||
    "$folder/bin/python3" -m pip install -q --disable-pip-version-check "$package" "$numpy"
  echo "== torch $("$folder/bin/python3" -c 'import torch; print(torch.__version__)')"
  for test in torch_test vendor_test operators_test; do
    PYTHONPATH=$build/python:$root/tests/python OMP_NUM_THREADS=1 \
      "$folder/bin/python3" "$root/tests/python/$test.py" || failed=1
  done
done
exit "$failed"
