// Flags that come with a task, one a line: whatever is accepted is within its bounds, and nothing is both understood
// and named as not understood.
#include "fuzz.h"
#include "worker/cli_arguments.h"

using proplet::fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> arguments(1);
  for (const char c : proplet::text_of(proplet::ByteView(data, size))) {
    if (c == '\n') {
      arguments.emplace_back();
    } else {
      arguments.back() += c;
    }
  }
  const auto parsed = proplet::worker::parse_cli_arguments(arguments);
  if (!parsed) return 0;
  check(!parsed->timeout || parsed->timeout->count() >= 0, "a time limit is no negative time");
  check(parsed->environment.size() + parsed->directories.size() <= arguments.size(), "each comes from an argument");
  for (const auto& [name, value] : parsed->environment) {
    check(name.find('=') == std::string::npos, "a name ends at the first equals sign");
  }
  for (const std::string& unknown : parsed->unknown) check(unknown.size() <= 200, "names for the log are short");
  return 0;
}
