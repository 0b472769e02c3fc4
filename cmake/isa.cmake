# SPDX-License-Identifier: Apache-2.0
# tandem_isa(name flags...): the kernel sources compiled once more for one instruction set, into namespace tandem::<name>.

# Behind tandem_flags on the command line: -fno-fast-math there would bring errno, and with it calls of sqrtf(), back.
add_library(tandem_isa_flags INTERFACE)
target_compile_options(tandem_isa_flags INTERFACE -fno-math-errno)
# Kernels take operands at any address.
if(TANDEM_SANITIZE MATCHES "undefined")
  target_compile_options(tandem_isa_flags INTERFACE -fno-sanitize=alignment)
endif()

# Fewer tables where compiling costs most: the others run the same sources.
set(TANDEM_ISAS "" CACHE STRING "kernel tables to build; empty: all")

function(tandem_isa name)
  if(TANDEM_ISAS AND NOT name IN_LIST TANDEM_ISAS)
    return()
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cpu/*.cpp)
  list(FILTER sources EXCLUDE REGEX "(_test|_bench|select)\\.cpp$")
  add_library(tandem_isa_${name} OBJECT ${sources})
  target_link_libraries(tandem_isa_${name} PRIVATE tandem_flags tandem_isa_flags)
  target_compile_definitions(tandem_isa_${name} PRIVATE TANDEM_ISA=${name} TANDEM_ISA_IS_${name}=1)
  # -O2 in every preset: at -O0 the headers' inline functions would become weak symbols compiled for this set.
  target_compile_options(tandem_isa_${name} PRIVATE -O2 -fno-exceptions -fno-rtti ${ARGN})
  set_property(GLOBAL APPEND PROPERTY TANDEM_ISA_OBJECTS $<TARGET_OBJECTS:tandem_isa_${name}>)
  set_property(GLOBAL APPEND PROPERTY TANDEM_ISA_NAMES ${name})
  string(REPLACE ";" "|" table "${name};${ARGN}") # for tandem_isa() of the installed package
  set_property(GLOBAL APPEND PROPERTY TANDEM_ISA_TABLES ${table})
endfunction()
