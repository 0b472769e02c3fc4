# SPDX-License-Identifier: Apache-2.0
# Flags of everything that is compiled: floating-point rules first (docs/numerics.md), then warnings.
add_library(tandem_flags INTERFACE)
target_compile_options(tandem_flags INTERFACE
  -ffp-contract=off -fno-fast-math -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  -Wnon-virtual-dtor -Woverloaded-virtual -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(tandem_flags INTERFACE -Wno-restrict)  # false alarm on "text" + std::string (GCC 105651)
endif()
if(TANDEM_WERROR)
  target_compile_options(tandem_flags INTERFACE -Werror)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "i[3-6]86")
  message(FATAL_ERROR "x87 arithmetic cannot keep the bit promise; build for a 64-bit target")
endif()
if(TANDEM_SANITIZE)
  target_compile_options(tandem_flags INTERFACE -fsanitize=${TANDEM_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(tandem_flags INTERFACE -fsanitize=${TANDEM_SANITIZE})
  target_compile_definitions(tandem_flags INTERFACE TANDEM_SANITIZED=1)
endif()
target_include_directories(tandem_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
