#include "worker/heartbeat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace proplet::worker {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class FakePublisher final : public propeller::Publisher {
 public:
  Result<std::uint64_t> publish(std::string_view topic, std::string_view payload) override {
    const std::lock_guard lock(mutex_);
    published_.push_back(std::string(topic) + " " + std::string(payload));
    changed_.notify_all();
    return published_.size();
  }

  // What was published, as soon as there is as much.
  std::vector<std::string> wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 30s, [&] { return published_.size() >= count; });
    return published_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> published_;
};

HeartbeatOptions every(std::chrono::milliseconds interval) {
  return {
      .create_topic = "create", .discovery = "who", .alive_topic = "alive", .heartbeat = "beat", .interval = interval};
}

TEST(Heartbeat, AnnouncesTheWorkerAfterEveryConnection) {
  FakePublisher publisher;
  Heartbeat heartbeat(publisher, every(1h));
  heartbeat.connected();
  EXPECT_THAT(publisher.wait(2), ElementsAre("create who", "alive beat"));
  heartbeat.disconnected();
  heartbeat.connected();
  EXPECT_THAT(publisher.wait(4), ElementsAre("create who", "alive beat", "create who", "alive beat"));
}

TEST(Heartbeat, BeatsEachIntervalWithoutAnnouncingAgain) {
  FakePublisher publisher;
  Heartbeat heartbeat(publisher, every(1ms));
  heartbeat.connected();
  auto published = publisher.wait(10);
  heartbeat.stop();
  ASSERT_GE(published.size(), 10U);
  EXPECT_EQ(published.front(), "create who");
  published.erase(published.begin());
  EXPECT_THAT(published, testing::Each("alive beat"));
}

TEST(Heartbeat, IsSilentWithoutConnection) {
  FakePublisher publisher;
  Heartbeat heartbeat(publisher, every(1ms));
  heartbeat.connected();
  publisher.wait(3);
  heartbeat.disconnected();
  // At most the beat that was on its way.
  const auto before = publisher.wait(0).size();
  std::this_thread::sleep_for(50ms);
  EXPECT_LE(publisher.wait(0).size(), before + 1);
}

}  // namespace
}  // namespace proplet::worker
