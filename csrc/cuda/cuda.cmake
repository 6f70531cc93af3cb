# The module _cuda, where a CUDA 13 compiler is found: STEEPEST_CUDA=ON (must be), OFF, AUTO.
# CUDAARCHS in the environment, or CMAKE_CUDA_ARCHITECTURES: one, 90 or native, is a quick build.
set(STEEPEST_CUDA AUTO CACHE STRING "Build the CUDA module: ON, OFF or AUTO")

# The cache keeps a compiler once found: STEEPEST_CUDA is asked first.
if(STEEPEST_CUDA STREQUAL "OFF")
  message(STATUS "steepest: no CUDA module, as STEEPEST_CUDA=OFF")
  return()
endif()
# By default all, and PTX for newer ones. Those of a line get the same PTX, from one pass of the
# compiler's front end: two thirds of the time are its passes.
set(generate_code "")
if(NOT CMAKE_CUDA_ARCHITECTURES AND "$ENV{CUDAARCHS}" STREQUAL "")
  set(CMAKE_CUDA_ARCHITECTURES OFF)
  foreach(pair IN ITEMS
          75,code=sm_75
          80,code=sm_80 80,code=sm_86 80,code=sm_89
          90,code=sm_90
          100,code=sm_100 100,code=sm_120 100,code=compute_100)
    list(APPEND generate_code --generate-code=arch=compute_${pair})
  endforeach()
endif()
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(STEEPEST_NVCC nvcc PATHS /usr/local/cuda/bin)
  if(STEEPEST_NVCC)
    set(CMAKE_CUDA_COMPILER ${STEEPEST_NVCC})
  endif()
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  if(STEEPEST_CUDA STREQUAL "ON")
    message(FATAL_ERROR "STEEPEST_CUDA=ON, and no CUDA compiler works: set CUDACXX to an nvcc 13")
  endif()
  message(STATUS "steepest: no CUDA module, as no CUDA compiler works (set CUDACXX to an nvcc 13)")
  return()
endif()
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 13)
  if(STEEPEST_CUDA STREQUAL "ON")
    message(FATAL_ERROR "STEEPEST_CUDA=ON, and nvcc is ${CMAKE_CUDA_COMPILER_VERSION}; "
                        "expected 13 or newer")
  endif()
  message(STATUS "steepest: no CUDA module, as nvcc ${CMAKE_CUDA_COMPILER_VERSION} is older than 13")
  return()
endif()
string(REPLACE OFF "75 to 120" architectures "${CMAKE_CUDA_ARCHITECTURES}")
message(STATUS "steepest: CUDA module by nvcc ${CMAKE_CUDA_COMPILER_VERSION} for ${architectures}")

set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)  # so that the import needs no driver
# The directory's options are the host compiler's; nvcc takes its own.
get_directory_property(host_options COMPILE_OPTIONS)
set_directory_properties(PROPERTIES COMPILE_OPTIONS "")
pybind11_add_module(_cuda MODULE NO_EXTRAS
                    csrc/bindings/cuda_module.cpp csrc/bindings/nlls_cuda.cpp csrc/core/device.cu
                    csrc/cuda/plan.cpp csrc/cuda/kernels.cu
                    csrc/linalg/device/headers.cpp csrc/linalg/device/libraries.cpp
                    csrc/linalg/device/kernels.cu csrc/nlls/device/kernels.cu)
target_link_libraries(_cuda PRIVATE ${CMAKE_DL_LIBS})
steepest_hide_libraries(_cuda)
# cuBLAS's and cuSOLVER's headers, where the toolkit has them: the file checks prototypes.
foreach(folder IN LISTS CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES)
  set_property(SOURCE csrc/linalg/device/headers.cpp APPEND PROPERTY COMPILE_OPTIONS
               -isystem ${folder})
endforeach()
target_compile_options(_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${host_options}>")
# As on the host, and whatever CUDAFLAGS says: no fused multiply-add, no fast-math, in device code
# and in the host's pass over it.
target_compile_options(_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:${generate_code}
  -fmad=false -ftz=false -prec-div=true -prec-sqrt=true
  --expt-relaxed-constexpr --compress-mode=size --threads=0
  -Xcompiler=-fno-fast-math,-ffp-contract=off -Xcompiler=-Wall,-Wextra>)
if(STEEPEST_WERROR)
  target_compile_options(_cuda PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings -Xcompiler=-Werror>)
endif()
install(TARGETS _cuda DESTINATION steepest)
