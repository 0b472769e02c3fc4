# SPDX-License-Identifier: Apache-2.0
# TANDEM_PYTHON: the Python module, where nanobind is (packaging/python.sh makes a virtual environment with it).
set(have_python OFF)
if(NOT CMAKE_CROSSCOMPILING AND NOT TANDEM_SANITIZE AND NOT TANDEM_KERNELS_ONLY)
  if(NOT Python_EXECUTABLE AND EXISTS ${CMAKE_SOURCE_DIR}/build/python/bin/python3)
    set(Python_EXECUTABLE ${CMAKE_SOURCE_DIR}/build/python/bin/python3)
  endif()
  find_package(Python 3.9 QUIET COMPONENTS Interpreter Development.Module)
  if(Python_Development.Module_FOUND)
    execute_process(COMMAND ${Python_EXECUTABLE} -m nanobind --cmake_dir OUTPUT_VARIABLE nanobind_folder
                    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    find_package(nanobind CONFIG QUIET PATHS ${nanobind_folder} NO_DEFAULT_PATH)
    set(have_python ${nanobind_FOUND})
  endif()
endif()
option(TANDEM_PYTHON "build the Python module (needs nanobind and Python's headers)" ${have_python})
if(TANDEM_PYTHON AND NOT have_python)
  message(FATAL_ERROR "TANDEM_PYTHON: nanobind or Python's headers are missing (packaging/python.sh installs them), "
                      "or this is a build with sanitizers")
endif()
if(NOT TANDEM_PYTHON)
  message(STATUS "Python module: not built (nanobind not found, switched off, or a build with sanitizers)")
endif()
