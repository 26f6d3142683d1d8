// propctl task watch and list-workers: listening without sending. For this folder only.
#pragma once

#include <CLI/App.hpp>

#include "cli/cli.h"

namespace proplet::cli {

// Adds them below `task`.
void add_watch_commands(Cli& cli, CLI::App& task);

}  // namespace proplet::cli
