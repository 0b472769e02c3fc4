# SPDX-License-Identifier: Apache-2.0
# cmake --install build/release --prefix P: tool, library, public headers, package files, embedded model, cann/ prefix.
# "lib" on every distribution: the prefix can be moved, and P/cann/lib64 finds ../../lib from where it lies.
include(CMakePackageConfigHelpers)

# What a program of ours may include; everything else may change at any time.
set(TANDEM_PUBLIC_HEADERS
  base/dtype.h base/half.h base/int4.h base/status.h base/tensor.h
  exec/device.h exec/lane.h exec/memory.h exec/stream.h
  kernels/gemm.h kernels/pack.h kernels/reduce.h
  comm/communicator.h comm/collectives.h comm/inspect.h
  ops/plan.h ops/table.h ops/mm_all_reduce.h ops/mm_reduce_scatter.h ops/pack_weights.h ops/all_gather_mm.h
  ops/attention.h ops/elementwise.h ops/grouped_matmul.h ops/matmul.h
  ops/moe_ffn.h ops/moe_routing.h ops/movement.h ops/norm.h ops/quantize.h ops/rope.h ops/transdata.h)

# For writers of kernels (docs/kernels.md): the contracts, and the vocabulary that tandem_isa() compiles for each table.
set(TANDEM_KERNEL_HEADERS
  exec/team.h
  kernels/attention.h kernels/elementwise.h kernels/moe.h kernels/norm.h kernels/quant.h kernels/rope.h kernels/table.h
  kernels/cpu/failure.h kernels/cpu/isa.h kernels/cpu/narrow.h kernels/cpu/parts.h kernels/cpu/rows.h kernels/cpu/stream.h
  kernels/cpu/vec.h kernels/cpu/vec_highway.h kernels/cpu/vec_portable.h)

# First and last: what uninstall needs to know.
install(CODE "set(tandem_build \"${CMAKE_BINARY_DIR}\")")
install(SCRIPT ${CMAKE_SOURCE_DIR}/cmake/install_record.cmake)

target_include_directories(tandem INTERFACE $<INSTALL_INTERFACE:include>)
target_compile_features(tandem INTERFACE cxx_std_20)
target_link_libraries(tandem INTERFACE tl::expected)
install(TARGETS tandem EXPORT tandem LIBRARY DESTINATION lib)
if(TARGET tandem_tool)
  set_target_properties(tandem_tool PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
  install(TARGETS tandem_tool RUNTIME DESTINATION bin)
endif()

foreach(header ${TANDEM_PUBLIC_HEADERS} ${TANDEM_KERNEL_HEADERS})
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${CMAKE_SOURCE_DIR}/tandem/${header} DESTINATION include/tandem/${folder})
endforeach()
install(FILES ${CMAKE_BINARY_DIR}/generated/tandem/version.h DESTINATION include/tandem)

set(package ${CMAKE_BINARY_DIR}/generated/package)
get_property(TANDEM_ISA_TABLES GLOBAL PROPERTY TANDEM_ISA_TABLES)
configure_package_config_file(${CMAKE_SOURCE_DIR}/packaging/tandemConfig.cmake.in ${package}/tandemConfig.cmake
                              INSTALL_DESTINATION lib/cmake/tandem NO_SET_AND_CHECK_MACRO)
set(compatibility SameMinorVersion)
if(PROJECT_VERSION_MAJOR GREATER 0)
  set(compatibility SameMajorVersion)
endif()
write_basic_package_version_file(${package}/tandemConfigVersion.cmake COMPATIBILITY ${compatibility})
install(FILES ${package}/tandemConfig.cmake ${package}/tandemConfigVersion.cmake ${CMAKE_SOURCE_DIR}/cmake/kernels.cmake
        DESTINATION lib/cmake/tandem)
install(EXPORT tandem NAMESPACE tandem:: FILE tandemTargets.cmake DESTINATION lib/cmake/tandem)
configure_file(${CMAKE_SOURCE_DIR}/packaging/tandem.pc.in ${package}/tandem.pc @ONLY)
install(FILES ${package}/tandem.pc DESTINATION lib/pkgconfig)

install(DIRECTORY ${CMAKE_SOURCE_DIR}/model/ DESTINATION share/tandem/model PATTERN training EXCLUDE)
install(FILES README.md README.zh.md CHANGELOG.md LICENSE THIRD_PARTY.md SECURITY.md DESTINATION share/doc/tandem)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs DESTINATION share/doc/tandem)

include(${CMAKE_SOURCE_DIR}/front/install.cmake OPTIONAL)

install(SCRIPT ${CMAKE_SOURCE_DIR}/cmake/install_record.cmake)
add_custom_target(uninstall COMMAND ${CMAKE_COMMAND} -D build=${CMAKE_BINARY_DIR}
                  -P ${CMAKE_SOURCE_DIR}/cmake/uninstall.cmake VERBATIM)

include(${CMAKE_SOURCE_DIR}/packaging/package.cmake)
