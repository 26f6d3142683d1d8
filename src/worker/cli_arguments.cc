#include "worker/cli_arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string_view>

namespace proplet::worker {
namespace {

constexpr std::array<std::string_view, 4> kOtherGroups = {"-S", "-O", "-C", "-D"};

Result<std::uint64_t> whole_number(std::string_view text, std::string_view what) {
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
    return fail(Code::message_invalid, "cli_args: {} is not a whole number: {}", what, text);
  }
  return number;
}

// "10s", "500ms", "2m"; a bare number is seconds.
Result<std::chrono::milliseconds> duration(std::string_view text) {
  const auto unit_at = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view unit = text.substr(unit_at);
  TRY_ASSIGN(const auto number, whole_number(text.substr(0, unit_at), "timeout"));
  const std::uint64_t scale = unit == "ms" ? 1 : unit.empty() || unit == "s" ? 1000 : unit == "m" ? 60000 : 0;
  if (scale == 0 || number > std::numeric_limits<std::int32_t>::max()) {
    return fail(Code::message_invalid, "cli_args: timeout is not a duration such as 10s: {}", text);
  }
  return std::chrono::milliseconds(number * scale);
}

class Parser {
 public:
  explicit Parser(std::span<const std::string> arguments) : arguments_(arguments) {}

  Result<CliArguments> parse() {
    while (at_ < arguments_.size()) TRY(next());
    return std::move(parsed_);
  }

 private:
  Status next() {
    const std::string_view argument = arguments_[at_++];
    if (takes_value(argument, "--invoke")) {
      TRY_ASSIGN(parsed_.invoke, value(argument, "--invoke"));
      return {};
    }
    if (takes_value(argument, "--env")) return environment(argument);
    if (takes_value(argument, "--dir")) return directory(argument);
    if (takes_value(argument, "--wasm")) return wasm_options(argument, "--wasm");
    if (argument == "-W") return wasm_options(argument, "-W");
    if (argument.starts_with("-W")) return wasm_list(argument.substr(2));
    unknown(argument);
    return {};
  }

  static bool takes_value(std::string_view argument, std::string_view flag) {
    return argument.starts_with(flag) && (argument.size() == flag.size() || argument[flag.size()] == '=');
  }

  // "--flag=value" or "--flag value".
  Result<std::string> value(std::string_view argument, std::string_view flag) {
    if (argument.size() > flag.size()) return std::string(argument.substr(flag.size() + 1));
    if (at_ == arguments_.size()) return fail(Code::message_invalid, "cli_args: {} has no value", flag);
    return std::string(arguments_[at_++]);
  }

  Status environment(std::string_view argument) {
    TRY_ASSIGN(const std::string pair, value(argument, "--env"));
    const auto equals = pair.find('=');
    if (equals == std::string::npos) {
      parsed_.unknown.push_back("--env " + pair);  // would hand on a variable of the worker itself
    } else {
      parsed_.environment[pair.substr(0, equals)] = pair.substr(equals + 1);
    }
    return {};
  }

  Status directory(std::string_view argument) {
    TRY_ASSIGN(const std::string text, value(argument, "--dir"));
    const auto separator = text.find("::");
    runtime::Directory directory;
    directory.host_path = text.substr(0, separator);
    directory.guest_path = separator == std::string::npos ? text : text.substr(separator + 2);
    parsed_.directories.push_back(std::move(directory));
    return {};
  }

  Status wasm_options(std::string_view argument, std::string_view flag) {
    TRY_ASSIGN(const std::string list, value(argument, flag));
    return wasm_list(list);
  }

  Status wasm_list(std::string_view list) {
    while (!list.empty()) {
      const auto end = std::min(list.find(','), list.size());
      const std::string_view option = list.substr(0, end);
      list.remove_prefix(std::min(end + 1, list.size()));
      TRY(wasm_option(option));
    }
    return {};
  }

  Status wasm_option(std::string_view option) {
    const auto equals = option.find('=');
    const std::string_view name = option.substr(0, equals);
    const std::string_view text = equals == std::string_view::npos ? std::string_view() : option.substr(equals + 1);
    if (name == "max-memory-size") {
      TRY_ASSIGN(parsed_.memory_bytes, whole_number(text, "max-memory-size"));
    } else if (name == "timeout") {
      TRY_ASSIGN(parsed_.timeout, duration(text));
    } else {
      parsed_.unknown.push_back(fmt::format("-W {}", option));
    }
    return {};
  }

  void unknown(std::string_view argument) {
    std::string text(argument);
    const bool value_follows = std::ranges::find(kOtherGroups, argument) != kOtherGroups.end();
    if (value_follows && at_ < arguments_.size()) text += " " + arguments_[at_++];
    parsed_.unknown.push_back(std::move(text));
  }

  std::span<const std::string> arguments_;
  std::size_t at_ = 0;
  CliArguments parsed_;
};

}  // namespace

Result<CliArguments> parse_cli_arguments(std::span<const std::string> arguments) { return Parser(arguments).parse(); }

}  // namespace proplet::worker
