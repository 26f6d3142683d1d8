// The commands of propctl, one file a noun, and those of proplet besides being the worker: config, doctor, explain.
//
// Each `add_*` function adds its sub-commands to the parser; parsing chooses one and stores what it will do in
// `Cli::action`, which main then runs. Commands print results on stdout and nothing else there; what they do on the way
// goes to stderr. With --json results are one JSON object. A failed action is an Error that main prints with its hint.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/result.h"

namespace proplet::cli {

// What every command gets. Lives as long as the program.
struct Cli {
  CLI::App& app;
  Log& log;
  Random& random;
  const Clock& clock;
  std::stop_token stop;  // requested by SIGINT and SIGTERM
  bool json = false;
  std::function<Status()> action{};

  // Prints `text`, or with --json `object`, and a newline.
  void print(std::string_view text, const json::object& object) const;
};

void add_key_commands(Cli& cli);
void add_image_commands(Cli& cli);
void add_kbs_commands(Cli& cli);
void add_task_commands(Cli& cli);
void add_run_command(Cli& cli);
void add_key_provider_command(Cli& cli);
void add_explain_command(Cli& cli);
void add_config_commands(Cli& cli);
void add_doctor_command(Cli& cli);

// What proplet --version prints: version, engine, protocols, and the TEEs whose evidence this version can produce.
std::string version_text(std::string_view version);

}  // namespace proplet::cli
