// What workers say about themselves and their tasks, as lines for people. For this folder only.
//
// Everything comes from strangers: text is cut to a length, control characters (escape sequences above all) become
// spaces, and a message that is not understood is shown as such.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/json.h"

namespace proplet::cli {

// Text for a terminal: control characters of all kinds (C0, DEL, C1) are spaces, what is longer is cut.
std::string printable(std::string_view text, std::size_t limit = 500);
// The same, with line breaks and tabs left in.
std::string printable_lines(std::string_view text, std::size_t limit);

// A message of a worker in a few words: kind, worker, and what matters. `topic` is below the base topic.
struct ReportLine {
  std::string kind;    // "discovery", "heartbeat", "metrics", "task metrics", "result", "invoke result"
  std::string worker;  // empty if the message does not say
  std::string text;
};
ReportLine describe(std::string_view topic, ByteView payload);

// What is known about the workers that have been heard.
class Roster {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Worker {
    std::optional<Time> heartbeat;         // the last one
    std::optional<json::object> metadata;  // of discovery, if it was heard
  };

  // Takes note of a message. True if it is the first one of its worker, or the first after a silence of 10 s, the time
  // after which a Manager gives a worker up.
  bool hear(std::string_view topic, ByteView payload, Time now);
  // Ids of those whose silence has become longer than 10 s since the last call.
  std::vector<std::string> fallen_silent(Time now);

  [[nodiscard]] const std::map<std::string, Worker>& workers() const { return workers_; }
  [[nodiscard]] std::string table(Time now) const;
  [[nodiscard]] json::array to_json(Time now) const;

 private:
  static constexpr std::size_t kMaxWorkers = 10000;

  std::map<std::string, Worker> workers_;
  std::map<std::string, Time> heard_;  // those that are not silent
};

}  // namespace proplet::cli
