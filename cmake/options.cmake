# SPDX-License-Identifier: Apache-2.0
option(TANDEM_TESTS "build the tests" ON)
option(TANDEM_BENCH "build the benchmarks (needs Google Benchmark)" OFF)
option(TANDEM_LLM "build the model runner" ON)
option(TANDEM_KERNELS_ONLY "build base, exec and kernels with their tests, nothing above" OFF)
option(TANDEM_HWLOC "ask hwloc for caches and NUMA nodes; without it a guess" ON)
option(TANDEM_WERROR "warnings are errors" ON)
set(TANDEM_SANITIZE "" CACHE STRING "sanitizers of -fsanitize=, empty for none")
set(TANDEM_TEST_TIMEOUT 120 CACHE STRING "ctest TIMEOUT of one test, seconds")

find_program(TANDEM_CCACHE ccache)
if(TANDEM_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${TANDEM_CCACHE})
endif()
