#include "wasm/module.h"

#include <algorithm>
#include <array>

#include "wasm/core.h"
#include "wasm/module_handles.h"

namespace proplet::wasm {
namespace {

constexpr std::array<std::uint8_t, 4> kMagic{0, 'a', 's', 'm'};
constexpr std::array<std::uint8_t, 4> kCoreVersion{1, 0, 0, 0};
// The layer field of a component's preamble; the version before it has changed over time.
constexpr std::array<std::uint8_t, 2> kComponentLayer{1, 0};

Status check_kind(ByteView bytes) {
  if (bytes.size() < 8 || !std::ranges::equal(bytes.first(4), kMagic)) {
    return fail(Code::module_invalid, "the {} bytes are not a binary WebAssembly module", bytes.size());
  }
  if (std::ranges::equal(bytes.subspan(6, 2), kComponentLayer)) {
    return fail(Code::unsupported, "the module is a WebAssembly component; this version runs core modules");
  }
  if (!std::ranges::equal(bytes.subspan(4, 4), kCoreVersion)) {
    return fail(Code::module_invalid, "the module has an unknown binary version");
  }
  return {};
}

Result<ModuleHandle> compile_core(wasm_engine_t* engine, ByteView bytes) {
  wasmtime_module_t* module = nullptr;
  const ErrorHandle error(wasmtime_module_new(engine, bytes.data(), bytes.size(), &module));
  if (error) return fail(Code::module_invalid, "the module cannot be compiled: {}", text_of(*error));
  return ModuleHandle(module);
}

Result<InstancePreHandle> link(const wasmtime_linker_t* linker, const wasmtime_module_t* module) {
  wasmtime_instance_pre_t* instance_pre = nullptr;
  const ErrorHandle error(wasmtime_linker_instantiate_pre(linker, module, &instance_pre));
  if (error)
    return fail(Code::import_missing, "the worker does not provide what the module needs: {}", text_of(*error));
  return InstancePreHandle(instance_pre);
}

using ValueTypeHandle = Handle<wasm_valtype_t, wasm_valtype_delete>;

// Maps Wasmtime's value types to ours. By comparison, because asking one for its kind (wasm_valtype_kind) ends the
// process if it is a vector or a newer reference type.
class ValueTypes {
 public:
  std::vector<ValueType> of(const wasm_valtype_vec_t* types) const {
    std::vector<ValueType> list;
    list.reserve(types->size);
    for (std::size_t i = 0; i < types->size; ++i) list.push_back(of(types->data[i]));
    return list;
  }

 private:
  ValueType of(const wasm_valtype_t* type) const {
    for (std::size_t i = 0; i < numbers_.size(); ++i) {
      if (wasmtime_wasm_valtype_equal(numbers_[i].get(), type)) return static_cast<ValueType>(i);
    }
    return ValueType::other;
  }

  // In the order of ValueType.
  std::array<ValueTypeHandle, 4> numbers_{
      ValueTypeHandle(wasm_valtype_new(WASM_I32)), ValueTypeHandle(wasm_valtype_new(WASM_I64)),
      ValueTypeHandle(wasm_valtype_new(WASM_F32)), ValueTypeHandle(wasm_valtype_new(WASM_F64))};
};

std::vector<FunctionExport> function_exports(const wasmtime_module_t* module) {
  const ValueTypes types;
  wasm_exporttype_vec_t exports;
  wasmtime_module_exports(module, &exports);
  std::vector<FunctionExport> functions;
  for (std::size_t i = 0; i < exports.size; ++i) {
    const wasm_functype_t* type = wasm_externtype_as_functype_const(wasm_exporttype_type(exports.data[i]));
    if (type == nullptr) continue;
    functions.push_back({std::string(name_view(*wasm_exporttype_name(exports.data[i]))),
                         {types.of(wasm_functype_params(type)), types.of(wasm_functype_results(type))}});
  }
  wasm_exporttype_vec_delete(&exports);
  return functions;
}

std::size_t image_bytes(const wasmtime_module_t* module) {
  void* start = nullptr;
  void* end = nullptr;
  wasmtime_module_image_range(module, &start, &end);
  return static_cast<std::size_t>(static_cast<std::uint8_t*>(end) - static_cast<std::uint8_t*>(start));
}

}  // namespace

std::string_view value_type_name(ValueType type) {
  constexpr std::array<std::string_view, 5> kNames{"i32", "i64", "f32", "f64", "vector or reference"};
  return kNames.at(static_cast<std::size_t>(type));
}

Module::Module(std::unique_ptr<Handles> handles, std::vector<FunctionExport> functions, std::size_t code_bytes)
    : handles_(std::move(handles)), functions_(std::move(functions)), code_bytes_(code_bytes) {}

Module::~Module() = default;

Result<std::shared_ptr<const Module>> Module::compile(Engine& engine, ByteView bytes) {
  if (bytes.size() > engine.settings().max_module_bytes) {
    return fail(Code::size_limit, "the module has {} bytes; at most {} are accepted", bytes.size(),
                engine.settings().max_module_bytes);
  }
  TRY(check_kind(bytes));
  TRY_ASSIGN(Engine::Core * core, engine.core());
  TRY_ASSIGN(ModuleHandle module, compile_core(core->engine.get(), bytes));
  TRY_ASSIGN(InstancePreHandle instance_pre, link(core->linker.get(), module.get()));
  auto functions = function_exports(module.get());
  const std::size_t code_bytes = image_bytes(module.get());
  auto handles = std::make_unique<Handles>(Handles{std::move(module), std::move(instance_pre)});
  // Not make_shared: the constructor is private.
  return std::shared_ptr<const Module>(new Module(std::move(handles), std::move(functions), code_bytes));
}

const FunctionExport* Module::find_function(std::string_view name) const {
  const auto found = std::ranges::find(functions_, name, &FunctionExport::name);
  return found == functions_.end() ? nullptr : &*found;
}

}  // namespace proplet::wasm
