# SPDX-License-Identifier: Apache-2.0
# Runs at the start of `cmake --install`: writes the prefix and which of the shared folders exist already into
# ${tandem_record}. An install over an earlier one keeps the earlier record, or its own folders would count as foreign.
set(prefix "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}")
set(before "")
if(EXISTS "${tandem_record}")
  file(STRINGS "${tandem_record}" record)
  list(GET record 0 before)
endif()
if(NOT before STREQUAL prefix)
  set(record "${prefix}")
  foreach(folder . bin include lib lib/cmake lib/pkgconfig share share/doc)
    if(EXISTS "${prefix}/${folder}")
      string(APPEND record "\n${folder}")
    endif()
  endforeach()
  file(WRITE "${tandem_record}" "${record}\n")
endif()
