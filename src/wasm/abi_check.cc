// The library is built with the feature "gc", which changes the size of a value. Headers rendered for other features
// would corrupt every argument array in silence; this fails the build instead. Sizes for 64-bit systems.
#include "wasm/wtx.h"

static_assert(WASMTIME_VERSION_MAJOR == 48);
static_assert(sizeof(wasmtime_val_t) == 32);
static_assert(sizeof(wasmtime_extern_t) == 32);
static_assert(sizeof(wasmtime_component_val_t) == 32);
static_assert(sizeof(wasmtime_component_func_t) == 24);
static_assert(sizeof(wtx_limits_t) == 40);
