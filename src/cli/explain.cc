// propctl explain and proplet explain: what an error code means and what to do about it.
#include "cli/cli.h"

namespace proplet::cli {
namespace {

json::object to_json(const CodeInfo& info) {
  return {{"code", info.name}, {"meaning", info.meaning}, {"hint", info.hint}};
}

Status explain(const Cli& cli, const std::string& name) {
  const auto code = code_from_name(name);
  if (!code) return fail(Code::config_invalid, "there is no error code '{}'; `explain` alone lists them", name);
  const CodeInfo& info = code_info(*code);
  cli.print(fmt::format("{}\n  {}\n  {}", info.name, info.meaning, info.hint), to_json(info));
  return {};
}

Status list(const Cli& cli) {
  std::string text;
  json::array codes;
  for (const auto& info : code_catalogue()) {
    text += fmt::format("{:<26} {}\n", info.name, info.meaning);
    codes.push_back(to_json(info));
  }
  text.pop_back();
  cli.print(text, {{"codes", std::move(codes)}});
  return {};
}

}  // namespace

void add_explain_command(Cli& cli) {
  auto name = std::make_shared<std::string>();  // shared: CLI11 keeps callbacks by copy
  CLI::App* command = cli.app.add_subcommand("explain", "Say what an error code means; without one, list them all");
  command->add_option("code", *name, "For example NOT_ENCRYPTED");
  command->callback(
      [&cli, name] { cli.action = [&cli, name] { return name->empty() ? list(cli) : explain(cli, *name); }; });
}

}  // namespace proplet::cli
