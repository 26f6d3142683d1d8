// For tests: the guests of tests/guests, and an engine that all tests of a program share.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "base/secret_bytes.h"
#include "wasm/engine.h"
#include "wasm/module.h"

namespace proplet::wasm {

inline Bytes guest_bytes(const std::string& name) {
  std::ifstream file(std::string(PROPLET_GUESTS) + "/" + name + ".wasm", std::ios::binary);
  EXPECT_TRUE(file) << name;
  return Bytes(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// One engine is what a worker has, too.
inline Engine& test_engine() {
  static Engine engine;
  return engine;
}

// Compiled once in a program. For the main thread of a test.
inline std::shared_ptr<const Module> guest(const std::string& name) {
  test_engine();  // made first, hence destroyed last
  static std::map<std::string, std::shared_ptr<const Module>> modules;
  auto& kept = modules[name];
  if (kept != nullptr) return kept;
  auto module = Module::compile(test_engine(), guest_bytes(name));
  EXPECT_TRUE(module) << module.error().text();
  if (module) kept = *module;
  return kept;
}

}  // namespace proplet::wasm
