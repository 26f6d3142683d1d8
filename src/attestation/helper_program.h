// One run of a helper program: bytes in (at most 4 KiB), bytes out, bounded in size and time. Private to attestation/.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace proplet::attestation {

struct HelperLimits {
  std::chrono::milliseconds time;
  std::size_t output_bytes;
};

struct HelperOutcome {
  int exit_status = 0;  // 128 + N for signal N
  std::string output;
  std::string error_line;  // the first line of stderr, at most 300 bytes
};

// Starts `path` in a session of its own, with nothing inherited but a PATH, and waits for it. Whatever is left of its
// process group afterwards is killed, also on a stop. EVIDENCE_FAILED for a program that cannot be started, is too slow
// or writes too much; CANCELLED.
Result<HelperOutcome> run_helper(const std::string& path, std::string_view input, const HelperLimits& limits,
                                 const std::stop_token& stop);

}  // namespace proplet::attestation
