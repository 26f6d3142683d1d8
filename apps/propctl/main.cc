// propctl: what an operator does from outside the trusted environment. Keys, images, a development key broker, tasks,
// one-shot runs. The commands are in src/cli, one file a noun; this file wires and reports.

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>

#include "base/process.h"
#include "cli/cli.h"

namespace {

constexpr const char* kDescription =
    "propctl makes keys, encrypts and pushes WebAssembly images, serves a development key broker,\n"
    "sends tasks to Proplet workers, and runs modules on this machine.";

int report(const proplet::Error& error) {
  const std::string line = error.text();
  std::fprintf(stderr, "error: %s\n  hint: %s\n", line.c_str(), std::string(code_info(error.code()).hint).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace proplet;
  if (const auto hardened = harden_process(); !hardened) return report(hardened.error());
  std::stop_source stop;
  const StopSignals signals(stop);
  Log log(LogLevel::warn, LogFormat::text);
  SystemRandom random;
  SystemClock clock;

  CLI::App app(kDescription, "propctl");
  app.set_version_flag("--version", PROPLET_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  cli::Cli context{.app = app, .log = log, .random = random, .clock = clock, .stop = stop.get_token()};
  app.add_flag("--json", context.json, "Print results as JSON");
  cli::add_key_commands(context);
  cli::add_image_commands(context);
  cli::add_kbs_commands(context);
  cli::add_task_commands(context);
  cli::add_run_command(context);
  cli::add_key_provider_command(context);
  cli::add_explain_command(context);

  CLI11_PARSE(app, argc, argv);
  const auto done = context.action();
  return done ? 0 : report(done.error());
}
