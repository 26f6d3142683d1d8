#include "module/chunk_source.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <future>
#include <set>
#include <thread>

#include "base/encoding.h"
#include "propeller/chunk_message.h"

namespace proplet::module {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto kPatience = std::chrono::seconds(20);  // of the tests, on a busy machine

// Counts requests; `answer` runs on a thread of its own for each, as a proxy would.
class FakeProxy final : public ChunkRequester {
 public:
  Status request_chunks(std::string_view app_name) override {
    const std::lock_guard lock(mutex_);
    requests.emplace_back(app_name);
    if (offline) return fail(Code::mqtt_failed, "not connected");
    const int number = static_cast<int>(requests.size());
    if (answer) answers_.emplace_back([this, number] { answer(number); });
    return {};
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return requests.size();
  }

  std::function<void(int number)> answer;
  std::atomic<bool> offline = false;
  std::vector<std::string> requests;

 private:
  std::mutex mutex_;
  std::vector<std::jthread> answers_;
};

class ChunkSourceTest : public ::testing::Test {
 protected:
  ChunkSourceTest() {
    options_.max_module_bytes = 1 << 20;
    options_.max_total_bytes = 4 << 20;
    options_.first_pause = milliseconds(60000);  // tests that want repetition say so
    options_.longest_pause = milliseconds(60000);
    options_.pause_after_the_last = milliseconds(60000);
    options_.patience = milliseconds(60000);
  }
  ~ChunkSourceTest() override {
    for (auto& stop : stops_) stop.request_stop();
  }

  ChunkSource& source() {
    if (!source_) source_ = std::make_unique<ChunkSource>(proxy_, log_, options_);
    return *source_;
  }

  static Bytes bytes_of_image(std::size_t size = 1000) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
    return bytes;
  }

  void send(const std::string& image, std::uint32_t index, std::uint32_t total, ByteView data) {
    const std::string text = propeller::encode(propeller::ChunkMessage{image, index, total, base64_encode(data)});
    source().chunk(bytes_of(text));
  }

  // Chunks of 100 bytes, of which those in `left_out` are not sent.
  void deliver(const std::string& image, const Bytes& bytes, const std::set<std::uint32_t>& left_out = {}) {
    const auto total = static_cast<std::uint32_t>((bytes.size() + 99) / 100);
    for (std::uint32_t i = 0; i < total; ++i) {
      if (!left_out.contains(i))
        send(image, i, total, ByteView(bytes).subspan(i * 100, std::min<std::size_t>(100, bytes.size() - i * 100)));
    }
  }

  std::future<Result<Module>> fetch(std::string image, std::optional<oci::Digest> digest = std::nullopt) {
    source();
    auto& stop = stops_.emplace_back();
    return std::async(std::launch::async,
                      [this, image = std::move(image), digest = std::move(digest), token = stop.get_token()] {
                        return source().fetch(image, digest, nullptr, token);
                      });
  }

  template <class Condition>
  static bool eventually(Condition condition) {
    const auto deadline = steady_clock::now() + kPatience;
    while (!condition()) {
      if (steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(milliseconds(2));
    }
    return true;
  }
  bool asked(std::size_t times) {
    return eventually([&] { return proxy_.count() >= times; });
  }

  Log log_{LogLevel::error, LogFormat::json};
  ChunkSourceOptions options_;
  std::deque<std::stop_source> stops_;
  std::unique_ptr<ChunkSource> source_;
  FakeProxy proxy_;  // ends its threads before what they use
};

TEST_F(ChunkSourceTest, DeliversWhatTheProxySendsForTheExactName) {
  auto module = fetch("r.example/Team/add:1@odd");
  ASSERT_TRUE(asked(1));
  EXPECT_EQ(proxy_.requests[0], "r.example/Team/add:1@odd");
  const Bytes bytes = bytes_of_image();
  deliver("r.example/Team/add:1@odd", bytes);
  const auto result = module.get();
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_TRUE(result->bytes.equals(bytes));
  EXPECT_EQ(result->digest, oci::Digest::of(bytes).text());
  EXPECT_FALSE(result->confidential);
  EXPECT_EQ(proxy_.count(), 1U);
  EXPECT_EQ(source().downloads(), 0U);
  EXPECT_EQ(source().held_bytes(), 0U);
}

TEST_F(ChunkSourceTest, ManyWhoWaitShareOneRequestAndOneDelivery) {
  std::vector<std::future<Result<Module>>> modules;
  for (int i = 0; i < 8; ++i) modules.push_back(fetch("r/a:1"));
  ASSERT_TRUE(asked(1));
  const Bytes bytes = bytes_of_image();
  ASSERT_TRUE(eventually([&] { return source().waiting() == 8; }));
  deliver("r/a:1", bytes);
  for (auto& module : modules) {
    const auto result = module.get();
    ASSERT_TRUE(result) << result.error().text();
    EXPECT_TRUE(result->bytes.equals(bytes));
  }
  EXPECT_EQ(proxy_.count(), 1U);
  EXPECT_EQ(source().held_bytes(), 0U);
}

TEST_F(ChunkSourceTest, AsksAgainForWhatIsMissing) {
  options_.pause_after_the_last = milliseconds(20);
  const Bytes bytes = bytes_of_image();
  proxy_.answer = [&](int number) {
    deliver("r/a:1", bytes, number == 1 ? std::set<std::uint32_t>{4} : std::set<std::uint32_t>{});
  };
  auto module = fetch("r/a:1");
  const auto result = module.get();
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_TRUE(result->bytes.equals(bytes));
  EXPECT_GE(proxy_.count(), 2U);
}

TEST_F(ChunkSourceTest, AsksAgainWhenNothingComesAtAll) {
  options_.first_pause = milliseconds(20);
  const Bytes bytes = bytes_of_image();
  proxy_.answer = [&](int number) {
    if (number == 3) deliver("r/a:1", bytes);
  };
  auto module = fetch("r/a:1");
  ASSERT_TRUE(module.get());
  EXPECT_GE(proxy_.count(), 3U);
}

TEST_F(ChunkSourceTest, ReversedDeliveriesArriveAfterAll) {
  options_.pause_after_the_last = milliseconds(20);
  const Bytes bytes = bytes_of_image(300);
  proxy_.answer = [&](int) {
    for (const std::uint32_t i : {2, 1, 0}) send("r/a:1", i, 3, ByteView(bytes).subspan(i * 100, 100));
  };
  auto module = fetch("r/a:1");
  const auto result = module.get();
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_TRUE(result->bytes.equals(bytes));
}

TEST_F(ChunkSourceTest, AnImageThatChangesOnItsWayArrivesInItsNewVersion) {
  options_.pause_after_the_last = milliseconds(20);
  const Bytes old_bytes = bytes_of_image();
  Bytes new_bytes = old_bytes;
  new_bytes[510] ^= 1;
  proxy_.answer = [&](int number) {
    if (number == 1) {
      deliver("r/a:1", old_bytes, {2, 3});
    } else {
      deliver("r/a:1", new_bytes);
    }
  };
  auto module = fetch("r/a:1");
  const auto result = module.get();
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_TRUE(result->bytes.equals(new_bytes));
}

TEST_F(ChunkSourceTest, EndlessContradictionsEndWithAClearError) {
  auto module = fetch("r/a:1");
  ASSERT_TRUE(asked(1));
  for (int i = 0; i < 100; ++i) send("r/a:1", 0, 2, Bytes(10, static_cast<std::uint8_t>(i)));
  const auto result = module.get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::proxy_failed);
  EXPECT_NE(result.error().text().find("contradict"), std::string::npos);
}

TEST_F(ChunkSourceTest, UnusableChunksAreIgnoredAndNamedWhenTimeRunsOut) {
  options_.patience = milliseconds(300);
  auto module = fetch("r/a:1");
  ASSERT_TRUE(asked(1));
  for (const auto* rest :
       {R"("chunk_idx":5,"total_chunks":5,"data":"AA=="})", R"("chunk_idx":0,"total_chunks":5,"data":"A"})",
        R"("chunk_idx":0,"total_chunks":4000000000,"data":"AA=="})"}) {
    source().chunk(bytes_of(std::string(R"({"app_name":"r/a:1",)") + rest));
  }
  const auto result = module.get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::proxy_failed);
  EXPECT_NE(result.error().text().find("Timeout waiting for binary chunks"), std::string::npos);
  EXPECT_NE(result.error().text().find("total_chunks"), std::string::npos) << result.error().text();
  EXPECT_EQ(source().held_bytes(), 0U);
}

TEST_F(ChunkSourceTest, TimeRunsOutOnlyWithoutProgress) {
  options_.patience = milliseconds(1500);
  auto module = fetch("r/a:1");
  ASSERT_TRUE(asked(1));
  const Bytes bytes = bytes_of_image(800);
  for (std::uint32_t i = 0; i < 8; ++i) {
    std::this_thread::sleep_for(milliseconds(300));  // 2.4 s in all
    send("r/a:1", i, 8, ByteView(bytes).subspan(i * 100, 100));
  }
  EXPECT_TRUE(module.get());
}

TEST_F(ChunkSourceTest, ImagesThatNobodyAskedForTakeNoMemory) {
  auto module = fetch("r/a:1");
  ASSERT_TRUE(asked(1));
  const Bytes bytes = bytes_of_image();
  for (int i = 0; i < 1000; ++i) deliver("r/stranger:" + std::to_string(i), bytes, {3});
  EXPECT_EQ(source().downloads(), 1U);
  EXPECT_EQ(source().held_bytes(), 0U);
  deliver("r/a:1", bytes);
  EXPECT_TRUE(module.get());
}

TEST_F(ChunkSourceTest, ADeliveryThatNobodyWaitedForSatisfiesNoLaterTask) {
  deliver("r/a:1", bytes_of_image());
  options_.patience = milliseconds(200);
  source_.reset();
  deliver("r/a:1", bytes_of_image());
  const auto result = fetch("r/a:1").get();
  EXPECT_FALSE(result);
}

TEST_F(ChunkSourceTest, AnImageIsBounded) {
  options_.max_module_bytes = 950;
  auto module = fetch("r/a:1");
  ASSERT_TRUE(asked(1));
  deliver("r/a:1", bytes_of_image(1000));
  const auto result = module.get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::size_limit);
  EXPECT_EQ(source().held_bytes(), 0U);
}

TEST_F(ChunkSourceTest, AllImagesTogetherAreBoundedAndTheRestGoesOn) {
  options_.max_total_bytes = 2500;
  auto first = fetch("r/a:1");
  auto second = fetch("r/b:1");
  ASSERT_TRUE(asked(2));
  const Bytes bytes = bytes_of_image();
  deliver("r/a:1", bytes, {9});
  deliver("r/b:1", bytes, {9});
  const auto refused = second.get();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::size_limit);
  send("r/a:1", 9, 10, ByteView(bytes).subspan(900, 100));
  EXPECT_TRUE(first.get());
}

TEST_F(ChunkSourceTest, WhoeverIsStoppedLeavesAndTheOthersGoOn) {
  auto stopped = fetch("r/a:1");
  auto staying = fetch("r/a:1");
  ASSERT_TRUE(eventually([&] { return source().waiting() == 2; }));
  const Bytes bytes = bytes_of_image();
  deliver("r/a:1", bytes, {9});
  stops_[0].request_stop();
  const auto result = stopped.get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::cancelled);
  EXPECT_GT(source().held_bytes(), 0U);
  send("r/a:1", 9, 10, ByteView(bytes).subspan(900, 100));
  EXPECT_TRUE(staying.get());
}

TEST_F(ChunkSourceTest, TheLastToLeaveTakesEverythingWithHim) {
  auto module = fetch("r/a:1");
  ASSERT_TRUE(asked(1));
  deliver("r/a:1", bytes_of_image(), {9});
  EXPECT_GT(source().held_bytes(), 0U);
  stops_[0].request_stop();
  EXPECT_FALSE(module.get());
  EXPECT_EQ(source().held_bytes(), 0U);
  EXPECT_EQ(source().downloads(), 0U);
}

TEST_F(ChunkSourceTest, ANewConnectionBeginsAnewAndAsksAtOnce) {
  proxy_.offline = true;
  auto module = fetch("r/a:1");
  ASSERT_TRUE(asked(1));
  const Bytes bytes = bytes_of_image();
  deliver("r/a:1", bytes, {0});
  proxy_.offline = false;
  source().connected();
  EXPECT_EQ(source().held_bytes(), 0U);
  ASSERT_TRUE(asked(2));
  send("r/a:1", 0, 10, ByteView(bytes).subspan(0, 100));  // would have been the last one of the old connection
  EXPECT_EQ(source().downloads(), 1U);
  deliver("r/a:1", bytes);
  EXPECT_TRUE(module.get());
}

TEST_F(ChunkSourceTest, VerifiesADigestAndExplainsWhyAManifestsDigestCannotDo) {
  const Bytes bytes = bytes_of_image();
  proxy_.answer = [&](int) { deliver("r/a:1", bytes); };
  EXPECT_TRUE(fetch("r/a:1", oci::Digest::of(bytes)).get());
  EXPECT_TRUE(fetch("r/a:1", oci::Digest::of(bytes, oci::Digest::Algorithm::sha512)).get());
  const auto result = fetch("r/a:1", oci::Digest::of(bytes_of("a manifest"))).get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::digest_mismatch);
  EXPECT_NE(result.error().text().find("a proxy delivers a layer"), std::string::npos);
}

}  // namespace
}  // namespace proplet::module
