#include "wasm/wasi.h"

#include <vector>

#include "wasm/poll.h"

namespace proplet::wasm {
namespace {

constexpr std::string_view kWasi = "wasi_snapshot_preview1";

wasm_trap_t* new_trap(std::string_view message) { return wasmtime_trap_new(message.data(), message.size()); }

RunState& state_of(wasmtime_caller_t* caller) {
  return *static_cast<RunState*>(wasmtime_context_get_data(wasmtime_caller_context(caller)));
}

std::optional<GuestMemory> memory_of(wasmtime_caller_t* caller) {
  wasmtime_extern_t item;
  if (!wasmtime_caller_export_get(caller, "memory", 6, &item)) return std::nullopt;
  if (item.kind != WASMTIME_EXTERN_MEMORY) return std::nullopt;
  wasmtime_context_t* context = wasmtime_caller_context(caller);
  return GuestMemory(
      {wasmtime_memory_data(context, &item.of.memory), wasmtime_memory_data_size(context, &item.of.memory)});
}

std::uint32_t u32(const wasmtime_val_t& value) { return static_cast<std::uint32_t>(value.of.i32); }

void set_errno(wasmtime_val_t* result, Errno error) {
  result->kind = WASMTIME_I32;
  result->of.i32 = static_cast<std::int32_t>(error);
}

wasm_trap_t* proc_exit(void*, wasmtime_caller_t* caller, const wasmtime_val_t* arguments, size_t, wasmtime_val_t*,
                       size_t) {
  state_of(caller).exit_code = u32(arguments[0]);
  return new_trap("the guest exited");
}

wasm_trap_t* clock_time_get(void*, wasmtime_caller_t* caller, const wasmtime_val_t* arguments, size_t,
                            wasmtime_val_t* results, size_t) {
  const auto now = clock_now(u32(arguments[0]), state_of(caller));
  auto memory = memory_of(caller);
  if (!now) {
    set_errno(results, Errno::inval);
  } else {
    const bool written = memory && memory->write_u64(u32(arguments[2]), *now);
    set_errno(results, written ? Errno::success : Errno::fault);
  }
  return nullptr;
}

wasm_trap_t* clock_res_get(void*, wasmtime_caller_t* caller, const wasmtime_val_t* arguments, size_t,
                           wasmtime_val_t* results, size_t) {
  auto memory = memory_of(caller);
  if (!clock_now(u32(arguments[0]), state_of(caller))) {
    set_errno(results, Errno::inval);
  } else {
    const bool written = memory && memory->write_u64(u32(arguments[1]), 1);
    set_errno(results, written ? Errno::success : Errno::fault);
  }
  return nullptr;
}

wasm_trap_t* poll_oneoff(void*, wasmtime_caller_t* caller, const wasmtime_val_t* arguments, size_t,
                         wasmtime_val_t* results, size_t) {
  RunState& state = state_of(caller);
  auto memory = memory_of(caller);
  if (!memory) {
    set_errno(results, Errno::fault);
    return nullptr;
  }
  // The guest is suspended while it waits, so its memory can neither move nor change.
  const PollCall call{u32(arguments[0]), u32(arguments[1]), u32(arguments[2]), u32(arguments[3])};
  const Errno error = poll_guest(*memory, call, state);
  if (state.interruption != Interruption::none) return new_trap("interrupted");
  set_errno(results, error);
  return nullptr;
}

struct HostFunction {
  std::string_view name;
  std::vector<wasm_valkind_t> parameters;
  bool returns_errno;
  wasmtime_func_callback_t callback;
};

FunctionTypeHandle function_type(const HostFunction& function) {
  std::vector<wasm_valtype_t*> types;
  for (const wasm_valkind_t kind : function.parameters) types.push_back(wasm_valtype_new(kind));
  wasm_valtype_vec_t parameters;
  wasm_valtype_vec_new(&parameters, types.size(), types.data());
  wasm_valtype_vec_t results;
  if (function.returns_errno) {
    wasm_valtype_t* result = wasm_valtype_new(WASM_I32);
    wasm_valtype_vec_new(&results, 1, &result);
  } else {
    wasm_valtype_vec_new_empty(&results);
  }
  return FunctionTypeHandle(wasm_functype_new(&parameters, &results));
}

Status define(wasmtime_linker_t* linker, const HostFunction& function) {
  const FunctionTypeHandle type = function_type(function);
  const ErrorHandle error(wasmtime_linker_define_func(linker, kWasi.data(), kWasi.size(), function.name.data(),
                                                      function.name.size(), type.get(), function.callback, nullptr,
                                                      nullptr));
  if (error) return fail(Code::internal, "cannot define {}: {}", function.name, text_of(*error));
  return {};
}

bool is_c_string(std::string_view text) { return text.find('\0') == std::string_view::npos; }

Status set_arguments(wasi_config_t* config, const RunSpec& spec) {
  std::vector<const char*> pointers;
  for (const auto& argument : spec.arguments) {
    if (!is_c_string(argument)) return fail(Code::message_invalid, "an argument contains a zero byte");
    pointers.push_back(argument.c_str());
  }
  if (pointers.empty() || wasi_config_set_argv(config, pointers.size(), pointers.data())) return {};
  return fail(Code::message_invalid, "an argument is not UTF-8 text");
}

Status set_environment(wasi_config_t* config, const RunSpec& spec) {
  std::vector<const char*> names;
  std::vector<const char*> values;
  for (const auto& [name, value] : spec.environment) {
    if (!is_c_string(name) || !is_c_string(value)) {
      return fail(Code::message_invalid, "environment variable {} contains a zero byte", one_line(name, 80));
    }
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  if (names.empty() || wasi_config_set_env(config, names.size(), names.data(), values.data())) return {};
  return fail(Code::message_invalid, "an environment variable is not UTF-8 text");
}

// An exception must not cross Wasmtime's frames.
void append_output(void* output, const std::uint8_t* bytes, std::size_t length) noexcept {
  static_cast<BoundedOutput*>(output)->append({reinterpret_cast<const char*>(bytes), length});
}

}  // namespace

Result<LinkerHandle> new_wasi_linker(wasm_engine_t* engine) {
  LinkerHandle linker(wasmtime_linker_new(engine));
  const ErrorHandle error(wasmtime_linker_define_wasi(linker.get()));
  if (error) return fail(Code::internal, "cannot set up WASI: {}", text_of(*error));
  const HostFunction functions[] = {
      {"proc_exit", {WASM_I32}, false, proc_exit},
      {"clock_time_get", {WASM_I32, WASM_I64, WASM_I32}, true, clock_time_get},
      {"clock_res_get", {WASM_I32, WASM_I32}, true, clock_res_get},
      {"poll_oneoff", {WASM_I32, WASM_I32, WASM_I32, WASM_I32}, true, poll_oneoff},
  };
  wasmtime_linker_allow_shadowing(linker.get(), true);
  for (const auto& function : functions) TRY(define(linker.get(), function));
  wasmtime_linker_allow_shadowing(linker.get(), false);
  return linker;
}

Result<WasiConfigHandle> new_wasi_config(const RunSpec& spec, RunState& state) {
  WasiConfigHandle config(wasi_config_new());
  wtx_wasi_output(config.get(), append_output, &state.standard_output, &state.standard_error);
  TRY(set_arguments(config.get(), spec));
  TRY(set_environment(config.get(), spec));
  for (const auto& [host_path, guest_path, read_only] : spec.preopens) {
    if (!is_c_string(host_path) || !is_c_string(guest_path) ||
        !wasi_config_preopen_dir(config.get(), host_path.c_str(), guest_path.c_str(), !read_only)) {
      return fail(Code::config_invalid, "directory {} cannot be opened for the guest", one_line(host_path, 200));
    }
  }
  return config;
}

}  // namespace proplet::wasm
