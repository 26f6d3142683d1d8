// The commands of propctl about key files: import, show.
#pragma once

#include <CLI/App.hpp>

#include "cli/cli.h"

namespace proplet::cli {

// Adds them to the command `key`.
void add_key_file_commands(Cli& cli, CLI::App& key);

}  // namespace proplet::cli
