# How llama.cpp is compiled: CMake includes this file before llama.cpp's own (CMAKE_PROJECT_llama_cpp_INCLUDE).
set(LLAVA_BUILD OFF CACHE BOOL "")
# Without it a token's keys and values are the same whether one token is evaluated at a time or three:
# gguf_lambda/chunks.py relies on it.
set(GGML_LLAMAFILE OFF CACHE BOOL "")
set(LLAMA_BUILD_COMMON OFF) # of llama.cpp's own programs; a cached value would be overwritten
set(CMAKE_PLATFORM_NO_VERSIONED_SONAME ON) # wheels hold no links: each library would be there three times

# Linux: a library of kernels for each kind of CPU, the first one everybody's floor, and
# gguf_lambda/kernels.py takes the best that proves itself. Of ggml's kinds those that compute 4-bit models
# in a way of their own: VBMI and BF16 change nothing for them, AMX (sapphirerapids) dies on some machines.
# macOS: compiled for the machine itself.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
  if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
    set(KINDS_OF_CPU haswell skylakex cascadelake)
    # gcc 12 keeps the accumulators of ggml's matrix products in registers with these only; prefill with
    # AVX2 takes an eighth less time, as it does with clang, and decoding as long as before.
    add_compile_options("$<$<C_COMPILER_ID:GNU>:-mtune=haswell;-fno-tree-coalesce-vars>")
  elseif(CMAKE_SYSTEM_PROCESSOR STREQUAL "aarch64")
    set(KINDS_OF_CPU armv8.2_2 armv8.6_1)
  else()
    message(FATAL_ERROR "requirements/llama-cpp.cmake names no kernels for ${CMAKE_SYSTEM_PROCESSOR}; add them.")
  endif()
  set(GGML_NATIVE OFF CACHE BOOL "")
  set(GGML_BACKEND_DL ON CACHE BOOL "")
  set(GGML_CPU_ALL_VARIANTS ON CACHE BOOL "")
  set(CMAKE_INSTALL_BINDIR llama_cpp/lib CACHE PATH "")
  set(CMAKE_INSTALL_LIBDIR llama_cpp/lib CACHE PATH "")

  # ggml knows all kinds or one; this makes it pass over those that are not wanted.
  set(list "${CMAKE_CURRENT_SOURCE_DIR}/vendor/llama.cpp/ggml/src/CMakeLists.txt")
  set(beginning "function(ggml_add_cpu_backend_variant tag_name)\n")
  file(READ "${list}" text)
  string(FIND "${text}" "${beginning}" place)
  if(place EQUAL -1)
    message(FATAL_ERROR "ggml lists its kinds of CPU in another way now; see requirements/llama-cpp.cmake.")
  endif()
  string(REPLACE "${beginning}"
    "${beginning}if(NOT tag_name IN_LIST KINDS_OF_CPU)\nreturn()\nendif()\n" text "${text}")
  file(WRITE "${list}" "${text}")
endif()
