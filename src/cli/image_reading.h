// The commands of propctl that read images: inspect, verify, decrypt, copy.
#pragma once

#include <CLI/App.hpp>

#include "cli/cli.h"

namespace proplet::cli {

// Adds them to the command `image`.
void add_image_reading_commands(Cli& cli, CLI::App& image);

}  // namespace proplet::cli
