// cli_args of a task for an external runtime, one a line: whatever stands before, what opens the host is refused.
#include <string>
#include <vector>

#include "fuzz.h"
#include "runtime/external_arguments.h"

using proplet::fuzz::check;
using proplet::runtime::AllowedArguments;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto kAllowed = AllowedArguments::make({"-Shttp", "-Snn-graph=", "--preload="}, {"/data"});
  std::vector<std::string> arguments(1);
  for (const char c : proplet::fuzz::text_input(data, size)) {
    if (c == '\n') {
      arguments.emplace_back();
    } else {
      arguments.back() += c;
    }
  }
  if (!kAllowed->check(arguments)) return 0;
  check(arguments.front().starts_with('-'), "the first is a flag");
  for (const char* last : {"--dir=/", "-Sinherit-env", "--env=HOME", "/etc/other.wasm", "--"}) {
    arguments.emplace_back(last);
    check(!kAllowed->check(arguments), "it is refused behind anything");
    arguments.pop_back();
  }
  return 0;
}
