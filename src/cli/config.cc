// proplet config show: every setting, its value, and where it is from.
#include "worker/config.h"

#include "cli/cli.h"

namespace proplet::cli {
namespace {

// Users, passwords and queries of URLs can be secrets, whatever setting they are in.
std::string without_credentials(const std::string& value) {
  std::string shown = value;
  const auto scheme = shown.find("://");
  if (scheme == std::string::npos) return shown;
  if (const auto query = shown.find('?', scheme); query != std::string::npos) shown.replace(query, shown.npos, "?***");
  const auto authority = scheme + 3;
  const auto end = std::min(shown.find('/', authority), shown.size());
  const auto at = shown.rfind('@', end);
  if (at != std::string::npos && at >= authority) shown.replace(authority, at - authority, "***");
  return shown;
}

std::string shown_value(const worker::LoadedConfig& loaded, const worker::SettingInfo& setting) {
  const std::string name(setting.name);
  if (setting.secret) return loaded.origins.at(name) == "default" ? "" : "***";
  return without_credentials(loaded.values.at(name));
}

// Problems do not keep anybody from looking; they follow on stderr.
Status show(const Cli& cli, bool with_origin) {
  const auto loaded = worker::load_config(worker::process_environment());
  std::string text;
  json::array settings;
  for (const worker::SettingInfo& setting : worker::settings()) {
    const std::string value = shown_value(loaded, setting);
    const std::string& origin = loaded.origins.at(std::string(setting.name));
    text += text.empty() ? "" : "\n";
    if (with_origin) text += fmt::format("{:<11} ", origin);
    text += fmt::format("{}={}", setting.name, value);
    settings.push_back(json::object{{"name", setting.name}, {"value", value}, {"origin", origin}});
  }
  cli.print(text, {{"settings", std::move(settings)}});
  for (const std::string& warning : loaded.warnings) std::fprintf(stderr, "warning: %s\n", warning.c_str());
  for (const std::string& problem : loaded.problems) std::fprintf(stderr, "problem: %s\n", problem.c_str());
  if (loaded.problems.empty()) return {};
  return fail(Code::config_invalid, "the worker would not start with these settings");
}

}  // namespace

void add_config_commands(Cli& cli) {
  CLI::App* config = cli.app.add_subcommand("config", "Look at the settings");
  config->require_subcommand(1);
  CLI::App* command = config->add_subcommand("show", "Print every setting as it counts; secrets are masked");
  auto with_origin = std::make_shared<bool>(false);  // shared: CLI11 keeps callbacks by copy
  command->add_flag("--origin", *with_origin, "Print where each value is from: environment, file or default");
  command->callback([&cli, with_origin] { cli.action = [&cli, with_origin] { return show(cli, *with_origin); }; });
}

}  // namespace proplet::cli
