// A warm plain task inside the worker, without MQTT, against calling Wasmtime's C API directly for the same module.

#include <wasmtime.h>

#include <cstdlib>
#include <string>

#include "base/fd.h"
#include "bench/pairs.h"
#include "oci/digest.h"
#include "runtime/wasmtime_runtime.h"

namespace {

using namespace proplet;

void require(bool condition) {
  if (!condition) std::abort();
}

// What one has to do at least: store, WASI context, instance, call. The module and its imports are prepared once.
class Bare {
 public:
  explicit Bare(ByteView bytes) {
    wasm_config_t* config = wasm_config_new();
    wasmtime_pooling_allocation_config_t* pool = wasmtime_pooling_allocation_config_new();
    wasmtime_pooling_allocation_config_total_memories_set(pool, 64);
    wasmtime_pooling_allocation_strategy_set(config, pool);
    wasmtime_pooling_allocation_config_delete(pool);
    engine_ = wasm_engine_new_with_config(config);
    linker_ = wasmtime_linker_new(engine_);
    require(wasmtime_linker_define_wasi(linker_) == nullptr);
    require(wasmtime_module_new(engine_, bytes.data(), bytes.size(), &module_) == nullptr);
    require(wasmtime_linker_instantiate_pre(linker_, module_, &pre_) == nullptr);
  }

  void run() const {
    wasmtime_store_t* store = wasmtime_store_new(engine_, nullptr, nullptr);
    wasmtime_context_t* context = wasmtime_store_context(store);
    require(wasmtime_context_set_wasi(context, wasi_config_new()) == nullptr);
    wasmtime_instance_t instance;
    wasm_trap_t* trap = nullptr;
    require(wasmtime_instance_pre_instantiate(pre_, context, &instance, &trap) == nullptr && trap == nullptr);
    wasmtime_extern_t add;
    require(wasmtime_instance_export_get(context, &instance, "add", 3, &add));
    wasmtime_val_t arguments[2] = {{.kind = WASMTIME_I32, .of = {.i32 = 2}}, {.kind = WASMTIME_I32, .of = {.i32 = 3}}};
    wasmtime_val_t result;
    require(wasmtime_func_call(context, &add.of.func, arguments, 2, &result, 1, &trap) == nullptr && trap == nullptr);
    require(result.of.i32 == 5);
    wasmtime_store_delete(store);
  }

 private:
  wasm_engine_t* engine_ = nullptr;
  wasmtime_linker_t* linker_ = nullptr;
  wasmtime_module_t* module_ = nullptr;
  wasmtime_instance_pre_t* pre_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) {
  require(argc == 2);
  const Bytes bytes = read_file(argv[1], 64 << 20).value();
  wasm::Engine engine;
  runtime::WasmtimeRuntime runtime(engine);
  const std::string digest = oci::Digest::of(bytes).text();
  runtime::RunRequest request;
  request.task_id = "bench";
  request.function = "add";
  request.arguments = {"2", "3"};
  const Bare bare(bytes);
  const auto ours = [&] {
    for (int i = 0; i < 100; ++i) {
      module::Module module{.bytes = SecretBytes::copy_of(bytes), .digest = digest, .source = "bench"};
      const auto outcome = runtime.run(std::move(module), request, nullptr, {});
      require(outcome && outcome->result == "5");
    }
  };
  const auto reference = [&] {
    for (int i = 0; i < 100; ++i) bare.run();
  };
  bench::compare({.name = "plain_run_100_warm", .reference = "Wasmtime's C API called directly", .rounds = 30}, ours,
                 reference);
}
