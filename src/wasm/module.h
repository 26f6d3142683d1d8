// A Module is compiled machine code together with what its interface says.
//
// Only binary core modules are accepted. The bytes are checked (size, kind, validity) before they are compiled, and
// are not needed afterwards. Immutable; shared by cache and runs, hence always held by shared_ptr. Modules live in
// memory only: nothing is written to a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "wasm/engine.h"

namespace proplet::wasm {

enum class ValueType : std::uint8_t { i32, i64, f32, f64, other };
std::string_view value_type_name(ValueType type);

struct FunctionType {
  std::vector<ValueType> parameters;
  std::vector<ValueType> results;
};

struct FunctionExport {
  std::string name;
  FunctionType type;
};

class Module {
 public:
  // Compiles on the calling thread, and on helpers of the process. Not interruptible; ModuleCache compiles on threads
  // of its own. Fails with MODULE_INVALID, SIZE_LIMIT, IMPORT_MISSING (names the import) or UNSUPPORTED (component).
  static Result<std::shared_ptr<const Module>> compile(Engine& engine, ByteView bytes);
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  [[nodiscard]] const std::vector<FunctionExport>& functions() const { return functions_; }
  [[nodiscard]] const FunctionExport* find_function(std::string_view name) const;
  // Bytes of machine code and data, roughly.
  [[nodiscard]] std::size_t code_bytes() const { return code_bytes_; }

  struct Handles;  // Wasmtime's objects; for this folder only
  [[nodiscard]] const Handles& handles() const { return *handles_; }

 private:
  Module(std::unique_ptr<Handles> handles, std::vector<FunctionExport> functions, std::size_t code_bytes);

  std::unique_ptr<Handles> handles_;
  std::vector<FunctionExport> functions_;
  std::size_t code_bytes_;
};

}  // namespace proplet::wasm
