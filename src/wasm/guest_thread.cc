#include "wasm/guest_thread.h"

#include <pthread.h>

#include <cstdint>
#include <cstring>

namespace proplet::wasm {
namespace {

// The lowest address of the calling thread's stack. Asking costs microseconds, on the main thread more; the answer
// does not change.
std::uintptr_t stack_bottom() {
  thread_local std::uintptr_t bottom = 0;
  if (bottom != 0) return bottom;
  pthread_attr_t attributes;
  if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return UINTPTR_MAX;
  void* address = nullptr;
  std::size_t size = 0;
  ::pthread_attr_getstack(&attributes, &address, &size);
  ::pthread_attr_destroy(&attributes);
  bottom = reinterpret_cast<std::uintptr_t>(address);
  return bottom;
}

bool stack_has(std::size_t bytes) {
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const std::uintptr_t bottom = stack_bottom();
  return here > bottom && here - bottom >= bytes;
}

void* call(void* function) {
  (*static_cast<const std::function<void()>*>(function))();
  return nullptr;
}

}  // namespace

Status with_stack(std::size_t bytes, const std::function<void()>& function) {
  if (stack_has(bytes)) {
    function();
    return {};
  }
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, 2 * bytes);
  pthread_t thread{};
  const int error = ::pthread_create(&thread, &attributes, call, const_cast<std::function<void()>*>(&function));
  ::pthread_attr_destroy(&attributes);
  if (error != 0) return fail(Code::internal, "cannot make a thread for the guest: {}", std::strerror(error));
  ::pthread_join(thread, nullptr);
  return {};
}

}  // namespace proplet::wasm
