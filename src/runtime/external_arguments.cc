#include "runtime/external_arguments.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

namespace proplet::runtime {
namespace {

// What gives a guest nothing of the host.
constexpr std::string_view kHarmless[] = {
    "--invoke=",       "--argv0=",      "-Wmax-memory-size=", "-Wmax-table-elements=",  "-Wmax-instances=",
    "-Wmax-memories=", "-Wmax-tables=", "-Wmax-wasm-stack=",  "-Wtrap-on-grow-failure", "-Wfuel=",
    "-Wtimeout=",      "-Snn",
};

// Option groups of the wasmtime command line: -W a,b=c is -Wa -Wb=c.
struct Group {
  std::string_view letter;
  std::string_view word;
};
constexpr Group kGroups[] = {{"-C", "--codegen"}, {"-D", "--debug"}, {"-O", "--optimize"},
                             {"-R", "--record"},  {"-S", "--wasi"},  {"-W", "--wasm"}};
constexpr std::size_t kMaxQuoted = 200;

// "--flag=value" in two, the value only if there is one.
std::pair<std::string_view, std::optional<std::string_view>> split(std::string_view argument) {
  const auto equals = argument.find('=');
  if (equals == std::string_view::npos) return {argument, std::nullopt};
  return {argument.substr(0, equals), argument.substr(equals + 1)};
}

// The group of an argument, and its list if that is part of the same argument.
const Group* group_of(std::string_view argument, std::optional<std::string_view>& list) {
  for (const Group& group : kGroups) {
    if (argument.starts_with(group.letter)) {
      list = argument.substr(group.letter.size());
      if (list->starts_with('=')) list->remove_prefix(1);
      if (list->empty() && argument.size() == group.letter.size()) list.reset();
      return &group;
    }
    const auto [name, value] = split(argument);
    if (name == group.word) {
      list = value;
      return &group;
    }
  }
  return nullptr;
}

bool is_switch(std::string_view value) {
  constexpr std::array<std::string_view, 6> kWords{"y", "n", "yes", "no", "true", "false"};
  return std::ranges::find(kWords, value) != kWords.end();
}

// A variable of the guest. Without a value it would be one of the runtime's own.
bool is_assignment(std::string_view text) {
  return text.find('=') != std::string_view::npos && !text.starts_with('=') && !text.starts_with('-');
}

tl::unexpected<Error> refused(std::string_view argument, std::string_view why) {
  return fail(Code::cli_argument_refused, "cli_args: {}{} {}", argument.substr(0, kMaxQuoted),
              argument.size() > kMaxQuoted ? "..." : "", why);
}

constexpr std::string_view kNotAllowed = "is not allowed on this worker";

// "Custom export" in the protocol's words.
bool names_an_export(std::string_view function) {
  return !function.empty() && function != "_start" && !function.starts_with("fl-round-");
}

// name(in1, in2), in the text format of component values.
std::string component_call(const RunRequest& request) {
  return fmt::format("{}({})", request.function, fmt::join(request.arguments, ", "));
}

Status check_texts(const std::vector<std::string>& arguments) {
  // The system ends an argument there; what follows would silently be gone.
  const auto has_nul = [](const std::string& text) { return text.find('\0') != std::string::npos; };
  if (std::ranges::any_of(arguments, has_nul)) return fail(Code::message_invalid, "a text of the task has a NUL in it");
  return {};
}

}  // namespace

// Goes through the arguments of one task.
class AllowedArguments::Reader {
 public:
  Reader(const AllowedArguments& allowed, std::span<const std::string> arguments)
      : allowed_(allowed), arguments_(arguments) {}

  Status check() {
    while (at_ < arguments_.size()) TRY(next(arguments_[at_++]));
    return {};
  }

 private:
  Status next(std::string_view argument) {
    std::optional<std::string_view> list;
    if (const Group* group = group_of(argument, list)) return options(*group, list);
    if (!argument.starts_with("--") || argument.size() == 2) return refused(argument, kNotAllowed);
    auto [name, value] = split(argument);
    if (!value && allowed_.takes_value(name)) {
      TRY_ASSIGN(value, following(argument));
    }
    if (name == "--env") {
      if (value && is_assignment(*value)) return {};
      return refused(argument, "needs the form NAME=VALUE");
    }
    if (allowed_.allows(name, value)) return {};
    const std::string whole = value ? fmt::format("{}={}", name, *value) : std::string(name);
    return refused(whole, name == "--dir" ? "is no directory of PROPLET_DIRS" : kNotAllowed);
  }

  Status options(const Group& group, std::optional<std::string_view> list) {
    if (!list) {
      TRY_ASSIGN(list, following(group.letter));
    }
    do {
      const auto end = std::min(list->find(','), list->size());
      const std::string option = fmt::format("{}{}", group.letter, list->substr(0, end));
      list->remove_prefix(std::min(end + 1, list->size()));
      const auto [name, value] = split(option);
      if (!allowed_.allows(name, value)) return refused(option, kNotAllowed);
    } while (!list->empty());
    return {};
  }

  // The value of a flag in the next argument. One that looks like a flag may be taken for one.
  Result<std::string_view> following(std::string_view flag) {
    if (at_ == arguments_.size() || arguments_[at_].starts_with('-')) return refused(flag, "has no value");
    return std::string_view(arguments_[at_++]);
  }

  const AllowedArguments& allowed_;
  std::span<const std::string> arguments_;
  std::size_t at_ = 0;
};

Result<AllowedArguments> AllowedArguments::make(const std::vector<std::string>& operators_flags,
                                                std::vector<std::string> directories) {
  AllowedArguments allowed;
  allowed.directories_ = std::move(directories);
  for (const std::string_view flag : kHarmless) TRY(allowed.add(flag));
  for (const std::string& flag : operators_flags) TRY(allowed.add(flag));
  return allowed;
}

Status AllowedArguments::add(std::string_view text) {
  const auto [name, value] = split(text);
  const bool of_group = std::ranges::any_of(
      kGroups, [&](const Group& group) { return name.starts_with(group.letter) && name.size() > group.letter.size(); });
  const bool is_word =
      name.starts_with("--") && name.size() > 2 && std::ranges::find(kGroups, name, &Group::word) == std::end(kGroups);
  if (!of_group && !is_word) {
    return fail(Code::config_invalid, "'{}' is no flag such as --name, -Sname or -Sname=value", text);
  }
  Entry entry;
  entry.name = name;
  entry.any_value = value && value->empty();
  if (value && !value->empty()) entry.value = *value;
  entries_.push_back(std::move(entry));
  return {};
}

Status AllowedArguments::check(std::span<const std::string> cli_args) const { return Reader(*this, cli_args).check(); }

bool AllowedArguments::allows(std::string_view name, const std::optional<std::string_view>& value) const {
  if (name == "--dir" && value &&
      std::ranges::find(directories_, value->substr(0, value->find("::"))) != directories_.end()) {
    return true;
  }
  return std::ranges::any_of(entries_, [&](const Entry& entry) {
    if (entry.name != name) return false;
    if (entry.any_value) return value.has_value();
    if (entry.value) return value == *entry.value;
    return !value || is_switch(*value);
  });
}

bool AllowedArguments::takes_value(std::string_view name) const {
  if (name == "--env" || name == "--dir") return true;
  return std::ranges::any_of(
      entries_, [&](const Entry& entry) { return entry.name == name && (entry.any_value || entry.value); });
}

bool is_component(ByteView module) {
  constexpr std::array<std::uint8_t, 4> kToday{0x0d, 0x00, 0x01, 0x00};
  constexpr std::array<std::uint8_t, 4> kFirstTools{0x0a, 0x00, 0x01, 0x00};
  if (module.size() < 8) return false;
  const ByteView version = module.subspan(4, 4);
  return std::ranges::equal(version, kToday) || std::ranges::equal(version, kFirstTools);
}

bool serves_http(ByteView module) {
  return is_component(module) && text_of(module).find("wasi:http/incoming-handler") != std::string_view::npos;
}

Result<std::vector<std::string>> external_arguments(const std::string& runtime, const std::string& file,
                                                    ByteView module, const RunRequest& request) {
  std::vector<std::string> arguments{runtime, "run"};
  const bool invoke_given = std::ranges::any_of(
      request.cli_args, [](const std::string& text) { return text == "--invoke" || text.starts_with("--invoke="); });
  bool inputs_given = false;
  if (names_an_export(request.function) && !invoke_given) {
    if (request.function.starts_with('-')) {
      return fail(Code::message_invalid, "the name of an export must not begin with '-'");
    }
    inputs_given = is_component(module);
    arguments.insert(arguments.end(), {"--invoke", inputs_given ? component_call(request) : request.function});
  }
  arguments.insert(arguments.end(), request.cli_args.begin(), request.cli_args.end());
  for (const auto& [name, value] : request.environment) {
    std::string assignment = fmt::format("{}={}", name, value);
    if (!is_assignment(assignment) || name.find('=') != std::string::npos) {
      return fail(Code::message_invalid, "env: '{}' cannot be the name of a variable", name.substr(0, kMaxQuoted));
    }
    arguments.insert(arguments.end(), {"--env", std::move(assignment)});
  }
  arguments.push_back(file);
  if (!inputs_given) arguments.insert(arguments.end(), request.arguments.begin(), request.arguments.end());
  TRY(check_texts(arguments));
  return arguments;
}

}  // namespace proplet::runtime
