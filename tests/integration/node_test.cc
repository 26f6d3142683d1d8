// The worker behind a real broker, with modules and runtime replaced: announcements, commands and answers.
#include "worker/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "propeller/topics.h"
#include "support/mosquitto_broker.h"

namespace proplet::worker {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

constexpr auto kPatience = 30s;

class AnyModule final : public module::ModuleSource {
 public:
  Result<module::Module> fetch(const module::ModuleRequest& /*request*/, StageObserver* /*observer*/,
                               std::stop_token /*stop*/) override {
    return module::Module();
  }
};

class EchoRuntime final : public runtime::Runtime {
 public:
  Result<runtime::Outcome> run(module::Module /*module*/, const runtime::RunRequest& request,
                               StageObserver* /*observer*/, std::stop_token stop) override {
    runtime::Outcome outcome;
    outcome.result = request.function;
    if (request.function != "endless") return outcome;
    std::mutex mutex;
    std::condition_variable_any stopped;
    std::unique_lock lock(mutex);
    stopped.wait(lock, stop, [] { return false; });
    return fail(Code::cancelled, "given up");
  }
};

// What a Manager hears.
class Manager final : public propeller::SessionHandler {
 public:
  void connected() override {
    note([this] { ++connections; });
  }
  void disconnected() override {}
  void acknowledged(std::uint64_t /*ticket*/) override {}
  void message(std::string_view topic, ByteView payload) override {
    note([&] {
      topics.emplace_back(topic);
      if (topic.ends_with(propeller::kResultsTopic)) results.emplace_back(text_of(payload));
    });
  }
  bool wait_until(const std::function<bool()>& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, condition);
  }

  int connections = 0;
  std::vector<std::string> topics;
  std::vector<std::string> results;

 private:
  void note(const std::function<void()>& change) {
    const std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
};

class NodeTest : public testing::Test {
 protected:
  propeller::SessionOptions options(std::string id, std::vector<std::string> subscriptions) {
    propeller::SessionOptions options;
    options.address = {"localhost", static_cast<std::uint16_t>(broker_.port()), false};
    options.client_id = std::move(id);
    options.subscriptions = std::move(subscriptions);
    options.first_back_off = 20ms;
    options.max_back_off = 100ms;
    return options;
  }

  test_support::MosquittoBroker broker_;
  Log log_{LogLevel::error, LogFormat::json};
  SystemRandom random_;
  SystemClock clock_;
  AnyModule modules_;
  EchoRuntime runtime_;
};

TEST_F(NodeTest, AnnouncesItselfObeysAndAnswers) {
  ASSERT_TRUE(broker_.start());
  const std::string base = propeller::base_topic("t", "c");
  Manager manager;
  const auto manager_session =
      propeller::MqttSession::make(options("manager", {base + "/control/proplet/#"}), manager, log_, random_);
  ASSERT_TRUE(manager_session.has_value());
  (*manager_session)->start();
  ASSERT_TRUE(manager.wait_until([&] { return manager.connections == 1; }));

  Node node(base);
  const auto session = propeller::MqttSession::make(options("me", node.subscriptions()), node, log_, random_);
  ASSERT_TRUE(session.has_value());
  propeller::Outbox outbox(**session, log_);
  Heartbeat heartbeat(**session, {.create_topic = base + "/control/proplet/create",
                                  .discovery = "{}",
                                  .alive_topic = base + "/control/proplet/alive",
                                  .heartbeat = "{}",
                                  .interval = 50ms});
  WorkerOptions worker_options;
  worker_options.proplet_id = "me";
  Worker worker(worker_options, node, modules_, runtime_, clock_, log_);
  node.attach(worker, outbox, heartbeat);
  (*session)->start();

  ASSERT_TRUE(manager.wait_until([&] { return manager.topics.size() >= 4; }));
  EXPECT_THAT(std::vector(manager.topics.begin(), manager.topics.begin() + 4),
              ElementsAre(base + "/control/proplet/create", base + "/control/proplet/alive",
                          base + "/control/proplet/alive", base + "/control/proplet/alive"));

  const auto send = [&](std::string_view topic, std::string_view text) {
    ASSERT_TRUE((*manager_session)->publish(base + "/" + std::string(topic), text).has_value());
  };
  send(propeller::kStartTopic, R"({"id":"1","name":"add","image_url":"r/x","proplet_id":"me"})");
  send(propeller::kStartTopic, R"({"id":"2","name":"endless","image_url":"r/x","proplet_id":"me"})");
  send(propeller::kStopTopic, R"({"id":"2","broadcast":false,"proplet_id":"me"})");
  send(propeller::kStartTopic, R"({"id":"3","name":"add","proplet_id":"me"})");
  ASSERT_TRUE(manager.wait_until([&] { return manager.results.size() >= 3; }));
  std::ranges::sort(manager.results);
  EXPECT_THAT(
      manager.results,
      ElementsAre(
          R"({"task_id":"1","proplet_id":"me","results":"add","error":null})",
          R"({"task_id":"2","proplet_id":"me","results":"","error":"TASK_STOPPED: task 2 was stopped before completion"})",
          R"({"task_id":"3","proplet_id":"me","results":"","error":"MESSAGE_INVALID: either file or image_url must be provided"})"));

  worker.shut_down(1s);
  EXPECT_TRUE(outbox.flush(kPatience, {}));
  (*session)->stop();
  (*manager_session)->stop();
}

// Two workers of the same id, one after the other: the first dies with everything still to be said.
TEST_F(NodeTest, TheNextWorkerAnswersForTheOneThatDied) {
  std::string folder = testing::TempDir() + "node.XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  folder += "/state";
  const std::string base = propeller::base_topic("t", "c");
  WorkerOptions worker_options;
  worker_options.proplet_id = "me";
  {
    auto journal = propeller::Journal::open(folder, log_);
    ASSERT_TRUE(journal.has_value());
    Node node(base);
    const auto session = propeller::MqttSession::make(options("me", node.subscriptions()), node, log_, random_);
    ASSERT_TRUE(session.has_value());
    propeller::Outbox outbox(**session, log_, {}, journal->get());
    Heartbeat heartbeat(**session, {});
    Worker worker(worker_options, node, modules_, runtime_, clock_, log_);
    node.attach(worker, outbox, heartbeat);
    node.promise("answered");
    node.result({.task_id = "answered", .proplet_id = "me", .results = "42", .error = {}, .timing = {}});
    node.promise("encrypted");
    node.result(
        {.task_id = "encrypted", .proplet_id = "me", .results = "43", .error = {}, .timing = {}, .confidential = true});
    node.promise("running");
    node.invoke_result({.task_id = "invoked", .invocation_id = "i", .proplet_id = "me", .results = "44", .error = {}});
  }

  ASSERT_TRUE(broker_.start());
  Manager manager;
  const auto manager_session =
      propeller::MqttSession::make(options("manager", {base + "/control/proplet/#"}), manager, log_, random_);
  ASSERT_TRUE(manager_session.has_value());
  (*manager_session)->start();
  ASSERT_TRUE(manager.wait_until([&] { return manager.connections == 1; }));

  auto journal = propeller::Journal::open(folder, log_);
  ASSERT_TRUE(journal.has_value());
  Node node(base);
  const auto session = propeller::MqttSession::make(options("me", node.subscriptions()), node, log_, random_);
  ASSERT_TRUE(session.has_value());
  propeller::Outbox outbox(**session, log_, {}, journal->get());
  Heartbeat heartbeat(**session, {.create_topic = "x", .discovery = {}, .alive_topic = "y", .heartbeat = {}});
  Worker worker(worker_options, node, modules_, runtime_, clock_, log_);
  node.attach(worker, outbox, heartbeat);
  node.take_over(**journal, "me", log_);
  EXPECT_TRUE(node.holds_answer("running"));
  (*session)->start();
  ASSERT_TRUE(manager.wait_until([&] { return manager.results.size() >= 3 && manager.topics.size() >= 4; }));
  EXPECT_TRUE(outbox.flush(kPatience, {}));
  EXPECT_EQ(manager.topics.at(3), base + "/control/proplet/invoke_results");
  EXPECT_THAT(
      manager.results,
      ElementsAre(
          R"({"task_id":"answered","proplet_id":"me","results":"42","error":null})",
          R"({"task_id":"encrypted","proplet_id":"me","results":"","error":"RESULT_LOST: task encrypted ended, but the worker did before its result was delivered; results of encrypted tasks are kept in memory only"})",
          R"({"task_id":"running","proplet_id":"me","results":"","error":"WORKER_RESTARTED: the worker ended while it had task running"})"));
  EXPECT_FALSE(node.holds_answer("running"));
  (*session)->stop();
  (*manager_session)->stop();
}

}  // namespace
}  // namespace proplet::worker
