// The kernel's Landlock interface (Documentation/userspace-api/landlock.rst), which glibc does not wrap. Private to
// sandbox.cc.
#pragma once

#include "base/sandbox.h"

namespace proplet {

// Restricts the calling thread to the policy's files. IO_FAILED if the kernel refuses a rule.
Status restrict_files(const SandboxPolicy& policy, int version);

}  // namespace proplet
