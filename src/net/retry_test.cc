#include "net/retry.h"

#include <gtest/gtest.h>

#include <thread>

namespace proplet::net {
namespace {

using std::chrono::milliseconds;

const RetryPolicy kQuick{.attempts = 3, .first_pause = milliseconds(1), .longest_pause = milliseconds(5)};

Url any_url() { return *Url::parse("http://localhost/"); }

class FixedClock final : public Clock {
 public:
  [[nodiscard]] std::chrono::system_clock::time_point now() const override {
    return std::chrono::system_clock::time_point(std::chrono::seconds(784111777));  // Sun, 06 Nov 1994 08:49:37 GMT
  }
  [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override { return {}; }
};

int attempts_for(const Result<HttpResponse>& answer) {
  SystemRandom random;
  int count = 0;
  const auto result = with_retries(kQuick, SystemClock(), random, {}, [&] {
    ++count;
    return answer;
  });
  EXPECT_EQ(result.has_value(), answer.has_value());
  return count;
}

TEST(Retries, RepeatOnlyWhatMayPass) {
  for (const long status : {408, 429, 500, 502, 503, 504}) {
    EXPECT_EQ(attempts_for(HttpResponse{.status = status, .url = any_url()}), 3) << status;
  }
  for (const long status : {200, 204, 301, 400, 401, 403, 404, 413}) {
    EXPECT_EQ(attempts_for(HttpResponse{.status = status, .url = any_url()}), 1) << status;
  }
  EXPECT_EQ(attempts_for(fail(Code::network_failed, "broken")), 3);
  EXPECT_EQ(attempts_for(fail(Code::size_limit, "large")), 1);
  EXPECT_EQ(attempts_for(fail(Code::cancelled, "stopped")), 1);
}

TEST(Retries, EndWithTheFirstSuccess) {
  SystemRandom random;
  int count = 0;
  const auto result = with_retries(kQuick, SystemClock(), random, {}, [&]() -> Result<HttpResponse> {
    if (++count == 1) return fail(Code::network_failed, "broken");
    return HttpResponse{.status = 200, .url = any_url()};
  });
  ASSERT_TRUE(result);
  EXPECT_EQ(count, 2);
}

TEST(Retries, AStopEndsThePause) {
  const RetryPolicy slow{.attempts = 2, .first_pause = std::chrono::hours(1), .longest_pause = std::chrono::hours(1)};
  SystemRandom random;
  std::stop_source stop;
  std::jthread stopper;
  const auto result = with_retries(slow, SystemClock(), random, stop.get_token(), [&]() -> Result<HttpResponse> {
    stopper = std::jthread([&] { stop.request_stop(); });
    return fail(Code::network_failed, "broken");
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::cancelled);
}

TEST(RetryAfter, IsSecondsOrADate) {
  const FixedClock clock;
  EXPECT_EQ(parse_retry_after("0", clock), milliseconds(0));
  EXPECT_EQ(parse_retry_after("120", clock), milliseconds(120000));
  EXPECT_EQ(parse_retry_after("-5", clock), milliseconds(0));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:47 GMT", clock), milliseconds(10000));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:00:00 GMT", clock), milliseconds(0));
  EXPECT_EQ(parse_retry_after("soon", clock), std::nullopt);
}

TEST(RetryAfter, IsHonouredWithinTheLongestPause) {
  const RetryPolicy policy{.attempts = 2, .first_pause = std::chrono::hours(1), .longest_pause = std::chrono::hours(1)};
  SystemRandom random;
  int count = 0;
  const auto result = with_retries(policy, SystemClock(), random, {}, [&]() -> Result<HttpResponse> {
    ++count;
    return HttpResponse{.status = 429, .headers = {{"retry-after", "0"}}, .url = any_url()};
  });
  ASSERT_TRUE(result);
  EXPECT_EQ(count, 2);  // and not an hour later
}

}  // namespace
}  // namespace proplet::net
