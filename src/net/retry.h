// Repeating requests that failed for a passing reason.
//
// Passing reasons are a broken network (NETWORK_FAILED), and the statuses 408, 429 and 5xx. The pause doubles from one
// attempt to the next, with a fifth of jitter so that a fleet does not return in step; a Retry-After header decides
// instead, within `longest_pause`. Only for requests that may be sent twice.
#pragma once

#include <chrono>
#include <functional>
#include <stop_token>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "net/http_client.h"

namespace proplet::net {

struct RetryPolicy {
  int attempts = 4;  // first one included
  std::chrono::milliseconds first_pause{250};
  std::chrono::milliseconds longest_pause{10000};
};

bool is_passing_status(long status);

// Retry-After in seconds or as a date (RFC 9110 section 10.2.3); nothing when it is neither.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view text, const Clock& clock);

// CANCELLED when `stop` comes first, and then without delay.
Status pause(std::chrono::milliseconds duration, const std::stop_token& stop);

// Calls `exchange` until it gives something that repeating would not change, or the attempts are used up; returns its
// last answer, whatever that is.
Result<HttpResponse> with_retries(const RetryPolicy& policy, const Clock& clock, Random& random,
                                  const std::stop_token& stop, const std::function<Result<HttpResponse>()>& exchange);

}  // namespace proplet::net
