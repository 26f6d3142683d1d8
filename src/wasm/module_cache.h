// Compiles modules on at most two threads of its own, and keeps the most recently used ones in memory.
//
// A module that several tasks ask for at the same time is compiled once. Waiting ends at once on a stop request; the
// compilation itself goes on and its result is cached, but one that has not begun and that nobody waits for any more is
// dropped. Plaintext is wiped as soon as the compilation ends.
// Thread-safe. The destructor waits for compilations under way.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/secret_bytes.h"
#include "wasm/module.h"

namespace proplet::wasm {

struct CacheLimits {
  std::size_t modules = 64;
  std::size_t code_bytes = std::size_t{256} << 20;
};

class ModuleCache {
 public:
  ModuleCache(Engine& engine, CacheLimits limits);
  ~ModuleCache();
  ModuleCache(const ModuleCache&) = delete;
  ModuleCache& operator=(const ModuleCache&) = delete;

  // `key` identifies the bytes, collision-free ("sha256:..."); without one the module is compiled anew and not kept.
  // Fails as Module::compile does, or with TASK_STOPPED.
  Result<std::shared_ptr<const Module>> get(SecretBytes bytes, const std::optional<std::string>& key,
                                            std::stop_token stop);

  struct Counts {
    std::size_t modules = 0;     // kept
    std::size_t code_bytes = 0;  // of those
    std::size_t compilations = 0;
    std::size_t hits = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  struct State;
  void start_compiling();

  std::shared_ptr<State> state_;  // shared with the compiling threads
};

}  // namespace proplet::wasm
