#include "worker/cli_arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace proplet::worker {
namespace {

constexpr std::size_t kMaxNameInLog = 80;

// Groups of options other than -W, by their short and long flags; each has a list as its value.
struct Group {
  std::string_view letter;
  std::string_view word;
};
constexpr std::array<Group, 4> kOtherGroups = {Group{"-S", "--wasi"}, Group{"-O", "--optimize"},
                                               Group{"-C", "--codegen"}, Group{"-D", "--debug"}};
// Flags whose value may be an argument of its own, which then is no flag.
constexpr std::array<std::string_view, 6> kOtherValued = {"--addr",   "--preload", "--profile",
                                                          "--config", "--target",  "--argv0"};

Result<std::uint64_t> whole_number(std::string_view text, std::string_view what) {
  const bool hexadecimal = text.starts_with("0x");
  const std::string_view digits = hexadecimal ? text.substr(2) : text;
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number, hexadecimal ? 16 : 10);
  if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) {
    return fail(Code::message_invalid, "cli_args: {} is not a whole number: {}", what, text);
  }
  return number;
}

struct Unit {
  std::string_view name;
  std::uint64_t nanoseconds;
};
constexpr std::array<Unit, 9> kUnits = {Unit{"ns", 1},
                                        Unit{"us", 1000},
                                        Unit{"ms", 1'000'000},
                                        Unit{"s", 1'000'000'000},
                                        Unit{"sec", 1'000'000'000},
                                        Unit{"m", 60'000'000'000},
                                        Unit{"min", 60'000'000'000},
                                        Unit{"h", 3'600'000'000'000},
                                        Unit{"d", 86'400'000'000'000}};
constexpr std::uint64_t kMaxNanoseconds = 100ULL * 365 * 86'400'000'000'000 / 2;  // 50 years

tl::unexpected<Error> no_duration(std::string_view text) {
  return fail(Code::message_invalid, "cli_args: timeout is not a duration such as 10s: {}", text);
}

// "10s", "500ms", "1m30s", "1h 5min"; a bare number is seconds. Below a millisecond rounded up: never unlimited.
Result<std::chrono::milliseconds> duration(std::string_view text) {
  std::uint64_t total = 0;
  std::string_view rest = text;
  if (rest.empty()) return no_duration(text);
  while (!rest.empty()) {
    const std::string_view digits = rest.substr(0, std::min(rest.find_first_not_of("0123456789"), rest.size()));
    std::uint64_t number = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (digits.empty() || parsed.ec != std::errc()) return no_duration(text);
    const bool bare = digits.size() == text.size();
    rest.remove_prefix(digits.size());
    const auto unit_end = std::min(rest.find_first_of("0123456789 "), rest.size());
    const auto* unit = std::ranges::find(kUnits, bare ? "s" : rest.substr(0, unit_end), &Unit::name);
    if (unit == kUnits.end() || number > (kMaxNanoseconds - total) / unit->nanoseconds) return no_duration(text);
    total += number * unit->nanoseconds;
    rest.remove_prefix(unit_end);
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  }
  return std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(total));
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
    if (argument == "--") return no_more_flags();
    if (is_flag(argument, "--invoke")) {
      TRY_ASSIGN(parsed_.invoke, value(argument, "--invoke"));
      return {};
    }
    if (is_flag(argument, "--env")) return environment(argument);
    if (is_flag(argument, "--dir")) return directory(argument);
    if (is_group(argument, {"-W", "--wasm"})) return wasm_options(argument);
    for (const Group& group : kOtherGroups) {
      if (is_group(argument, group)) return other_options(argument, group);
    }
    unknown(argument);
    return {};
  }

  static bool is_flag(std::string_view argument, std::string_view flag) {
    return argument.starts_with(flag) && (argument.size() == flag.size() || argument[flag.size()] == '=');
  }
  static bool is_group(std::string_view argument, const Group& group) {
    return argument.starts_with(group.letter) || is_flag(argument, group.word);
  }

  // "--flag=value" or "--flag value".
  Result<std::string> value(std::string_view argument, std::string_view flag) {
    if (argument.size() > flag.size()) return std::string(argument.substr(flag.size() + 1));
    if (at_ == arguments_.size()) return fail(Code::message_invalid, "cli_args: {} has no value", flag);
    return std::string(arguments_[at_++]);
  }

  // "-Wlist", "-W=list", "-W list", and the long flag in its two forms.
  Result<std::string> list(std::string_view argument, const Group& group) {
    const bool attached = argument.starts_with(group.letter) && argument.size() > group.letter.size();
    if (!attached || argument[group.letter.size()] == '=') {
      return value(argument, argument.starts_with(group.letter) ? group.letter : group.word);
    }
    return std::string(argument.substr(group.letter.size()));
  }

  // Calls `use(name, value)` for each "name" or "name=value" of a list.
  template <class Use>
  static Status for_each_option(std::string_view list, Use use) {
    while (!list.empty()) {
      const std::string_view option = list.substr(0, std::min(list.find(','), list.size()));
      list.remove_prefix(std::min(option.size() + 1, list.size()));
      const auto equals = std::min(option.find('='), option.size());
      TRY(use(option.substr(0, equals), option.substr(std::min(equals + 1, option.size()))));
    }
    return {};
  }

  Status environment(std::string_view argument) {
    TRY_ASSIGN(const std::string pair, value(argument, "--env"));
    const auto equals = pair.find('=');
    if (equals == std::string::npos) {
      ignore("--env", pair);  // would hand on a variable of the worker itself
    } else {
      parsed_.environment[pair.substr(0, equals)] = pair.substr(equals + 1);
    }
    return {};
  }

  Status directory(std::string_view argument) {
    TRY_ASSIGN(const std::string text, value(argument, "--dir"));
    const auto separator = text.find("::");
    parsed_.directories.push_back({.host_path = text.substr(0, separator),
                                   .guest_path = separator == std::string::npos ? text : text.substr(separator + 2)});
    return {};
  }

  Status wasm_options(std::string_view argument) {
    TRY_ASSIGN(const std::string options, list(argument, {"-W", "--wasm"}));
    return for_each_option(options,
                           [&](std::string_view name, std::string_view text) { return wasm_option(name, text); });
  }

  Status wasm_option(std::string_view name, std::string_view text) {
    if (name == "max-memory-size") {
      TRY_ASSIGN(parsed_.memory_bytes, whole_number(text, name));
    } else if (name == "timeout") {
      TRY_ASSIGN(parsed_.timeout, duration(text));
    } else if (name == "fuel") {
      TRY_ASSIGN(parsed_.fuel, whole_number(text, name));
    } else {
      ignore("-W", name);
    }
    return {};
  }

  Status other_options(std::string_view argument, const Group& group) {
    TRY_ASSIGN(const std::string options, list(argument, group));
    return for_each_option(options, [&](std::string_view name, std::string_view /*text*/) -> Status {
      ignore(group.letter, name);
      return {};
    });
  }

  void unknown(std::string_view argument) {
    if (!argument.starts_with('-')) return ignore("argument", fmt::to_string(at_));  // by its place, from 1
    const std::string_view flag = argument.substr(0, argument.find('='));
    const bool value_follows = flag == argument && std::ranges::find(kOtherValued, flag) != kOtherValued.end();
    if (value_follows && at_ < arguments_.size()) ++at_;
    parsed_.unknown.emplace_back(flag.substr(0, kMaxNameInLog));
  }

  void ignore(std::string_view flag, std::string_view name) {
    parsed_.unknown.push_back(fmt::format("{} {}", flag, name.substr(0, kMaxNameInLog)));
  }

  // Behind "--" there are a module and its arguments, which a task gives in other ways.
  Status no_more_flags() {
    if (at_ < arguments_.size()) parsed_.unknown.emplace_back("--");
    at_ = arguments_.size();
    return {};
  }

  std::span<const std::string> arguments_;
  std::size_t at_ = 0;
  CliArguments parsed_;
};

}  // namespace

Result<CliArguments> parse_cli_arguments(std::span<const std::string> arguments) { return Parser(arguments).parse(); }

}  // namespace proplet::worker
