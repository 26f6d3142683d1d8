// Log: structured lines on stderr, JSON or text.
//
// A line is an event with named fields: log.info("task finished", {{"task_id", id}, {"ms", 12}}). Events are fixed
// words, so that lines can be counted; everything variable is a field. Never pass a secret, at any level: the types
// that hold secrets cannot be turned into a Field. Thread-safe. Text from strangers is bounded and stripped of control
// characters here, so callers pass it as it is.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace proplet {

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error };
enum class LogFormat : std::uint8_t { json, text };

std::optional<LogLevel> log_level_from_name(std::string_view name);

struct Field {
  enum class Kind : std::uint8_t { text, integer, real, boolean };

  Field(std::string_view name, std::string_view text) : name(name), kind(Kind::text), text(text) {}
  Field(std::string_view name, const char* text) : Field(name, std::string_view(text)) {}
  Field(std::string_view name, const std::string& text) : Field(name, std::string_view(text)) {}
  Field(std::string_view name, bool flag) : name(name), kind(Kind::boolean), integer(flag ? 1 : 0) {}
  template <class T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
  Field(std::string_view name, T number)
      : name(name), kind(Kind::integer), integer(static_cast<std::int64_t>(number)) {}
  Field(std::string_view name, double number) : name(name), kind(Kind::real), real(number) {}

  std::string_view name;
  Kind kind;
  std::string_view text;
  std::int64_t integer = 0;
  double real = 0;
};

class Log {
 public:
  using Fields = std::initializer_list<Field>;

  Log(LogLevel level, LogFormat format);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void set_level(LogLevel level);
  void write(LogLevel level, std::string_view event, Fields fields = {});

  void trace(std::string_view event, Fields fields = {}) { write(LogLevel::trace, event, fields); }
  void debug(std::string_view event, Fields fields = {}) { write(LogLevel::debug, event, fields); }
  void info(std::string_view event, Fields fields = {}) { write(LogLevel::info, event, fields); }
  void warn(std::string_view event, Fields fields = {}) { write(LogLevel::warn, event, fields); }
  void error(std::string_view event, Fields fields = {}) { write(LogLevel::error, event, fields); }

 private:
  struct Sink;  // keeps spdlog out of this header
  std::unique_ptr<Sink> sink_;
  LogFormat format_;
};

}  // namespace proplet
