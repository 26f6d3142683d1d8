// The worker's own sandbox: which files its settings name, and entering it.
#pragma once

#include <optional>

#include "base/log.h"
#include "base/sandbox.h"
#include "worker/config.h"

namespace proplet {

// The system's files, the folders of the files that settings name (they are replaced by new ones when certificates are
// renewed), the worker's own folders, and the guest interfaces of TEEs. External programs if one is set.
SandboxPolicy sandbox_policy(const worker::WorkerConfig& config);

// Makes the worker's folders if they are missing, then enters the sandbox, unless the operator switched it off. Call
// before the first thread.
Result<std::optional<SandboxReport>> confine(const worker::WorkerConfig& config);

// One line: what is in force, and what the kernel does not offer.
void log_confinement(const std::optional<SandboxReport>& report, Log& log);

}  // namespace proplet
