#include "telemetry/otlp.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"

namespace proplet::telemetry {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t kMaxTextBytes = 256;
constexpr int kInternal = 1;  // SpanKind
constexpr int kConsumer = 5;
constexpr int kOk = 1;  // StatusCode
constexpr int kError = 2;

// Cut between characters: what comes from a message is UTF-8.
std::string shortened(std::string_view text) {
  if (text.size() <= kMaxTextBytes) return std::string(text);
  std::size_t end = kMaxTextBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return std::string(text.substr(0, end));
}

json::object attribute(std::string_view key, std::string_view text) {
  return {{"key", key}, {"value", json::object{{"stringValue", text}}}};
}

json::object flag_attribute(std::string_view key, bool flag) {
  return {{"key", key}, {"value", json::object{{"boolValue", flag}}}};
}

std::string_view span_name(Stage stage) { return stage == Stage::run ? "wasm.execute" : stage_name(stage); }

// Writes the spans of one trace into an array.
class TraceWriter {
 public:
  TraceWriter(const Trace& trace, json::array& spans) : trace_(trace), spans_(spans), next_id_(trace.first_span_id) {}

  void write() {
    json::object& root = add("task.start", 0, trace_.start, trace_.end);
    root["kind"] = kConsumer;
    json::array& attributes = root["attributes"].as_array();
    attributes.push_back(flag_attribute("encrypted", trace_.encrypted));
    if (!trace_.error_code.empty()) attributes.push_back(attribute("error.code", trace_.error_code));
    if (!trace_.error_stage.empty()) attributes.push_back(attribute("error.stage", trace_.error_stage));
    root["status"] = json::object{{"code", trace_.error_code.empty() ? kOk : kError}};
    if (!trace_.error_code.empty()) root["status"].as_object()["message"] = trace_.error_code;

    std::uint64_t parent = trace_.first_span_id;
    const auto admitted = std::ranges::find(trace_.steps, Stage::admit, &Trace::Step::stage);
    if (admitted != trace_.steps.end()) {
      parent = next_id_;
      add("task.execute", trace_.first_span_id, admitted->end, trace_.end);
    }
    for (const auto& step : trace_.steps) {
      const bool early = step.stage == Stage::decode || step.stage == Stage::admit;
      add(span_name(step.stage), early ? trace_.first_span_id : parent, step.start, step.end);
    }
  }

 private:
  json::object& add(std::string_view name, std::uint64_t parent, nanoseconds start, nanoseconds end) {
    json::object span;
    span["traceId"] = trace_.trace_id;
    span["spanId"] = fmt::format("{:016x}", next_id_++);
    if (parent != 0) span["parentSpanId"] = fmt::format("{:016x}", parent);
    span["name"] = name;
    span["kind"] = kInternal;
    span["startTimeUnixNano"] = fmt::to_string(start.count());  // 64-bit numbers are text in this format
    span["endTimeUnixNano"] = fmt::to_string(std::max(start, end).count());
    span["attributes"] = json::array{attribute("task_id", trace_.task_id), attribute("task_name", trace_.task_name)};
    spans_.push_back(std::move(span));
    return spans_.back().as_object();
  }

  const Trace& trace_;
  json::array& spans_;
  std::uint64_t next_id_;
};

}  // namespace

Trace make_trace(const TaskReport& report, std::chrono::system_clock::time_point now,
                 std::chrono::steady_clock::time_point steady_now) {
  const auto since_epoch = [&](std::chrono::steady_clock::time_point time) {
    return std::chrono::duration_cast<nanoseconds>(now.time_since_epoch()) - (steady_now - time);
  };
  Trace trace;
  trace.task_id = shortened(report.task_id);
  trace.task_name = shortened(report.name);
  trace.encrypted = report.encrypted;
  if (report.error != nullptr) {
    trace.error_code = report.error->code_name();
    if (const auto stage = report.error->stage()) trace.error_stage = stage_name(*stage);
  }
  trace.start = since_epoch(report.received);
  trace.end = since_epoch(report.finished);
  // Nobody knew yet that the task would be traced when its message was read.
  const auto decoded = std::ranges::find(report.stages, Stage::decode, [](const auto& stage) { return stage.first; });
  if (decoded != report.stages.end()) {
    trace.steps.push_back({.stage = Stage::decode, .start = trace.start, .end = trace.start + decoded->second});
  }
  for (const auto& span : report.spans) {
    const nanoseconds start = std::max(trace.start, since_epoch(span.start));
    trace.steps.push_back({.stage = span.stage, .start = start, .end = start + span.duration});
  }
  return trace;
}

std::string encode_traces(std::span<const Trace> traces, const std::string& instance, const std::string& version) {
  json::array spans;
  for (const Trace& trace : traces) TraceWriter(trace, spans).write();
  json::object scope{{"scope", json::object{{"name", "proplet"}, {"version", version}}}, {"spans", std::move(spans)}};
  const json::object resource{
      {"attributes", json::array{attribute("service.name", "proplet"), attribute("service.instance.id", instance),
                                 attribute("service.version", version)}}};
  json::array resources;
  resources.push_back(json::object{{"resource", resource}, {"scopeSpans", json::array{std::move(scope)}}});
  return json::serialize(json::object{{"resourceSpans", std::move(resources)}});
}

}  // namespace proplet::telemetry
