# SPDX-License-Identifier: Apache-2.0
# For programs that bring kernels of their own; docs/kernels.md explains. Highway's headers (libhwy-dev) must be there.
# tandem_isa(target SOURCES file...): the files compiled once for every table of the installed library, each into
# namespace tandem::<table>, and linked into target. TANDEM_TABLES is then a list TANDEM_EACH(<table>) ... for the choice
# between them by tandem::default_table().name.
function(tandem_isa target)
  cmake_parse_arguments(ARG "" "" "SOURCES" ${ARGN})
  set(tables "")
  foreach(table ${TANDEM_ISA_TABLES})
    string(REPLACE "|" ";" flags "${table}")
    list(POP_FRONT flags name)
    add_library(${target}_${name} OBJECT ${ARG_SOURCES})
    target_link_libraries(${target}_${name} PRIVATE tandem::tandem)
    target_compile_definitions(${target}_${name} PRIVATE TANDEM_ISA=${name} TANDEM_ISA_IS_${name}=1)
    target_compile_options(${target}_${name} PRIVATE -ffp-contract=off -fno-fast-math -fno-math-errno -O2
                           -fno-exceptions -fno-rtti ${flags})
    set_target_properties(${target}_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_EXTENSIONS OFF)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_${name}>)
    string(APPEND tables "TANDEM_EACH(${name}) ")
  endforeach()
  target_compile_definitions(${target} PRIVATE "TANDEM_TABLES=${tables}")
endfunction()
