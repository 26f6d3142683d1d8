#include "telemetry/tracer.h"

#include <algorithm>
#include <utility>

#include "base/encoding.h"

namespace proplet::telemetry {
namespace {

constexpr std::chrono::milliseconds kLastTimeout{1000};

}  // namespace

Tracer::Tracer(TracerOptions options, net::HttpClient& http, const Clock& clock, Random& random, Log& log)
    : options_(std::move(options)),
      http_(http),
      clock_(clock),
      random_(random),
      log_(log),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

Tracer::~Tracer() {
  thread_.request_stop();
  thread_.join();
}

bool Tracer::choose() {
  if (options_.ratio >= 1) return true;
  if (options_.ratio <= 0) return false;
  constexpr double kBits = 9007199254740992.0;  // 2^53: what a double holds
  return static_cast<double>(random_.next() >> 11U) / kBits < options_.ratio;
}

void Tracer::finished(const TaskReport& report) {
  Trace trace = make_trace(report, clock_.now(), clock_.steady_now());
  trace.trace_id = hex_encode(random_.bytes<16>());
  // Far from the end of the range, so that the ids that follow do not wrap around to 0.
  trace.first_span_id = (random_.next() >> 1U) + 1;
  const std::lock_guard lock(mutex_);
  if (queue_.size() >= options_.max_queue) {
    ++dropped_;
    return;
  }
  queue_.push_back(std::move(trace));
  if (queue_.size() == 1 || queue_.size() == options_.max_batch) changed_.notify_one();
}

void Tracer::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (!changed_.wait(lock, stop, [this] { return !queue_.empty(); })) break;
    changed_.wait_for(lock, stop, options_.delay, [this] { return queue_.size() >= options_.max_batch; });
    auto batch = take_batch();
    lock.unlock();
    const bool settled = send(batch, options_.timeout, stop);
    lock.lock();
    if (!settled) queue_.insert(queue_.begin(), std::move_iterator(batch.begin()), std::move_iterator(batch.end()));
  }
  const auto deadline = std::chrono::steady_clock::now() + kLastTimeout;
  while (!queue_.empty()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const auto batch = take_batch();
    lock.unlock();
    send(batch, std::max(left, std::chrono::milliseconds(1)), {});
    lock.lock();
  }
}

// The mutex is held.
std::vector<Trace> Tracer::take_batch() {
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(std::min(queue_.size(), options_.max_batch));
  std::vector<Trace> batch(std::move_iterator(queue_.begin()), std::move_iterator(end));
  queue_.erase(queue_.begin(), end);
  return batch;
}

// False if the stop request came first: then it is not known what the collector has.
bool Tracer::send(const std::vector<Trace>& batch, std::chrono::milliseconds timeout, const std::stop_token& stop) {
  const std::string body = encode_traces(batch, options_.instance, options_.version);
  const auto response = http_.send({.method = "POST",
                                    .url = options_.url,
                                    .headers = {{"Content-Type", "application/json"}},
                                    .body = bytes_of(body),
                                    .max_response_bytes = std::size_t{64} << 10,
                                    .timeout = timeout},
                                   stop);
  if (!response && response.error().code() == Code::cancelled) return false;
  const bool delivered = response && response->status / 100 == 2;
  if (!delivered) {
    dropped_ += batch.size();
    // Once until it works again: a collector that is away must not fill the log.
    if (!failing_) {
      log_.warn("traces cannot be delivered",
                {{"url", options_.url.for_messages()},
                 {"reason", response ? "HTTP status " + std::to_string(response->status) : response.error().text()}});
    }
  }
  failing_ = !delivered;
  return true;
}

}  // namespace proplet::telemetry
