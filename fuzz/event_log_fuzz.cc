// Boot logs of the firmware: what is kept lies inside, ends after whole events, and is kept again.
#include "attestation/event_log.h"
#include "fuzz.h"

using proplet::attestation::event_log_length;
using proplet::fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const proplet::ByteView log(data, size);
  const std::size_t length = event_log_length(log);
  check(length <= size, "the log lies inside the table");
  check(event_log_length(log.first(length)) == length, "whole events stay whole");
  return 0;
}
