// Makes sure that guests run on a stack that is large enough. For this folder only.
//
// Guests may use 1 MiB of native stack, and host functions need some on top; a native overflow would end the process.
#pragma once

#include <functional>

#include "base/result.h"

namespace proplet::wasm {

// Calls `function` on this thread if `bytes` of its stack are left, else on a new one with a stack of twice that, and
// waits for it. `function` must not throw. INTERNAL if no thread can be made.
Status with_stack(std::size_t bytes, const std::function<void()>& function);

}  // namespace proplet::wasm
