#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check.sh SOURCE BUILD STEP: one step of the test of the installed tree; CMakeLists.txt puts them in order.
# The prefix lies in BUILD/install_test; exit code 77 means skipped.
set -euo pipefail
source=$1 build=$2 step=$3
work=$build/install_test
P=$work/prefix
unset DESTDIR TANDEM_MODEL LD_LIBRARY_PATH CMAKE_PREFIX_PATH PKG_CONFIG_PATH
compiler=${CXX:-g++}

fail() {
  printf 'install test: %s\n' "$*" >&2
  exit 1
}
skip() {
  printf 'skipped: %s\n' "$*"
  exit 77
}

# A user may have installed from this build folder: the record of it must outlive the test.
step_install() {
  rm -rf "$work"
  mkdir -p "$work"
  [ ! -e "$build/install_record.txt" ] || mv "$build/install_record.txt" "$work/users_record.txt"
  cmake --install "$build" --prefix "$P" >"$work/install.log"
  printf '%s files\n' "$(grep -c '^file ' "$build/install_record.txt")"
}

step_layout() {
  local wanted
  for wanted in bin/tandem lib/libtandem.so include/tandem/version.h include/tandem/ops/mm_all_reduce.h \
    lib/cmake/tandem/tandemConfig.cmake lib/cmake/tandem/tandemConfigVersion.cmake lib/pkgconfig/tandem.pc \
    share/tandem/model/config.json share/tandem/model/tokenizer.json share/doc/tandem/README.md \
    cann/include/acl/acl.h cann/include/hccl/hccl.h cann/set_env.sh cann/lib64/libascendcl.so \
    cann/lib64/libnnopbase.so cann/lib64/libopapi.so cann/lib64/libhccl.so cann/include/atb/atb_infer.h cann/lib64/libatb.so cann/lib/libatb.so; do
    [ -e "$P/$wanted" ] || fail "$wanted is missing"
  done
  [ ! -e "$P/share/tandem/model/training" ] || fail "the training folder was installed"
  ls "$P"/share/tandem/model/*.safetensors >/dev/null || fail "the model has no weights"
  [ -z "$(find "$P" -xtype l)" ] || fail "dangling links: $(find "$P" -xtype l)"
  [ -z "$(find "$P" -type l -lname '/*')" ] || fail "links that do not move with the prefix: $(find "$P" -type l -lname '/*')"
  if grep -rlF "$source" "$P" --include='*.cmake' --include='*.pc' --include='*.sh'; then
    fail "a path of the build is written down in these"
  fi
}

# Demangled names a program can link to, without the version node.
exported() {
  nm -DC --defined-only "$1" | sed -E 's/^[0-9a-f]* . //; s/@@?[A-Za-z_0-9.]+$//' | grep -vxE '[A-Z_]+_[0-9.]+' | sort -u
}

# only_these LIBRARY ALLOWED FORBIDDEN REQUIRED...: every exported name is allowed, none forbidden, all required there.
only_these() {
  local library=$1 allowed=$2 forbidden=$3 list wanted
  shift 3
  list=$work/$(basename "$library").symbols
  exported "$library" >"$list"
  printf '%s exports %s names\n' "$(basename "$library")" "$(wc -l <"$list")"
  if grep -vE "$allowed" "$list"; then fail "$library exports names outside its own"; fi
  if grep -E "$forbidden" "$list"; then fail "$library exports internal names"; fi
  for wanted in "$@"; do
    grep -qE "$wanted" "$list" || fail "$library does not export $wanted"
  done
}

step_symbols() {
  only_these "$P/lib/libtandem.so" '^((typeinfo|vtable|typeinfo name) for )?tandem::' \
    'tandem::(portable|avx2|avx512(_vnni)?|neon(_dot)?|reference)::|\(anonymous namespace\)' \
    '^tandem::version\(\)' '^tandem::build\(\)' '^tandem::plan\(tandem::MmAllReduce const&, tandem::Device&\)' '^tandem::Communicator::local\('
  local cann
  cann=$(find "$P" -name 'libtandem_cann.so' | head -n 1)
  [ -n "$cann" ] || fail "libtandem_cann.so is missing"
  only_these "$cann" '^(acl|Acl|Hccl|hccl|tandem_cann)\w*$|^(mem|str|vs|s)\w+_s$|^((typeinfo|vtable|typeinfo name) for |int )?atb::' '^_Z|tandem::' '^aclInit$' '^aclrtMalloc$' \
    '^aclrtSynchronizeStream$' '^aclGetRecentErrMsg$' '^HcclCommInitAll$' '^HcclGetCommName$' \
    '^aclnnWeightQuantMatmulAllReduceAddRmsNorm(GetWorkspaceSize)?$' \
    '^aclnnInplaceWeightQuantMatmulAllReduceAddRmsNorm(GetWorkspaceSize)?$' '^atb::CreateContext\(atb::Context\*\*\)$' \
    '^int atb::CreateOperation<atb::infer::ReduceScatterVParam>\('
}

# Each installed header compiles alone against nothing but the prefix.
step_headers() {
  local header
  while read -r header; do
    printf '#include "%s"\n#include "%s"\n' "$header" "$header" >"$work/alone.cpp"
    # Kernel headers belong to a table; the portable one needs no flags and no Highway.
    "$compiler" -std=c++20 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -D TANDEM_ISA=portable -D TANDEM_ISA_IS_portable=1 \
      -I "$P/include" "$work/alone.cpp" || fail "$header does not compile alone"
  done < <(cd "$P/include" && find tandem -name '*.h' ! -name vec_highway.h)
}

step_find_package() {
  cmake -S "$source/examples/cmake" -B "$work/find_package" -G Ninja -DCMAKE_PREFIX_PATH="$P" >"$work/find_package.log"
  cmake --build "$work/find_package" >>"$work/find_package.log"
  "$work/find_package/example"
  mkdir -p "$work/newer"
  sed "s/find_package(tandem /find_package(tandem 99.0 /" "$source/examples/cmake/CMakeLists.txt" >"$work/newer/CMakeLists.txt"
  cp "$source/examples/cmake/main.cpp" "$work/newer/"
  if cmake -S "$work/newer" -B "$work/newer/build" -G Ninja -DCMAKE_PREFIX_PATH="$P" >"$work/newer.log" 2>&1; then
    fail "version 99.0 was asked for and this one accepted"
  fi
  grep -q 'requested version "99.0"' "$work/newer.log" || fail "refused for another reason: $(cat "$work/newer.log")"
}

# A kernel of a user's own, compiled for every table; each one this machine runs gives right values.
step_custom_operator() {
  local table
  [ -e /usr/include/hwy/highway.h ] || skip "Highway is not there"
  cmake -S "$source/examples/custom_operator" -B "$work/custom_operator" -G Ninja -DCMAKE_PREFIX_PATH="$P" >"$work/custom_operator.log"
  cmake --build "$work/custom_operator" >>"$work/custom_operator.log" || fail "$(tail -n 20 "$work/custom_operator.log")"
  "$work/custom_operator/custom_operator"
  for table in portable avx2 avx512; do
    TANDEM_TABLE=$table "$work/custom_operator/custom_operator" || fail "wrong values in table $table"
  done
}

step_pkg_config() {
  export PKG_CONFIG_PATH=$P/lib/pkgconfig
  # shellcheck disable=SC2046
  "$compiler" -O1 "$source/examples/cmake/main.cpp" -o "$work/pc_example" $(pkg-config --cflags --libs tandem)
  LD_LIBRARY_PATH=$P/lib "$work/pc_example"
}

step_aclnn() {
  local program name count=0
  # shellcheck disable=SC1091
  . "$P/cann/set_env.sh"
  for program in "$source"/examples/aclnn/*.cpp; do
    name=$work/$(basename "$program" .cpp)
    "$compiler" "$program" -o "$name" -I "$P/cann/include" -I "$P/cann/include/aclnn" -I "$P/cann/include/aclnnop" \
      -L "$P/cann/lib64" -lopapi -lascendcl -lnnopbase -lhccl
    timeout 100 "$name" || fail "$(basename "$program") failed"
    count=$((count + 1))
  done
  [ "$count" -ge 2 ] || fail "$count programs in examples/aclnn, at least 2 wanted"
}

# The programs of examples/hccl with the line they give, as threads and as ranks of the installed launcher.
step_hccl() {
  local name launch="$P/bin/tandem launch -n 4 --"
  # shellcheck disable=SC1091
  . "$P/cann/set_env.sh"
  for name in threads processes rank_table; do
    "$compiler" "$source/examples/hccl/$name.cpp" -I "$ASCEND_HOME_PATH/include" -L "$ASCEND_HOME_PATH/lib64" -lhccl \
      -lascendcl -o "$work/hccl_$name"
  done
  timeout 100 "$work/hccl_threads" || fail "threads.cpp failed"
  timeout 100 $launch "$work/hccl_processes" "$work/root-info" || fail "processes.cpp failed"
  RANK_TABLE_FILE=$source/examples/hccl/rank_table.json timeout 100 $launch "$work/hccl_rank_table" ||
    fail "rank_table.cpp failed"
}

# The program of examples/atb as a user builds it, with the rows of its ranks.
step_atb() {
  # shellcheck disable=SC1091
  . "$P/cann/set_env.sh"
  "$compiler" -std=c++14 -Wall -Wextra -Werror "$source/examples/atb/reduce_scatter_v.cpp" -I "$ATB_HOME_PATH/include" \
    -L "$ATB_HOME_PATH/lib" -latb -lascendcl -o "$work/reduce_scatter_v"
  timeout 100 "$work/reduce_scatter_v" || fail "reduce_scatter_v.cpp failed"
  timeout 100 "$work/reduce_scatter_v" 4 0 3 || fail "reduce_scatter_v.cpp failed with an empty rank"
}

# The prefix works wherever it is moved, with its own model and without any environment variable.
step_moved() {
  local rc=0
  rm -rf "$work/elsewhere"
  mv "$P" "$work/elsewhere"
  { "$work/elsewhere/bin/tandem" doctor &&
    "$work/elsewhere/bin/tandem" generate --tp 2 --ranks processes --prompt "In the" --max-tokens 4; } || rc=$?
  mv "$work/elsewhere" "$P"
  return "$rc"
}

step_deb() {
  local package wanted
  command -v dpkg-deb >/dev/null || skip "dpkg-deb is not there"
  rm -rf "$work/deb"
  cpack --config "$build/CPackConfig.cmake" -G DEB -B "$work/deb" >"$work/deb.log" 2>&1 ||
    fail "cpack: $(tail -n 5 "$work/deb.log")"
  package=$(find "$work/deb" -maxdepth 1 -name '*.deb')
  dpkg-deb -c "$package" >"$work/deb.list"
  dpkg-deb -f "$package" Package Version Depends Installed-Size
  for wanted in /opt/tandem/bin/tandem /opt/tandem/lib/libtandem.so /opt/tandem/cann/set_env.sh; do
    grep -qF ".$wanted" "$work/deb.list" || fail "the package lacks $wanted"
  done
  dpkg-deb -f "$package" Depends | grep -q libhwloc || fail "the package does not say what it needs"
  [ "$(dpkg-deb -f "$package" Recommends)" = libexpected-dev ] || fail "the package does not recommend libexpected-dev"
}

step_uninstall() {
  touch "$P/lib/not-ours"
  cmake -D build="$build" -P "$source/cmake/uninstall.cmake"
  [ "$(find "$P" ! -type d)" = "$P/lib/not-ours" ] || fail "left, or took what is not ours: $(find "$P" | head -n 20)"
  rm -rf "$P"
  # Twice over nothing, then once back: it must leave nothing, the folder itself included.
  cmake --install "$build" --prefix "$P" >/dev/null
  cmake --install "$build" --prefix "$P" >/dev/null
  cmake -D build="$build" -P "$source/cmake/uninstall.cmake"
  [ ! -e "$P" ] || fail "left: $(find "$P" | head -n 20)"
  # Staged elsewhere: what is removed is what was written there, whatever DESTDIR is now.
  DESTDIR=$work/stage cmake --install "$build" --prefix "$P" >/dev/null
  [ -e "$work/stage$P/bin/tandem" ] || fail "DESTDIR was not heeded"
  cmake -D build="$build" -P "$source/cmake/uninstall.cmake"
  [ -z "$(find "$work/stage" ! -type d)" ] || fail "left: $(find "$work/stage" ! -type d | head -n 20)"
  [ ! -e "$work/stage$P" ] || fail "left: $work/stage$P"
  [ ! -e "$work/users_record.txt" ] || mv "$work/users_record.txt" "$build/install_record.txt"
}

"step_$step"
