#include "telemetry/tracer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "telemetry/test_support.h"

namespace proplet::telemetry {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

std::string text(const json::value& value) { return std::string(value.as_string()); }

// The value of an attribute as JSON; null if it is not there.
json::value attribute(const json::value& span, const char* key) {
  for (const auto& attribute : span.at("attributes").as_array()) {
    if (attribute.at("key") == key) return attribute.at("value");
  }
  return nullptr;
}

json::array spans_of(const std::string& request) {
  return json::parse_object(request).value().at("resourceSpans").at(0).at("scopeSpans").at(0).at("spans").as_array();
}

const json::object& named(const json::array& spans, const char* name) {
  for (const auto& span : spans) {
    if (span.at("name") == name) return span.as_object();
  }
  ADD_FAILURE() << "no span " << name;
  return spans.at(0).as_object();
}

FinishedTask encrypted_task() {
  FinishedTask task{.encrypted = true, .error = Error(Code::guest_trap, "secret text").at(Stage::run)};
  task.stages = {{Stage::decode, milliseconds(1)}, {Stage::admit, milliseconds(2)}};
  task.spans = {{Stage::admit, task.begin, milliseconds(2)},
                {Stage::attest, task.begin + milliseconds(5), milliseconds(10)},
                {Stage::pull, task.begin + milliseconds(3), milliseconds(20)},
                {Stage::run, task.begin + milliseconds(50), milliseconds(40)}};
  return task;
}

TEST(Otlp, WritesOneSpanForEachStageBelowThatOfTheTask) {
  const FinishedTask task = encrypted_task();
  const std::chrono::system_clock::time_point now{seconds(1767323045)};
  Trace trace = make_trace(task.report(), now, task.begin);
  trace.trace_id = "0123456789abcdef0123456789abcdef";
  trace.first_span_id = 0xabc;
  const std::string request = encode_traces(std::span(&trace, 1), "worker-1", "9.9");
  const auto spans = spans_of(request);
  std::vector<std::string> names;
  std::set<std::string> ids;
  for (const auto& span : spans) {
    names.push_back(text(span.at("name")));
    ids.insert(text(span.at("spanId")));
    EXPECT_EQ(text(span.at("traceId")), trace.trace_id);
    EXPECT_EQ(attribute(span, "task_id"), (json::object{{"stringValue", "task-1"}}));
    EXPECT_EQ(attribute(span, "task_name"), (json::object{{"stringValue", "add"}}));
  }
  EXPECT_THAT(names,
              testing::ElementsAre("task.start", "task.execute", "decode", "admit", "attest", "pull", "wasm.execute"));
  EXPECT_EQ(ids.size(), spans.size());

  const auto& root = named(spans, "task.start");
  EXPECT_FALSE(root.contains("parentSpanId"));
  EXPECT_EQ(root.at("spanId"), "0000000000000abc");
  EXPECT_EQ(root.at("startTimeUnixNano"), "1767323045000000000");
  EXPECT_EQ(root.at("endTimeUnixNano"), "1767323045100000000");
  EXPECT_EQ(root.at("status").at("code"), 2);
  EXPECT_EQ(attribute(root, "error.code"), (json::object{{"stringValue", "GUEST_TRAP"}}));
  EXPECT_EQ(attribute(root, "error.stage"), (json::object{{"stringValue", "run"}}));
  EXPECT_EQ(attribute(root, "encrypted"), (json::object{{"boolValue", true}}));
  const auto& execute = named(spans, "task.execute");
  EXPECT_EQ(execute.at("parentSpanId"), root.at("spanId"));
  EXPECT_EQ(execute.at("startTimeUnixNano"), "1767323045002000000");
  EXPECT_EQ(named(spans, "decode").at("parentSpanId"), root.at("spanId"));
  EXPECT_EQ(named(spans, "wasm.execute").at("parentSpanId"), execute.at("spanId"));
  EXPECT_EQ(named(spans, "wasm.execute").at("startTimeUnixNano"), "1767323045050000000");
  EXPECT_EQ(named(spans, "wasm.execute").at("endTimeUnixNano"), "1767323045090000000");

  EXPECT_EQ(request.find("secret text"), std::string::npos);
  const auto resource = json::parse_object(request).value().at("resourceSpans").at(0).at("resource");
  EXPECT_EQ(attribute(resource, "service.name"), (json::object{{"stringValue", "proplet"}}));
  EXPECT_EQ(attribute(resource, "service.instance.id"), (json::object{{"stringValue", "worker-1"}}));
}

TEST(Otlp, ARefusedTaskHasNoExecution) {
  FinishedTask task{.refused = true, .error = Error(Code::task_limit_reached, "full")};
  task.id = std::string(255, 'x') + "\xc3\xa4";
  const Trace trace = make_trace(task.report(), std::chrono::system_clock::now(), task.begin);
  const auto spans = spans_of(encode_traces(std::span(&trace, 1), "", ""));
  ASSERT_EQ(spans.size(), 1U);
  EXPECT_EQ(attribute(spans[0], "task_id"), (json::object{{"stringValue", std::string(255, 'x')}}));
}

// Keeps the bodies it gets, and answers what it is told to.
class Collector final : public net::HttpClient {
 public:
  Result<net::HttpResponse> send(const net::HttpRequest& request, std::stop_token) override {
    const std::lock_guard lock(mutex_);
    bodies_.emplace_back(text_of(request.body));
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.url.text(), "http://collector:4318/v1/traces");
    changed_.notify_all();
    if (status == 0) return fail(Code::network_failed, "no collector");
    return net::HttpResponse{.status = status, .headers = {}, .body = {}, .url = request.url};
  }

  std::vector<std::string> wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, seconds(30), [&] { return bodies_.size() >= count; });
    return bodies_;
  }

  std::atomic<long> status = 200;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> bodies_;
};

class TracerTest : public testing::Test {
 protected:
  TracerTest() { options_.ratio = 1; }

  std::unique_ptr<Tracer> tracer() { return std::make_unique<Tracer>(options_, collector_, clock_, random_, log_); }

  TracerOptions options_{.url = net::Url::parse("http://collector:4318/v1/traces").value()};
  SystemClock clock_;
  SystemRandom random_;
  Log log_{LogLevel::error, LogFormat::json};
  Collector collector_;
};

TEST_F(TracerTest, SendsTracesInBatches) {
  options_.delay = milliseconds(500);
  const auto tracer = this->tracer();
  for (int i = 0; i < 3; ++i) tracer->finished(encrypted_task().report());
  const auto spans = spans_of(collector_.wait(1).at(0));
  std::set<std::string> traces;
  for (const auto& span : spans) traces.insert(text(span.at("traceId")));
  EXPECT_EQ(traces.size(), 3U);
  EXPECT_EQ(tracer->dropped(), 0U);
}

TEST_F(TracerTest, SendsWhatWaitsWhenItEnds) {
  options_.delay = seconds(3600);
  auto tracer = this->tracer();
  tracer->finished(encrypted_task().report());
  tracer.reset();
  EXPECT_EQ(collector_.wait(1).size(), 1U);
}

TEST_F(TracerTest, CountsWhatCannotBeDelivered) {
  options_.delay = milliseconds(1);
  const auto tracer = this->tracer();
  for (const long status : {0L, 503L}) {
    collector_.status = status;
    const auto before = tracer->dropped();
    tracer->finished(encrypted_task().report());
    while (tracer->dropped() == before) std::this_thread::sleep_for(milliseconds(1));
    EXPECT_EQ(tracer->dropped(), before + 1);
  }
}

TEST_F(TracerTest, KeepsABoundedNumber) {
  options_.delay = seconds(3600);
  options_.max_queue = 2;
  const auto tracer = this->tracer();
  for (int i = 0; i < 5; ++i) tracer->finished(encrypted_task().report());
  EXPECT_EQ(tracer->dropped(), 3U);
}

TEST_F(TracerTest, ChoosesItsShare) {
  EXPECT_TRUE(tracer()->choose());
  options_.ratio = 0;
  EXPECT_FALSE(tracer()->choose());
  options_.ratio = 0.25;
  const auto tracer = this->tracer();
  int chosen = 0;
  for (int i = 0; i < 10000; ++i) chosen += tracer->choose() ? 1 : 0;
  EXPECT_GT(chosen, 2000);
  EXPECT_LT(chosen, 3000);
}

}  // namespace
}  // namespace proplet::telemetry
