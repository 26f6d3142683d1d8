// MqttSession and Outbox against a real broker.
#include "propeller/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "propeller/outbox.h"
#include "support/mosquitto_broker.h"

namespace proplet::propeller {
namespace {

using namespace std::chrono_literals;
using test_support::MosquittoBroker;

constexpr auto kPatience = 30s;  // for what happens soon on any machine

class Recorder final : public SessionHandler {
 public:
  void connected() override {
    note([this] { ++connections; });
  }
  void disconnected() override {
    note([this] { ++disconnections; });
  }
  void message(std::string_view topic, ByteView payload) override {
    note([&] { ++messages[std::string(topic) + " " + std::string(text_of(payload))]; });
  }
  void acknowledged(std::uint64_t ticket) override {
    note([&] { ++acknowledgements; });
    if (outbox != nullptr) outbox->acknowledged(ticket);
  }

  bool wait_until(const std::function<bool()>& condition, std::chrono::milliseconds patience = kPatience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, condition);
  }

  int connections = 0;
  int disconnections = 0;
  int acknowledgements = 0;
  std::map<std::string, int> messages;
  Outbox* outbox = nullptr;

 private:
  void note(const std::function<void()>& change) {
    const std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
};

class SessionTest : public testing::Test {
 protected:
  std::unique_ptr<MqttSession> make(
      const MosquittoBroker& broker, std::string id, Recorder& recorder,
      const std::function<void(SessionOptions&)>& adjust = [](SessionOptions&) {}) {
    SessionOptions options;
    options.address = {"localhost", static_cast<std::uint16_t>(broker.port()), false};
    options.client_id = std::move(id);
    options.subscriptions = {"in/one", "in/two"};
    options.first_back_off = 20ms;
    options.max_back_off = 200ms;
    adjust(options);
    auto session = MqttSession::make(std::move(options), recorder, log_, random_);
    EXPECT_TRUE(session.has_value()) << session.error().text();
    (*session)->start();
    return std::move(*session);
  }

  Log log_{LogLevel::error, LogFormat::json};
  SystemRandom random_;
};

TEST_F(SessionTest, DeliversWhatItSubscribedToAndTellsWhenTheBrokerHasAMessage) {
  MosquittoBroker broker;
  ASSERT_TRUE(broker.start());
  Recorder recorder;
  const auto session = make(broker, "one", recorder);
  ASSERT_TRUE(recorder.wait_until([&] { return recorder.connections == 1; }));
  ASSERT_TRUE(session->publish("in/one", "hello").has_value());
  ASSERT_TRUE(session->publish("in/two", std::string("\0\xff", 2)).has_value());
  ASSERT_TRUE(session->publish("elsewhere", "x").has_value());
  EXPECT_TRUE(recorder.wait_until([&] { return recorder.messages.size() == 2 && recorder.acknowledgements == 3; }));
  EXPECT_EQ(recorder.messages["in/one hello"], 1);
  EXPECT_EQ(recorder.messages[std::string("in/two \0\xff", 9)], 1);
}

TEST_F(SessionTest, KeepsTryingUntilTheBrokerIsThereAndComesBackWhenItReturns) {
  MosquittoBroker broker;
  Recorder recorder;
  const auto session = make(broker, "one", recorder);
  EXPECT_EQ(session->publish("in/one", "early").error().code(), Code::mqtt_failed);
  ASSERT_TRUE(broker.start());
  ASSERT_TRUE(recorder.wait_until([&] { return recorder.connections == 1; }));
  broker.kill();
  ASSERT_TRUE(recorder.wait_until([&] { return recorder.disconnections == 1; }));
  ASSERT_TRUE(broker.start());
  ASSERT_TRUE(recorder.wait_until([&] { return recorder.connections == 2; }));
  ASSERT_TRUE(session->publish("in/one", "again").has_value());
  EXPECT_TRUE(recorder.wait_until([&] { return recorder.messages["in/one again"] == 1; }));
}

TEST_F(SessionTest, StopsWhileConnectedAndWhileTrying) {
  MosquittoBroker broker;
  Recorder lonely;
  make(broker, "one", lonely, [](SessionOptions& options) { options.first_back_off = 1h; })->stop();
  ASSERT_TRUE(broker.start());
  Recorder recorder;
  const auto session = make(broker, "two", recorder);
  ASSERT_TRUE(recorder.wait_until([&] { return recorder.connections == 1; }));
  const auto begin = std::chrono::steady_clock::now();
  session->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
  EXPECT_EQ(recorder.disconnections, 1);
  EXPECT_FALSE(session->publish("in/one", "late").has_value());
}

TEST_F(SessionTest, ConnectsAnewWhenToldToAndLosesNoResult) {
  MosquittoBroker broker;
  ASSERT_TRUE(broker.start());
  Recorder receiver;
  const auto receiving = make(broker, "receiver", receiver);
  ASSERT_TRUE(receiver.wait_until([&] { return receiver.connections == 1; }));
  Recorder recorder;
  const auto session = make(broker, "one", recorder, [](SessionOptions& options) {
    options.subscriptions = {};
    options.first_back_off = 1h;  // it does not wait for that
  });
  Outbox outbox(*session, log_);
  recorder.outbox = &outbox;
  for (int i = 1; i <= 4; ++i) {
    ASSERT_TRUE(recorder.wait_until([&] { return recorder.connections == i; }));
    outbox.connected();
    for (int j = 0; j < 50; ++j) outbox.add("in/one", std::to_string((i * 100) + j), "test");
    if (i == 4) break;
    ASSERT_TRUE(session->reconnect().has_value());
    ASSERT_TRUE(recorder.wait_until([&] { return recorder.disconnections == i; }));
    outbox.disconnected();
  }
  EXPECT_TRUE(outbox.flush(kPatience, {}));
  EXPECT_TRUE(receiver.wait_until([&] { return receiver.messages.size() == 200; })) << receiver.messages.size();
}

TEST_F(SessionTest, RefusesAndDropsWhatIsTooLarge) {
  MosquittoBroker broker;
  ASSERT_TRUE(broker.start());
  Recorder small_recorder;
  Recorder large_recorder;
  const auto small =
      make(broker, "small", small_recorder, [](SessionOptions& options) { options.max_packet_bytes = 1024; });
  const auto large = make(broker, "large", large_recorder);
  ASSERT_TRUE(small_recorder.wait_until([&] { return small_recorder.connections == 1; }));
  ASSERT_TRUE(large_recorder.wait_until([&] { return large_recorder.connections == 1; }));
  EXPECT_EQ(small->publish("in/one", std::string(1024, 'x')).error().code(), Code::size_limit);
  ASSERT_TRUE(large->publish("in/one", std::string(2000, 'x')).has_value());
  ASSERT_TRUE(large->publish("in/one", "end").has_value());
  ASSERT_TRUE(small_recorder.wait_until([&] { return small_recorder.messages.contains("in/one end"); }));
  EXPECT_EQ(small_recorder.messages.size(), 1U);
}

TEST_F(SessionTest, LogsInWithItsPasswordAndNeverLogsIt) {
  MosquittoBroker broker({.user = "worker", .password = "canary-right", .tls = false});
  ASSERT_TRUE(broker.start());
  const auto with_password = [](std::string_view password) {
    return [password](SessionOptions& options) {
      options.user = "worker";
      options.password = SecretBytes::copy_of(bytes_of(password));
    };
  };
  Recorder recorder;
  const auto session = make(broker, "worker", recorder, with_password("canary-right"));
  EXPECT_TRUE(recorder.wait_until([&] { return recorder.connections == 1; }));

  log_.set_level(LogLevel::trace);
  testing::internal::CaptureStderr();
  Recorder refused;
  const auto intruder = make(broker, "intruder", refused, with_password("canary-wrong"));
  EXPECT_FALSE(refused.wait_until([&] { return refused.connections > 0; }, 500ms));
  intruder->stop();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::Not(testing::HasSubstr("canary")));
}

TEST_F(SessionTest, VerifiesTheBrokersCertificateUnlessToldNotTo) {
  MosquittoBroker broker({.user = "", .password = "", .tls = true});
  MosquittoBroker other({.user = "", .password = "", .tls = true});
  ASSERT_TRUE(broker.start());
  const auto with = [](const std::string& ca_cert, bool skip_verify) {
    return [=](SessionOptions& options) {
      options.address.tls = true;
      options.tls.ca_cert = ca_cert;
      options.tls.skip_verify = skip_verify;
    };
  };
  Recorder trusting;
  const auto good = make(broker, "good", trusting, with(broker.ca_cert(), false));
  EXPECT_TRUE(trusting.wait_until([&] { return trusting.connections == 1; }));
  Recorder careless;
  const auto skipping = make(broker, "skipping", careless, with(other.ca_cert(), true));
  EXPECT_TRUE(careless.wait_until([&] { return careless.connections == 1; }));

  Recorder wary;
  const auto wrong_ca = make(broker, "wrong", wary, with(other.ca_cert(), false));
  Recorder warier;
  const auto no_ca = make(broker, "none", warier, with("", false));
  EXPECT_FALSE(wary.wait_until([&] { return wary.connections > 0; }, 500ms));
  EXPECT_FALSE(warier.wait_until([&] { return warier.connections > 0; }, 500ms));
}

TEST_F(SessionTest, UnreadableTlsFilesAreASettingThatIsWrong) {
  SessionOptions options;
  options.address = {"localhost", 1, true};
  options.client_id = "one";
  options.tls.ca_cert = "/nonexistent/ca.pem";
  Recorder recorder;
  const auto session = MqttSession::make(std::move(options), recorder, log_, random_);
  ASSERT_FALSE(session.has_value());
  EXPECT_EQ(session.error().code(), Code::config_invalid);
  EXPECT_THAT(session.error().text(), testing::HasSubstr("/nonexistent/ca.pem"));
}

// The broker dies three times while results are under way; not one of them may be missing in the end. The receiver
// listens at QoS 0, which the broker serves before it acknowledges to the sender, and is back before the outbox goes
// on.
TEST_F(SessionTest, EveryMessageOfTheOutboxArrivesAlthoughTheBrokerDies) {
  constexpr int kMessages = 400;
  MosquittoBroker broker;
  ASSERT_TRUE(broker.start());
  Recorder receiver;
  Recorder sender;
  const auto receiving = make(broker, "receiver", receiver, [](SessionOptions& options) { options.qos = 0; });
  const auto sending = make(broker, "sender", sender, [](SessionOptions& options) { options.subscriptions = {}; });
  Outbox outbox(*sending, log_);
  sender.outbox = &outbox;

  int added = 0;
  for (int lives = 1; lives <= 4; ++lives) {
    ASSERT_TRUE(receiver.wait_until([&] { return receiver.connections == lives; }));
    ASSERT_TRUE(sender.wait_until([&] { return sender.connections == lives; }));
    outbox.connected();
    const int acknowledged_before = sender.acknowledgements;
    for (int i = 0; i < kMessages / 4; ++i) outbox.add("in/one", std::to_string(added++), "test");
    if (lives == 4) break;
    // Some are through, others are on their way.
    ASSERT_TRUE(sender.wait_until([&] { return sender.acknowledgements >= acknowledged_before + 20; }));
    broker.kill();
    outbox.disconnected();
    ASSERT_TRUE(receiver.wait_until([&] { return receiver.disconnections == lives; }));
    ASSERT_TRUE(sender.wait_until([&] { return sender.disconnections == lives; }));
    ASSERT_TRUE(broker.start());
  }
  EXPECT_TRUE(outbox.flush(kPatience, {}));
  EXPECT_TRUE(receiver.wait_until([&] { return receiver.messages.size() == kMessages; })) << receiver.messages.size();
  sending->stop();
  receiving->stop();
}

}  // namespace
}  // namespace proplet::propeller
