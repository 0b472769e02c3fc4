# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# Sourced by run.sh, test.sh and .ci/run: which Debian packages a build needs, and how the missing ones are had.
# Each line is "package probe"; a package whose probe (a command, a file under /usr/include, an absolute path) is there is
# not asked for, so a machine that has everything never sees a package manager call.

tandem_build_packages='
g++ g++
cmake cmake
ninja-build ninja
pkg-config pkg-config
libfmt-dev fmt/format.h
libspdlog-dev spdlog/spdlog.h
nlohmann-json3-dev nlohmann/json.hpp
libcli11-dev CLI/CLI.hpp
libexpected-dev tl/expected.hpp
libhwy-dev hwy/highway.h
libhwloc-dev hwloc.h
'
tandem_test_packages='
libgtest-dev gtest/gtest.h
librapidcheck-dev rapidcheck.h
libbenchmark-dev benchmark/benchmark.h
python3 python3
dpkg-dev dpkg-shlibdeps
'
# Parts that a build leaves out where they cannot be had: ranks of several hosts (UCX), byte-level tokenizers (PCRE2 and
# utf8proc).
tandem_optional_packages='
libpcre2-dev pcre2.h
libutf8proc-dev utf8proc.h
libucx-dev ucp/api/ucp.h
iproute2 ip
'
# The ARM tables under emulation: cross compiler, emulator, and GoogleTest's source.
tandem_neon_packages='
g++-aarch64-linux-gnu aarch64-linux-gnu-g++
qemu-user qemu-aarch64
googletest /usr/src/googletest/googletest/src/gtest-all.cc
'
# Only for `tandem bench` beside other libraries (bench/repro.sh); nothing else asks for them.
tandem_peer_packages='
libbenchmark-dev benchmark/benchmark.h
libopenblas-dev x86_64-linux-gnu/openblas-pthread/cblas.h
libdnnl-dev oneapi/dnnl/dnnl.h
libxsmm-dev libxsmm.h
openmpi-bin mpirun.openmpi
libopenmpi-dev /usr/lib/x86_64-linux-gnu/openmpi/include/mpi.h
mpich mpirun.mpich
libmpich-dev x86_64-linux-gnu/mpich/mpi.h
libgloo-dev gloo/allreduce.h
'

say() { printf '== %s\n' "$*" >&2; }

has_probe() {
  case $1 in
    /*) [ -e "$1" ] ;;
    */* | *.h) [ -e "/usr/include/$1" ] || [ -e "/usr/local/include/$1" ] ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
  esac
}

# Prints the packages of the list whose probe is absent.
missing_packages() {
  local package probe
  while read -r package probe; do
    [ -z "$package" ] || has_probe "$probe" || printf '%s\n' "$package"
  done <<<"$1"
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  elif [ -t 0 ] && [ -z "${CI:-}" ]; then
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

# ensure_packages LIST: installs what is missing; a no-op without a package manager call when nothing is.
ensure_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$1")
  [ "${#missing[@]}" -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null 2>&1; then
    say "missing: ${missing[*]} (Debian's names); install their equivalents, then run this again"
    return 1
  fi
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
    say "neither root nor sudo; as root run: apt-get install --no-install-recommends ${missing[*]}"
    return 1
  fi
  say "installing ${missing[*]}"
  as_root apt-get -q -o Acquire::Retries=3 update >&2 || say "apt-get update failed; trying with the lists at hand"
  as_root apt-get -q -o Acquire::Retries=3 install -y --no-install-recommends "${missing[@]}" >&2 </dev/null || {
    say "apt-get could not install: ${missing[*]}"
    return 1
  }
}

# ensure_optional_packages LIST: the same, but goes on without them and says so.
ensure_optional_packages() {
  ensure_packages "$1" || say "building without: $(missing_packages "$1" | tr '\n' ' ')"
}

# Two jobs on a small machine, all cores elsewhere, and never more than 1.5 GiB of memory allows.
build_jobs() {
  local cores memory
  cores=$(nproc 2>/dev/null || echo 2)
  memory=$(awk '/MemAvailable/ {print int($2 / 1572864)}' /proc/meminfo 2>/dev/null || echo "$cores")
  [ "${memory:-0}" -ge 1 ] || memory=1
  echo $((cores < memory ? cores : memory))
}
