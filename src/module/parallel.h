// The same step for several things at a time, such as the blobs of an image.
#pragma once

#include <cstddef>
#include <functional>
#include <stop_token>

#include "base/result.h"

namespace proplet::module {

// Calls `work(i, stop)` once for each i below `count`, on up to `threads` threads of which the caller is one; with one
// thing to do, no thread is made. The first failure stops the others and is what the caller gets; CANCELLED if `stop`
// came first. `work` must be safe to call from several threads and end soon after its stop token says so.
Status in_parallel(std::size_t count, std::size_t threads, const std::stop_token& stop,
                   const std::function<Status(std::size_t index, const std::stop_token& stop)>& work);

}  // namespace proplet::module
