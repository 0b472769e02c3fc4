# SPDX-License-Identifier: Apache-2.0
# What the floors up to kernels need, without libraries of the target machine: headers alone, GoogleTest from source. The
# cross compiler looks into /usr/include behind its own folders, where the header packages lie.
find_package(Threads REQUIRED)
set(TANDEM_GTEST_SOURCE /usr/src/googletest/googletest CACHE PATH "source folder of GoogleTest")

add_library(fmt::fmt INTERFACE IMPORTED)
target_compile_definitions(fmt::fmt INTERFACE FMT_HEADER_ONLY)
add_library(spdlog::spdlog INTERFACE IMPORTED)
target_compile_definitions(spdlog::spdlog INTERFACE SPDLOG_FMT_EXTERNAL)
target_link_libraries(spdlog::spdlog INTERFACE fmt::fmt)
add_library(tl::expected INTERFACE IMPORTED)
add_library(nlohmann_json::nlohmann_json INTERFACE IMPORTED)

if(TANDEM_TESTS)
  add_library(gtest STATIC ${TANDEM_GTEST_SOURCE}/src/gtest-all.cc)
  add_library(gtest_main STATIC ${TANDEM_GTEST_SOURCE}/src/gtest_main.cc)
  foreach(name gtest gtest_main)
    target_include_directories(${name} SYSTEM PUBLIC ${TANDEM_GTEST_SOURCE}/include PRIVATE ${TANDEM_GTEST_SOURCE})
    add_library(GTest::${name} ALIAS ${name})
  endforeach()
  enable_testing()
  include(GoogleTest)
endif()
