#include "base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>

#include "base/clock.h"
#include "base/json.h"

namespace proplet {
namespace {

constexpr std::size_t kMaxFieldText = 2048;  // bytes; guests and registries can be chatty

constexpr std::array<std::string_view, 5> kLevelNames = {"trace", "debug", "info", "warn", "error"};

// At most kMaxFieldText bytes, never ending inside a UTF-8 character.
std::string_view shortened(std::string_view text) {
  auto end = std::min(text.size(), kMaxFieldText);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end);
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : shortened(text)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  if (text.size() > kMaxFieldText) out += "…";
  return out;
}

std::string quoted(std::string_view text) { return json::serialize(json::value(text)); }

std::string value_text(const Field& field) {
  switch (field.kind) {
    case Field::Kind::text:
      return quoted(printable(field.text));
    case Field::Kind::integer:
      return std::to_string(field.integer);
    case Field::Kind::real:
      return fmt::format("{:.3f}", field.real);
    case Field::Kind::boolean:
      return field.integer != 0 ? "true" : "false";
  }
  return "null";
}

std::string json_line(LogLevel level, std::string_view event, Log::Fields fields) {
  std::string line =
      fmt::format(R"({{"timestamp":"{}","level":"{}","message":{})", rfc3339(std::chrono::system_clock::now()),
                  kLevelNames.at(static_cast<std::size_t>(level)), quoted(event));
  for (const auto& field : fields) line += fmt::format(",{}:{}", quoted(field.name), value_text(field));
  return line + "}";
}

std::string text_line(LogLevel level, std::string_view event, Log::Fields fields) {
  std::string line = rfc3339(std::chrono::system_clock::now()).substr(0, 23) + "Z ";
  line += fmt::format("{:<5} {}", kLevelNames.at(static_cast<std::size_t>(level)), event);
  for (const auto& field : fields) line += fmt::format(" {}={}", field.name, value_text(field));
  return line;
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  return static_cast<spdlog::level::level_enum>(static_cast<int>(level));
}

}  // namespace

std::optional<LogLevel> log_level_from_name(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto found = std::ranges::find(kLevelNames, lower);
  if (found == kLevelNames.end()) return std::nullopt;
  return static_cast<LogLevel>(found - kLevelNames.begin());
}

struct Log::Sink {
  spdlog::logger logger{"proplet", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
};

Log::Log(LogLevel level, LogFormat format) : sink_(std::make_unique<Sink>()), format_(format) {
  sink_->logger.set_pattern("%v");
  sink_->logger.flush_on(spdlog::level::trace);
  set_level(level);
}

Log::~Log() = default;

void Log::set_level(LogLevel level) { sink_->logger.set_level(spdlog_level(level)); }

void Log::write(LogLevel level, std::string_view event, Fields fields) {
  if (!sink_->logger.should_log(spdlog_level(level))) return;
  const std::string line =
      format_ == LogFormat::json ? json_line(level, event, fields) : text_line(level, event, fields);
  sink_->logger.log(spdlog_level(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace proplet
