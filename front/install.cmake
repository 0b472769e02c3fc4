# SPDX-License-Identifier: Apache-2.0
# P/cann: include roots, library names and set_env.sh as vendor build lines expect them.
set(front ${CMAKE_SOURCE_DIR}/front)
set(cann ${CMAKE_BINARY_DIR}/generated/cann)
get_directory_property(TANDEM_CANN_NAMES DIRECTORY ${front} DEFINITION TANDEM_CANN_NAMES)
install(TARGETS tandem_cann LIBRARY DESTINATION lib)
install(DIRECTORY ${front}/acl/include/ ${front}/hccl/include/ ${front}/aclnn/include/ ${front}/atb/include/
        DESTINATION cann/include
        FILES_MATCHING PATTERN "*.h")

# link(TARGET PLACE): a symbolic link that is installed as it is.
function(tandem_cann_link target place)
  get_filename_component(folder ${place} DIRECTORY)
  file(MAKE_DIRECTORY ${cann}/${folder})
  file(CREATE_LINK ${target} ${cann}/${place} SYMBOLIC)
endfunction()

file(REMOVE_RECURSE ${cann})
get_property(soversion TARGET tandem_cann PROPERTY SOVERSION)
foreach(name ${TANDEM_CANN_NAMES})
  tandem_cann_link(../../lib/libtandem_cann.so lib64/lib${name}.so)
endforeach()
# Programs record the real names, so the folder they were told to look in has to have them too.
foreach(name tandem_cann tandem)
  tandem_cann_link(../../lib/lib${name}.so.${soversion} lib64/lib${name}.so.${soversion})
endforeach()
tandem_cann_link(lib64 lib)
tandem_cann_link(../include opp/include)
tandem_cann_link(../lib64 opp/lib64)
tandem_cann_link(../include ${CMAKE_SYSTEM_PROCESSOR}-linux/include)
tandem_cann_link(../lib64 ${CMAKE_SYSTEM_PROCESSOR}-linux/lib64)
configure_file(${front}/set_env.sh ${cann}/set_env.sh COPYONLY)
install(DIRECTORY ${cann}/ DESTINATION cann)
