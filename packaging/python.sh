# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by test.sh after packages.sh, with $root set: build/python, a virtual environment that sees Debian's numpy and
# torch and holds nanobind. Where something cannot be had the build goes on without its Python module and says so.

tandem_python_packages='
python3-venv /usr/share/doc/python3-venv
python3-dev /usr/bin/python3-config
python3-numpy /usr/lib/python3/dist-packages/numpy
python3-torch /usr/lib/python3/dist-packages/torch
'
tandem_python_modules='nanobind==3.1.0'

ensure_python() {
  local folder=$root/build/python
  ensure_optional_packages "$tandem_python_packages"
  if ! "$folder/bin/python3" -c 'import nanobind' 2>/dev/null; then
    { /usr/bin/python3 -m venv --system-site-packages "$folder" &&
      "$folder/bin/python3" -m pip install -q --disable-pip-version-check "$tandem_python_modules"; } >&2 </dev/null || {
      say "$tandem_python_modules could not be installed: building without the Python module"
      rm -rf "$folder"
    }
  fi
}
