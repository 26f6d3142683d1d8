#include "propeller/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace proplet::propeller {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class FakePublisher final : public Publisher {
 public:
  Result<std::uint64_t> publish(std::string_view /*topic*/, std::string_view payload) override {
    if (payload.size() > 100) return fail(Code::size_limit, "too large");
    if (!online) return fail(Code::mqtt_failed, "not connected");
    published.emplace_back(payload);
    return ++ticket;
  }

  bool online = true;
  std::uint64_t ticket = 0;
  std::vector<std::string> published;
};

class OutboxTest : public testing::Test {
 protected:
  Log log_{LogLevel::error, LogFormat::json};
  FakePublisher publisher_;
  Outbox outbox_{publisher_, log_, {.messages = 3, .bytes = 1000}};
};

TEST_F(OutboxTest, PublishesAgainInOrderWhatWasNotAcknowledged) {
  outbox_.connected();
  outbox_.add("t", "a", "");
  outbox_.add("t", "b", "");
  outbox_.add("t", "c", "");
  outbox_.acknowledged(2);
  outbox_.disconnected();
  outbox_.connected();
  EXPECT_THAT(publisher_.published, ElementsAre("a", "b", "c", "a", "c"));
  outbox_.acknowledged(4);
  EXPECT_EQ(outbox_.pending(), 1U);
  outbox_.acknowledged(5);
  EXPECT_TRUE(outbox_.flush(0ms, {}));
}

TEST_F(OutboxTest, AnAcknowledgementOfAnEarlierConnectionCountsForNothing) {
  outbox_.connected();
  outbox_.add("t", "a", "");
  outbox_.disconnected();
  outbox_.connected();
  outbox_.acknowledged(1);
  EXPECT_EQ(outbox_.pending(), 1U);
  outbox_.acknowledged(2);
  EXPECT_EQ(outbox_.pending(), 0U);
}

TEST_F(OutboxTest, KeepsWhatIsAddedWhileThereIsNoConnection) {
  outbox_.add("t", "a", "");
  outbox_.connected();
  publisher_.online = false;
  outbox_.add("t", "b", "");
  publisher_.online = true;
  outbox_.add("t", "c", "");
  EXPECT_THAT(publisher_.published, ElementsAre("a", "b", "c"));
  EXPECT_FALSE(outbox_.flush(1ms, {}));
}

TEST_F(OutboxTest, GivesUpTheOldestWhenFull) {
  for (const char* text : {"a", "b", "c", "d"}) outbox_.add("t", text, "");
  outbox_.connected();
  EXPECT_THAT(publisher_.published, ElementsAre("b", "c", "d"));
}

TEST_F(OutboxTest, AMessageThatCanNeverBeSentDoesNotHoldUpTheOthers) {
  outbox_.connected();
  outbox_.add("t", std::string(200, 'x'), "");
  outbox_.add("t", "b", "");
  EXPECT_THAT(publisher_.published, ElementsAre("b"));
  EXPECT_EQ(outbox_.pending(), 1U);
}

TEST_F(OutboxTest, HoldsBackWhatExceedsTheWindowUntilAnAcknowledgementComes) {
  Outbox outbox(publisher_, log_, {.window = 2});
  for (const char* text : {"a", "b", "c"}) outbox.add("t", text, "");
  outbox.connected();
  outbox.add("t", "d", "");
  EXPECT_THAT(publisher_.published, ElementsAre("a", "b"));
  outbox.acknowledged(2);
  EXPECT_THAT(publisher_.published, ElementsAre("a", "b", "c"));
  outbox.disconnected();
  outbox.connected();
  EXPECT_THAT(publisher_.published, ElementsAre("a", "b", "c", "a", "c"));
  outbox.acknowledged(4);
  outbox.acknowledged(5);
  EXPECT_THAT(publisher_.published, ElementsAre("a", "b", "c", "a", "c", "d"));
  outbox.acknowledged(6);
  EXPECT_TRUE(outbox.flush(0ms, {}));
}

TEST_F(OutboxTest, FlushEndsWhenAStopIsRequested) {
  outbox_.add("t", "a", "");
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(outbox_.flush(1h, stop.get_token()));
}

}  // namespace
}  // namespace proplet::propeller
