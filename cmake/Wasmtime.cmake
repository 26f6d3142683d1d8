# The imported target `wasmtime::shim`: Wasmtime's C API as one static library, built by cargo through
# scripts/build-wasmtime.sh into a cache outside the checkout, so that every clone on a machine shares one build.

set(WASMTIME_SHIM_DIR "" CACHE PATH "A finished build of rust/wasmtime-shim; empty: build or find it in the cache")

if(NOT WASMTIME_SHIM_DIR)
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/build-wasmtime.sh --print-path
                  OUTPUT_VARIABLE shim_dir OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  if(NOT EXISTS ${shim_dir}/lib/libwasmtime_shim.a)
    message(STATUS "Building Wasmtime once for this machine; this takes up to 12 minutes on two cores")
    execute_process(COMMAND ${PROJECT_SOURCE_DIR}/scripts/build-wasmtime.sh COMMAND_ERROR_IS_FATAL ANY)
  endif()
else()
  set(shim_dir ${WASMTIME_SHIM_DIR})
endif()

file(GLOB shim_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/rust/wasmtime-shim/src/*.rs)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${shim_sources}
             ${PROJECT_SOURCE_DIR}/rust/wasmtime-shim/Cargo.toml ${PROJECT_SOURCE_DIR}/rust/wasmtime-shim/Cargo.lock
             ${PROJECT_SOURCE_DIR}/rust/wasmtime-shim/build.rs
             ${PROJECT_SOURCE_DIR}/scripts/build-wasmtime.sh)
add_library(wasmtime_shim STATIC IMPORTED GLOBAL)
add_library(wasmtime::shim ALIAS wasmtime_shim)
set_target_properties(wasmtime_shim PROPERTIES
  IMPORTED_LOCATION ${shim_dir}/lib/libwasmtime_shim.a
  INTERFACE_INCLUDE_DIRECTORIES ${shim_dir}/include
  INTERFACE_LINK_LIBRARIES "pthread;dl;m;gcc_s")
