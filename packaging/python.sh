# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by test.sh after packages.sh, with $root set: build/python, a virtual environment that sees Debian's numpy and
# torch and holds nanobind. Without a network the build goes on without its Python module and says so.

tandem_python_packages='
python3-venv /usr/lib/python3.11/ensurepip
python3-dev python3-config
python3-numpy /usr/lib/python3/dist-packages/numpy
python3-torch /usr/lib/python3/dist-packages/torch
'
tandem_python_modules='nanobind==3.1.0 scikit-build-core==1.1.2 hypothesis==6.67.1'

ensure_python() {
  local folder=$root/build/python
  ensure_optional_packages "$tandem_python_packages"
  if ! [ -x "$folder/bin/python3" ]; then
    /usr/bin/python3 -m venv --system-site-packages "$folder" >&2 || {
      say "no virtual environment (python3-venv): building without the Python module"
      rm -rf "$folder"
      return 0
    }
  fi
  # shellcheck disable=SC2086
  "$folder/bin/python3" -m pip install -q --disable-pip-version-check $tandem_python_modules >&2 ||
    say "pip could not install $tandem_python_modules: building without the Python module"
}
