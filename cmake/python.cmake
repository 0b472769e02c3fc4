# SPDX-License-Identifier: Apache-2.0
# TANDEM_PYTHON: the Python module. AUTO: where nanobind is (packaging/python.sh makes a virtual environment with it),
# looked for at every configuration; ON: an error where it is not.
set(TANDEM_PYTHON AUTO CACHE STRING "build the Python module: AUTO, ON or OFF (needs nanobind and Python's headers)")
set_property(CACHE TANDEM_PYTHON PROPERTY STRINGS AUTO ON OFF)
set(TANDEM_PYTHON_MODULE OFF) # whether it is built
if(TANDEM_PYTHON AND NOT CMAKE_CROSSCOMPILING AND NOT TANDEM_SANITIZE AND NOT TANDEM_KERNELS_ONLY)
  if(NOT Python_EXECUTABLE AND EXISTS ${CMAKE_SOURCE_DIR}/build/python/bin/python3)
    set(Python_EXECUTABLE ${CMAKE_SOURCE_DIR}/build/python/bin/python3)
  endif()
  find_package(Python 3.9 QUIET COMPONENTS Interpreter Development.Module)
  if(Python_Development.Module_FOUND)
    execute_process(COMMAND ${Python_EXECUTABLE} -m nanobind --cmake_dir OUTPUT_VARIABLE nanobind_folder
                    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    find_package(nanobind CONFIG QUIET PATHS ${nanobind_folder} NO_DEFAULT_PATH)
    set(TANDEM_PYTHON_MODULE ${nanobind_FOUND})
  endif()
endif()
if(NOT TANDEM_PYTHON_MODULE AND TANDEM_PYTHON AND NOT TANDEM_PYTHON STREQUAL "AUTO")
  message(FATAL_ERROR "TANDEM_PYTHON is ${TANDEM_PYTHON}: nanobind or Python's headers are missing "
                      "(packaging/python.sh installs them), or this is a build with sanitizers. AUTO builds without")
endif()
if(NOT TANDEM_PYTHON_MODULE)
  message(STATUS "Python module: not built (nanobind not found, switched off, or a build with sanitizers)")
endif()
