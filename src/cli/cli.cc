#include "cli/cli.h"

#include <cstdio>

namespace proplet::cli {

void Cli::print(std::string_view text, const json::object& object) const {
  const std::string line = json ? json::serialize(object) : std::string(text);
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

}  // namespace proplet::cli
