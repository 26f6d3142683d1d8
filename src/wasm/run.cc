#include "wasm/run.h"

#include <pthread.h>

#include <algorithm>
#include <limits>

#include "wasm/core.h"
#include "wasm/guest_thread.h"
#include "wasm/module_handles.h"
#include "wasm/verdict.h"
#include "wasm/wasi.h"

namespace proplet::wasm {
namespace {

// Called on the guest's thread at every tick.
wasmtime_error_t* at_tick(wasmtime_context_t*, void* data, std::uint64_t* ticks,
                          wasmtime_update_deadline_kind_t* kind) {
  auto& state = *static_cast<RunState*>(data);
  state.publish_memory();
  if (state.must_end()) return wasmtime_error_new("interrupted");
  *ticks = 1;
  *kind = WASMTIME_UPDATE_DEADLINE_CONTINUE;
  return nullptr;
}

ValueType type_of(const Value& value) { return static_cast<ValueType>(value.index()); }

wasmtime_val_t to_wasmtime(const Value& value) {
  wasmtime_val_t converted{};
  switch (type_of(value)) {
    case ValueType::i32:
      converted.kind = WASMTIME_I32;
      converted.of.i32 = std::get<std::int32_t>(value);
      break;
    case ValueType::i64:
      converted.kind = WASMTIME_I64;
      converted.of.i64 = std::get<std::int64_t>(value);
      break;
    case ValueType::f32:
      converted.kind = WASMTIME_F32;
      converted.of.f32 = std::get<float>(value);
      break;
    default:
      converted.kind = WASMTIME_F64;
      converted.of.f64 = std::get<double>(value);
      break;
  }
  return converted;
}

std::optional<Value> from_wasmtime(const wasmtime_val_t& value) {
  switch (value.kind) {
    case WASMTIME_I32:
      return value.of.i32;
    case WASMTIME_I64:
      return value.of.i64;
    case WASMTIME_F32:
      return value.of.f32;
    case WASMTIME_F64:
      return value.of.f64;
    default:
      return std::nullopt;
  }
}

Status check_call(const Module& module, const RunSpec& spec) {
  const FunctionExport* function = module.find_function(spec.function);
  if (function == nullptr) return fail(Code::export_not_found, "no exported function {}", one_line(spec.function, 80));
  std::vector<ValueType> given;
  for (const auto& value : spec.values) given.push_back(type_of(value));
  if (given != function->type.parameters) {
    return fail(Code::argument_mismatch, "the values do not fit the parameters of {}", one_line(spec.function, 80));
  }
  return {};
}

// Made on the guest's thread; read from others while that thread runs the guest.
class GuestUsage final : public UsageSource {
 public:
  explicit GuestUsage(const RunState& state) : state_(state) {
    known_ = ::pthread_getcpuclockid(::pthread_self(), &clock_) == 0;
  }

  [[nodiscard]] Usage usage() const override {
    Usage usage;
    usage.memory_bytes = state_.memory_bytes.load(std::memory_order_relaxed);
    usage.threads = 1;
    timespec now{};
    if (known_ && ::clock_gettime(clock_, &now) == 0) {
      usage.cpu_time = std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec) - state_.cpu_start;
    }
    return usage;
  }

 private:
  const RunState& state_;
  clockid_t clock_{};
  bool known_ = false;
};

// One store with one instance, used up by one call.
class Execution {
 public:
  Execution(Engine::Core& core, bool counts_fuel, const Module& module, const RunSpec& spec, std::stop_token stop)
      : core_(core),
        counts_fuel_(counts_fuel),
        module_(module),
        spec_(spec),
        state_(core.ticker, std::move(stop), spec.time, spec.output_bytes) {
    state_.limits.limit_bytes = spec.memory_bytes;
    state_.limits.instances = 1;
    state_.limits.memories = 1;
    state_.limits.tables = 4;
  }

  Result<RunResult> run() {
    TRY(prepare());
    {
      const Ticker::Guard ticks(core_.ticker);
      TRY(execute_watched());
    }
    RunResult result;
    result.value = value_;
    result.standard_output = state_.standard_output.text();
    result.standard_error = state_.standard_error.text();
    result.measurements = {state_.limits.peak_bytes, thread_cpu_time() - state_.cpu_start};
    return result;
  }

 private:
  Status prepare() {
    if (state_.stop.stop_requested()) return fail(Code::task_stopped, "the task was stopped before it ran");
    TRY_ASSIGN(WasiConfigHandle wasi, new_wasi_config(spec_, state_));
    store_.reset(wasmtime_store_new(core_.engine.get(), &state_, nullptr));
    context_ = wasmtime_store_context(store_.get());
    wtx_store_limits(store_.get(), &state_.limits);
    const ErrorHandle error(wasmtime_context_set_wasi(context_, wasi.release()));
    if (error) return fail(Code::internal, "cannot set up WASI: {}", text_of(*error));
    TRY(give_fuel());
    // Also counts for the start function, which runs during instantiation.
    wasmtime_context_set_epoch_deadline(context_, 1);
    wasmtime_store_epoch_deadline_callback(store_.get(), at_tick, &state_, nullptr);
    return {};
  }

  Status execute_watched() {
    if (spec_.gauge == nullptr) return execute();
    const GuestUsage usage(state_);
    const RunGauge::Attachment attachment(spec_.gauge, usage);
    auto status = execute();
    state_.publish_memory();
    return status;
  }

  Status give_fuel() {
    if (!counts_fuel_) return {};
    const std::uint64_t fuel = spec_.fuel.value_or(std::numeric_limits<std::uint64_t>::max());
    const ErrorHandle error(wasmtime_context_set_fuel(context_, fuel));
    if (error) return fail(Code::internal, "cannot give the guest fuel: {}", text_of(*error));
    return {};
  }

  Status execute() {
    TRY(instantiate());
    state_.publish_memory();
    if (state_.exit_code) return {};
    // A reactor's set-up function; instantiation does not call it (WASI application ABI).
    if (spec_.function != "_initialize" && module_.find_function("_initialize") != nullptr) {
      TRY(call("_initialize", {}));
      if (state_.exit_code) return {};
    }
    std::vector<wasmtime_val_t> values(spec_.values.size());
    std::ranges::transform(spec_.values, values.begin(), to_wasmtime);
    return call(spec_.function, values);
  }

  Status instantiate() {
    wasm_trap_t* trap = nullptr;
    Answer answer;
    answer.error.reset(
        wasmtime_instance_pre_instantiate(module_.handles().instance_pre.get(), context_, &instance_, &trap));
    answer.trap.reset(trap);
    return verdict(answer, state_, state_.limits);
  }

  Status call(const std::string& name, const std::vector<wasmtime_val_t>& values) {
    wasmtime_extern_t item;
    if (!wasmtime_instance_export_get(context_, &instance_, name.data(), name.size(), &item) ||
        item.kind != WASMTIME_EXTERN_FUNC) {
      return fail(Code::export_not_found, "no exported function {}", one_line(name, 80));
    }
    std::vector<wasmtime_val_t> results(module_.find_function(name)->type.results.size());
    wasm_trap_t* trap = nullptr;
    Answer answer;
    answer.error.reset(wasmtime_func_call(context_, &item.of.func, values.data(), values.size(), results.data(),
                                          results.size(), &trap));
    answer.trap.reset(trap);
    if (!answer.error && !answer.trap) take_value(results);
    return verdict(answer, state_, state_.limits);
  }

  void take_value(std::vector<wasmtime_val_t>& results) {
    value_ = results.empty() ? std::nullopt : from_wasmtime(results.front());
    for (auto& result : results) wasmtime_val_unroot(&result);  // references keep memory beyond the store's end
  }

  Engine::Core& core_;
  bool counts_fuel_;
  const Module& module_;
  const RunSpec& spec_;
  RunState state_;
  StoreHandle store_;  // after what it points to, so that it goes first
  wasmtime_context_t* context_ = nullptr;
  wasmtime_instance_t instance_{};
  std::optional<Value> value_;
};

}  // namespace

Result<RunResult> run(Engine& engine, const Module& module, const RunSpec& spec, std::stop_token stop) {
  TRY(check_call(module, spec));
  const bool counts_fuel = engine.settings().counts_fuel;
  if (spec.fuel && !counts_fuel) return fail(Code::internal, "this engine does not count fuel");
  TRY_ASSIGN(Engine::Core * core, engine.core());
  Result<RunResult> result = fail(Code::internal, "the guest did not run");
  TRY(with_stack(kGuestStackBytes,
                 [&] { result = Execution(*core, counts_fuel, module, spec, std::move(stop)).run(); }));
  return result;
}

}  // namespace proplet::wasm
