// A call that may block in the kernel and cannot be interrupted, given up when the task stops.
#pragma once

#include <functional>
#include <stop_token>

#include "base/json.h"
#include "base/result.h"

namespace proplet::attestation {

// Runs `work` on a thread of its own and waits for it or for `stop`, whichever comes first. `work` must own everything
// it touches: after a stop it runs on until the kernel lets it go, and its result is dropped. CANCELLED.
Result<json::value> run_abandonable(std::function<Result<json::value>()> work, const std::stop_token& stop);

}  // namespace proplet::attestation
