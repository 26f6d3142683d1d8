// The sandbox that a worker puts itself into before it makes its first thread: what it will never need, it cannot do.
//
// Two mechanisms of Linux, each used as far as the kernel offers it. Landlock: files can be read only below named
// paths, written only below others, and no program can be started. seccomp: an allow-list of system calls; all others
// answer ENOSYS, as on an old kernel, so that libraries fall back instead of dying; sockets are IP, Unix and routing
// only; no new process can be made, only threads. Neither can be undone, and both are inherited.
//
// Where programs of the operator have to be started (an external runtime, an attester), nobody here knows what they
// need: then only calls that no such program has any business with (mounting, tracing, modules, keys, namespaces ...)
// are refused, and Landlock is left out. What was achieved is reported, never assumed.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace proplet {

struct SandboxPolicy {
  std::vector<std::string> read;   // files, or folders with everything below; what does not exist is left out
  std::vector<std::string> write;  // folders: read, make, change and remove below them
  bool programs = false;           // external programs are started
};

struct SandboxReport {
  bool files = false;         // Landlock is in force
  int landlock_version = 0;   // of the kernel's interface; 0: none
  bool system_calls = false;  // seccomp is in force
  std::string missing;        // what the kernel does not offer, in words; empty: nothing
};

// Puts the calling thread, and every thread and process it makes, into the sandbox. Call while it is the only thread.
// A kernel without one of the mechanisms is no error; one that refuses a rule is: IO_FAILED.
Result<SandboxReport> enter_sandbox(const SandboxPolicy& policy);

// Version of the kernel's Landlock interface; 0 where there is none or it is switched off.
int landlock_version();

// What libraries read on any system: name resolution, certificates, time zones, devices without effect, /proc, /sys.
std::vector<std::string> system_read_paths();

}  // namespace proplet
