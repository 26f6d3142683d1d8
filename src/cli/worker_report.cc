#include "cli/worker_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "propeller/messages.h"
#include "propeller/topics.h"

namespace proplet::cli {
namespace {

constexpr std::string_view kMetricsTopic = "control/proplet/metrics";
constexpr std::string_view kTaskMetricsTopic = "control/proplet/task_metrics";
constexpr std::chrono::seconds kManagersPatience{10};
constexpr std::size_t kMaxPayload = std::size_t{10} << 20;
constexpr double kMebibyte = 1U << 20;

// The text of a member, whatever its type; empty if there is none.
std::string text_of_member(const json::object& object, std::string_view name) {
  const json::value* member = object.if_contains(name);
  if (member == nullptr || member->is_null()) return {};
  return member->is_string() ? std::string(member->get_string()) : json::serialize(*member);
}

double number_of_member(const json::object& object, std::string_view name) {
  const json::value* member = object.if_contains(name);
  return member != nullptr && member->is_number() ? member->to_number<double>() : 0;
}

const json::object& object_of_member(const json::object& object, std::string_view name) {
  static const json::object none;
  const json::value* member = object.if_contains(name);
  return member != nullptr && member->is_object() ? member->get_object() : none;
}

std::string tags_of(const json::object& metadata) {
  std::string text;
  const json::value* tags = metadata.if_contains("tags");
  if (tags == nullptr || !tags->is_array()) return text;
  for (const json::value& tag : tags->get_array()) {
    if (tag.is_string()) text += (text.empty() ? "" : ",") + std::string(tag.get_string());
  }
  return text;
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

std::string machine_of(const json::object& metadata) {
  const std::string system = text_of_member(metadata, "os");
  return system.empty() ? "" : system + "/" + text_of_member(metadata, "cpu_arch");
}

std::string memory_of(const json::object& metadata) {
  const double bytes = number_of_member(metadata, "total_memory_bytes");
  return bytes > 0 ? fmt::format("{:.0f} MiB", bytes / kMebibyte) : "";
}

std::string about_discovery(const json::object& message) {
  const json::object& metadata = object_of_member(message, "metadata");
  return fmt::format("version {}, {}, tags {}, {}, {}", or_dash(text_of_member(metadata, "proplet_version")),
                     or_dash(text_of_member(metadata, "wasm_runtime")), or_dash(tags_of(metadata)),
                     or_dash(machine_of(metadata)), or_dash(memory_of(metadata)));
}

std::string about_metrics(const json::object& message) {
  return fmt::format("CPU {:.1f} %, memory {:.1f} MiB",
                     number_of_member(object_of_member(message, "cpu_metrics"), "percent"),
                     number_of_member(object_of_member(message, "memory_metrics"), "rss_bytes") / kMebibyte);
}

std::string about_task_metrics(const json::object& message) {
  const json::object& metrics = object_of_member(message, "metrics");
  return fmt::format("task {}: CPU {:.1f} %, memory {:.1f} MiB, up {:.0f} s", text_of_member(message, "task_id"),
                     number_of_member(metrics, "cpu_percent"), number_of_member(metrics, "memory_bytes") / kMebibyte,
                     number_of_member(metrics, "uptime_seconds"));
}

std::string about_result(const json::object& message) {
  const std::string error = text_of_member(message, "error");
  return fmt::format("task {}: {}", text_of_member(message, "task_id"),
                     error.empty() ? "result " + text_of_member(message, "results") : "error " + error);
}

struct Kind {
  std::string_view topic;
  std::string_view name;
  std::string (*about)(const json::object& message);
};

constexpr std::array<Kind, 6> kKinds = {
    Kind{propeller::kCreateTopic, "discovery", about_discovery},
    Kind{propeller::kAliveTopic, "heartbeat", [](const json::object&) { return std::string(); }},
    Kind{kMetricsTopic, "metrics", about_metrics},
    Kind{kTaskMetricsTopic, "task metrics", about_task_metrics},
    Kind{propeller::kResultsTopic, "result", about_result},
    Kind{propeller::kInvokeResultsTopic, "invoke result", about_result}};

// Results of federated rounds name their worker inside.
std::string worker_of(const json::object& message) {
  const std::string worker = text_of_member(message, "proplet_id");
  return worker.empty() ? text_of_member(object_of_member(message, "results"), "proplet_id") : worker;
}

std::string stripped(std::string_view text, std::size_t limit, std::string_view allowed) {
  std::string line;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool starts_character = (byte & 0xC0U) != 0x80U;
    if (line.size() >= limit && starts_character) return line + "...";
    if ((byte < 0x20 || byte == 0x7F) && !allowed.contains(text[i])) {
      line += ' ';
    } else if (byte == 0xC2 && next >= 0x80 && next < 0xA0) {  // U+0080 to U+009F
      line += ' ';
      ++i;
    } else {
      line += text[i];
    }
  }
  return line;
}

std::string ago(std::optional<Roster::Time> time, Roster::Time now) {
  if (!time) return "-";
  return fmt::format("{:.0f} s ago", std::chrono::duration<double>(now - *time).count());
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit) { return stripped(text, limit, ""); }

std::string printable_lines(std::string_view text, std::size_t limit) { return stripped(text, limit, "\n\t"); }

ReportLine describe(std::string_view topic, ByteView payload) {
  const auto* kind = std::ranges::find(kKinds, topic, &Kind::topic);
  if (kind == kKinds.end()) return {printable(topic), "", fmt::format("{} bytes", payload.size())};
  const auto message = json::parse_object(text_of(payload), {.bytes = kMaxPayload});
  if (!message) return {std::string(kind->name), "", "not understood: " + printable(message.error().text())};
  return {std::string(kind->name), printable(worker_of(*message), 80), printable(kind->about(*message))};
}

bool Roster::hear(std::string_view topic, ByteView payload, Time now) {
  const auto message = json::parse_object(text_of(payload), {.bytes = kMaxPayload});
  if (!message) return false;
  const std::string id = printable(worker_of(*message), 80);
  if (id.empty() || (workers_.size() >= kMaxWorkers && !workers_.contains(id))) return false;
  Worker& worker = workers_[id];
  if (topic == propeller::kAliveTopic) worker.heartbeat = now;
  if (topic == propeller::kCreateTopic) worker.metadata = object_of_member(*message, "metadata");
  return heard_.insert_or_assign(id, now).second;
}

std::vector<std::string> Roster::fallen_silent(Time now) {
  std::vector<std::string> silent;
  for (auto entry = heard_.begin(); entry != heard_.end();) {
    if (now - entry->second <= kManagersPatience) {
      ++entry;
    } else {
      silent.push_back(entry->first);
      entry = heard_.erase(entry);
    }
  }
  return silent;
}

std::string Roster::table(Time now) const {
  using Row = std::array<std::string, 7>;
  std::vector<Row> rows = {{"WORKER", "VERSION", "RUNTIME", "MACHINE", "MEMORY", "HEARTBEAT", "TAGS"}};
  for (const auto& [id, worker] : workers_) {
    const json::object metadata = worker.metadata.value_or(json::object());
    Row row = {id,
               text_of_member(metadata, "proplet_version"),
               text_of_member(metadata, "wasm_runtime"),
               machine_of(metadata),
               memory_of(metadata),
               ago(worker.heartbeat, now),
               tags_of(metadata)};
    for (std::string& cell : row) cell = or_dash(printable(cell, 80));
    rows.push_back(std::move(row));
  }
  std::array<std::size_t, 7> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths.at(i) = std::max(widths.at(i), row.at(i).size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row.at(i), widths.at(i));
    line.erase(line.find_last_not_of(' ') + 1);
    text += (text.empty() ? "" : "\n") + line;
  }
  return text;
}

json::array Roster::to_json(Time now) const {
  json::array list;
  for (const auto& [id, worker] : workers_) {
    json::object object = {{"id", id}};
    object["metadata"] = worker.metadata ? json::value(*worker.metadata) : json::value(nullptr);
    object["seconds_since_heartbeat"] = nullptr;
    if (worker.heartbeat) {
      object["seconds_since_heartbeat"] = std::chrono::duration<double>(now - *worker.heartbeat).count();
    }
    list.push_back(std::move(object));
  }
  return list;
}

}  // namespace proplet::cli
