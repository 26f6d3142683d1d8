# proplet_layer(<name> [USES <layer>...] [LINKS <target>...])
#
# One folder of src/ is one static library. Every *.cc in the folder and in the sub-folders named by SUBFOLDERS is
# compiled into it, except *_test.cc, which form the program <name>_test. `LINKS` targets stay private: nobody above
# the layer sees their headers.
function(proplet_layer name)
  cmake_parse_arguments(layer "" "" "USES;LINKS;SUBFOLDERS" ${ARGN})
  set(patterns "*.cc")
  foreach(folder ${layer_SUBFOLDERS})
    list(APPEND patterns "${folder}/*.cc")
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")

  # The headers are listed too, so that a layer may begin with its headers alone.
  file(GLOB headers CONFIGURE_DEPENDS "*.h")
  add_library(${name} STATIC ${sources} ${headers})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
  add_library(proplet::${name} ALIAS ${name})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  list(TRANSFORM layer_USES PREPEND proplet::)
  target_link_libraries(${name} PUBLIC ${layer_USES} PRIVATE ${layer_LINKS})

  if(PROPLET_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE ${name} ${layer_LINKS} GTest::gmock GTest::gtest_main)
    # Tests mostly wait; not optimising them halves the time of building them.
    if(CMAKE_BUILD_TYPE STREQUAL "Debug")
      target_compile_options(${name}_test PRIVATE -O0)
    endif()
    target_compile_definitions(${name}_test PRIVATE PROPLET_VECTORS="${PROJECT_SOURCE_DIR}/tests/vectors")
    include(GoogleTest)
    gtest_discover_tests(${name}_test DISCOVERY_TIMEOUT 60 PROPERTIES LABELS unit TIMEOUT 120)
  endif()
endfunction()
