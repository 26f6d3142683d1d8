#include "net/retry.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <string>

namespace proplet::net {
namespace {

using std::chrono::milliseconds;

bool is_passing(const Result<HttpResponse>& answer) {
  if (!answer) return answer.error().code() == Code::network_failed;
  return is_passing_status(answer->status);
}

milliseconds with_jitter(milliseconds duration, Random& random) {
  const auto spread = duration.count() / 5;
  if (spread <= 0) return duration;
  return duration - milliseconds(spread / 2) +
         milliseconds(static_cast<std::int64_t>(random.next() % static_cast<std::uint64_t>(spread)));
}

milliseconds next_pause(const RetryPolicy& policy, int attempt, const Result<HttpResponse>& answer, const Clock& clock,
                        Random& random) {
  if (answer) {
    const auto header = answer->header("retry-after");
    const auto wanted = header ? parse_retry_after(*header, clock) : std::nullopt;
    if (wanted) return std::min(*wanted, policy.longest_pause);
  }
  auto duration = policy.first_pause;
  for (int i = 1; i < attempt && duration < policy.longest_pause; ++i) duration *= 2;
  return with_jitter(std::min(duration, policy.longest_pause), random);
}

}  // namespace

bool is_passing_status(long status) { return status == 408 || status == 429 || (status >= 500 && status < 600); }

std::optional<milliseconds> parse_retry_after(std::string_view text, const Clock& clock) {
  constexpr std::int64_t kMaxSeconds = 86400;
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size()) {
    const auto date = curl_getdate(std::string(text).c_str(), nullptr);
    if (date < 0) return std::nullopt;
    seconds = static_cast<std::int64_t>(date) - unix_seconds(clock.now());
  }
  return milliseconds(std::clamp<std::int64_t>(seconds, 0, kMaxSeconds) * 1000);
}

Status pause(milliseconds duration, const std::stop_token& stop) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any woken;
  woken.wait_for(lock, stop, duration, [] { return false; });
  if (stop.stop_requested()) return fail(Code::cancelled, "stopped while waiting to repeat a request");
  return {};
}

Result<HttpResponse> with_retries(const RetryPolicy& policy, const Clock& clock, Random& random,
                                  const std::stop_token& stop, const std::function<Result<HttpResponse>()>& exchange) {
  for (int attempt = 1;; ++attempt) {
    auto answer = exchange();
    if (!is_passing(answer) || attempt >= policy.attempts) return answer;
    TRY(pause(next_pause(policy, attempt, answer, clock, random), stop));
  }
}

}  // namespace proplet::net
