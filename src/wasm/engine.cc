#include "wasm/engine.h"

#include <sys/mman.h>

#include <mutex>
#include <optional>

#include "wasm/core.h"
#include "wasm/wasi.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PROPLET_WASM_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PROPLET_WASM_SANITIZED 1
#endif
#endif

namespace proplet::wasm {
namespace {

#ifdef PROPLET_WASM_SANITIZED
// Sanitizers reserve the address space that the pool wants, and handle SIGSEGV themselves.
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// Reservation and guard of one 32-bit memory; this pair makes bounds checks unnecessary.
constexpr std::uint64_t kReservation = std::uint64_t{4} << 30;
constexpr std::uint64_t kGuard = std::uint64_t{32} << 20;

// Frames of the guest and of host functions it calls; the thread's stack must be larger (kGuestStackBytes).
constexpr std::size_t kMaxWasmStack = std::size_t{1} << 20;

ConfigHandle base_config(bool counts_fuel) {
  ConfigHandle config(wasm_config_new());
  wasmtime_config_strategy_set(config.get(), WASMTIME_STRATEGY_CRANELIFT);
  wasmtime_config_cranelift_opt_level_set(config.get(), WASMTIME_OPT_LEVEL_SPEED);
  wasmtime_config_epoch_interruption_set(config.get(), true);
  wasmtime_config_consume_fuel_set(config.get(), counts_fuel);
  wasmtime_config_max_wasm_stack_set(config.get(), kMaxWasmStack);
  // Traces use frame pointers; registering unwind tables gets slow with many modules.
  wasmtime_config_native_unwind_info_set(config.get(), false);
  // 64-bit memories allow single operations that stall for seconds; more than one memory is not pooled.
  wasmtime_config_wasm_memory64_set(config.get(), false);
  wasmtime_config_wasm_multi_memory_set(config.get(), false);
  wasmtime_config_shared_memory_set(config.get(), false);
  wasmtime_config_concurrency_support_set(config.get(), false);
  if (kSanitized) {
    wasmtime_config_signals_based_traps_set(config.get(), false);
    wasmtime_config_memory_reservation_set(config.get(), 0);
    wasmtime_config_memory_guard_size_set(config.get(), 0);
    wasmtime_config_memory_reservation_for_growth_set(config.get(), std::uint64_t{16} << 20);
  } else {
    wasmtime_config_memory_reservation_set(config.get(), kReservation);
    wasmtime_config_memory_guard_size_set(config.get(), kGuard);
  }
  return config;
}

// Address spaces may be small (39 bits on some machines); whether the pool fits is cheaper to try than to know.
bool address_space_has(std::uint64_t bytes) {
  void* region = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED) return false;
  ::munmap(region, bytes);
  return true;
}

void add_pool(wasm_config_t* config, std::uint32_t slots) {
  const PoolConfigHandle pool(wasmtime_pooling_allocation_config_new());
  wasmtime_pooling_allocation_config_total_memories_set(pool.get(), slots);
  wasmtime_pooling_allocation_config_total_core_instances_set(pool.get(), slots);
  wasmtime_pooling_allocation_config_total_component_instances_set(pool.get(), slots);
  wasmtime_pooling_allocation_config_total_tables_set(pool.get(), slots * 2);
  wasmtime_pooling_allocation_config_max_tables_per_module_set(pool.get(), 4);
  wasmtime_pooling_allocation_config_table_elements_set(pool.get(), 65536);
  wasmtime_pooling_allocation_config_total_gc_heaps_set(pool.get(), std::min<std::uint32_t>(slots, 64));
  wasmtime_pooling_allocation_config_total_stacks_set(pool.get(), 1);  // only asynchronous calls use those
  wasmtime_pooling_allocation_config_max_core_instance_size_set(pool.get(), std::size_t{4} << 20);
  // Slots are as large as the reservation anyway; how much of one a guest may use is each run's limit.
  wasmtime_pooling_allocation_config_max_memory_size_set(pool.get(), kReservation);
  wasmtime_pooling_allocation_config_max_unused_warm_slots_set(pool.get(), 32);
  wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool.get(), std::size_t{1} << 20);
  wasmtime_pooling_allocation_config_table_keep_resident_set(pool.get(), std::size_t{64} << 10);
  // A slot that waits in a batch to be decommitted still holds its guest's memory and its module's data.
  wasmtime_pooling_allocation_config_decommit_batch_size_set(pool.get(), 1);
  wasmtime_pooling_allocation_strategy_set(config, pool.get());
}

Result<EngineHandle> new_engine(ConfigHandle config) {
  wasm_engine_t* engine = nullptr;
  wasmtime_error_t* error = nullptr;
  if (wtx_engine_try_new(config.release(), &engine, &error)) return EngineHandle(engine);
  const ErrorHandle reason(error);
  return fail(Code::internal, "WebAssembly cannot be set up on this machine: {}", text_of(*reason));
}

std::optional<EngineHandle> new_pooling_engine(const EngineSettings& settings) {
  const std::uint32_t slots = settings.max_concurrent_runs;
  if (kSanitized || !address_space_has(slots * (kReservation + 2 * kGuard))) return std::nullopt;
  ConfigHandle config = base_config(settings.counts_fuel);
  add_pool(config.get(), slots);
  auto engine = new_engine(std::move(config));
  if (!engine) return std::nullopt;  // on-demand allocation follows; Engine::allocation() tells
  return std::move(*engine);
}

Result<std::unique_ptr<Engine::Core>> new_core(const EngineSettings& settings) {
  auto allocation = Allocation::pooled;
  std::optional<EngineHandle> engine;
  if (settings.pooling) engine = new_pooling_engine(settings);
  if (!engine) {
    allocation = Allocation::on_demand;
    TRY_ASSIGN(engine, new_engine(base_config(settings.counts_fuel)));
  }
  TRY_ASSIGN(LinkerHandle linker, new_wasi_linker(engine->get()));
  auto core = std::make_unique<Engine::Core>(std::move(*engine), std::move(linker), allocation);
  TRY(core->ticker.start());
  return core;
}

}  // namespace

struct Engine::State {
  std::mutex mutex;
  std::unique_ptr<Core> core;
};

Engine::Engine(EngineSettings settings) : settings_(settings), state_(std::make_unique<State>()) {}

Engine::~Engine() = default;

Result<Engine::Core*> Engine::core() {
  const std::lock_guard lock(state_->mutex);
  if (state_->core == nullptr) {
    TRY_ASSIGN(state_->core, new_core(settings_));
  }
  return state_->core.get();
}

Status Engine::prepare() {
  TRY(core());
  return {};
}

Result<Allocation> Engine::allocation() {
  TRY_ASSIGN(const Core* ready, core());
  return ready->allocation;
}

std::string_view engine_version() { return "wasmtime " WASMTIME_VERSION; }

void wipe_freed_memory(bool enabled) { wtx_wipe_on_free(enabled); }

}  // namespace proplet::wasm
