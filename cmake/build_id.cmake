# SPDX-License-Identifier: Apache-2.0
# TANDEM_BUILD_ID: a digest of the compiler and of every header, so that parts of different builds know each other.
file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/tandem/*.h)
list(SORT headers)
set(digests "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} ${CMAKE_SYSTEM_PROCESSOR}")
foreach(header ${headers})
  file(SHA256 ${CMAKE_SOURCE_DIR}/${header} digest)
  string(APPEND digests "\n${digest} ${header}")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${header})
endforeach()
string(SHA256 TANDEM_BUILD_ID "${digests}")
string(SUBSTRING "${TANDEM_BUILD_ID}" 0 12 TANDEM_BUILD_ID)
