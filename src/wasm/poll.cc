#include "wasm/poll.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <vector>

namespace proplet::wasm {
namespace {

using std::chrono::nanoseconds;

// Sizes and offsets of the records in guest memory.
constexpr std::uint32_t kSubscriptionSize = 48;
constexpr std::uint32_t kEventSize = 32;
constexpr std::uint32_t kMaxSubscriptions = 4096;
constexpr std::uint8_t kTagClock = 0;
constexpr std::uint8_t kTagWrite = 2;
constexpr std::uint16_t kAbsoluteTime = 1;
constexpr nanoseconds kForever = std::chrono::hours(24 * 365);

struct Subscription {
  std::uint64_t user_data;
  std::uint8_t tag;
  std::uint32_t clock;
  std::uint64_t timeout;
  std::uint16_t flags;
};

Subscription read_subscription(const GuestMemory& memory, std::uint32_t at) {
  return {
      .user_data = memory.read(at, 8),
      .tag = static_cast<std::uint8_t>(memory.read(at + 8, 1)),
      .clock = static_cast<std::uint32_t>(memory.read(at + 16, 4)),
      .timeout = memory.read(at + 24, 8),
      .flags = static_cast<std::uint16_t>(memory.read(at + 40, 2)),
  };
}

void write_event(GuestMemory& memory, std::uint32_t at, const Subscription& subscription, Errno error) {
  memory.write(at, subscription.user_data, 8);
  memory.write(at + 8, static_cast<std::uint16_t>(error), 2);
  memory.write(at + 10, subscription.tag, 1);
  memory.write(at + 16, 0, 8);
  memory.write(at + 24, 0, 2);
}

// How long from now on; nothing for clocks one cannot wait for.
std::optional<nanoseconds> waiting_time(const Subscription& subscription, const RunState& state) {
  if (subscription.clock > 1) return std::nullopt;
  std::uint64_t timeout = subscription.timeout;
  if ((subscription.flags & kAbsoluteTime) != 0) {
    const std::uint64_t now = *clock_now(subscription.clock, state);
    timeout = timeout > now ? timeout - now : 0;
  }
  return nanoseconds(std::min<std::uint64_t>(timeout, static_cast<std::uint64_t>(kForever.count())));
}

void wait_until(SteadyTime end, RunState& state) {
  const SteadyTime limit = state.deadline ? std::min(end, *state.deadline) : end;
  std::mutex mutex;
  std::condition_variable_any wake;  // a stop request wakes it
  std::unique_lock lock(mutex);
  state.publish_memory();
  {
    const Ticker::Pause pause(state.ticker);
    wake.wait_until(lock, state.stop, limit, [] { return false; });
  }
  state.must_end();
}

struct Plan {
  std::vector<Subscription> subscriptions;
  std::vector<std::optional<nanoseconds>> times;  // for clocks one can wait for
  nanoseconds wait{0};
};

// Everything is read before waiting: the guest may have its events written over its subscriptions.
Plan plan_waiting(const GuestMemory& memory, const PollCall& call, const RunState& state) {
  Plan plan{.subscriptions = {}, .times = {}, .wait = kForever};
  for (std::uint32_t i = 0; i < call.count; ++i) {
    const Subscription subscription = read_subscription(memory, call.subscriptions + i * kSubscriptionSize);
    const auto time = subscription.tag == kTagClock ? waiting_time(subscription, state) : std::nullopt;
    // Files are always ready, and so is stdin, which is at its end; errors are reported at once.
    plan.wait = std::min(plan.wait, time.value_or(nanoseconds(0)));
    plan.subscriptions.push_back(subscription);
    plan.times.push_back(time);
  }
  return plan;
}

Errno error_of(const Subscription& subscription, const std::optional<nanoseconds>& time) {
  if (subscription.tag == kTagClock) return time ? Errno::success : Errno::notsup;
  return subscription.tag <= kTagWrite ? Errno::success : Errno::inval;
}

std::uint32_t write_events(GuestMemory& memory, const PollCall& call, const Plan& plan) {
  std::uint32_t written = 0;
  for (std::size_t i = 0; i < plan.subscriptions.size(); ++i) {
    if (plan.times[i].value_or(nanoseconds(0)) > plan.wait) continue;
    write_event(memory, call.events + written++ * kEventSize, plan.subscriptions[i],
                error_of(plan.subscriptions[i], plan.times[i]));
  }
  return written;
}

std::uint64_t real_time() {
  return static_cast<std::uint64_t>(nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count());
}

}  // namespace

std::uint64_t GuestMemory::read(std::uint32_t address, std::size_t width) const {
  std::uint64_t value = 0;
  for (std::size_t i = width; i > 0; --i) value = value << 8 | bytes_[address + i - 1];
  return value;
}

void GuestMemory::write(std::uint32_t address, std::uint64_t value, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i) bytes_[address + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

bool GuestMemory::write_u64(std::uint32_t address, std::uint64_t value) {
  if (!contains(address, 8)) return false;
  write(address, value, 8);
  return true;
}

Errno poll_guest(GuestMemory& memory, const PollCall& call, RunState& state) {
  if (call.count == 0 || call.count > kMaxSubscriptions) return Errno::inval;
  if (!memory.contains(call.subscriptions, std::uint64_t{call.count} * kSubscriptionSize) ||
      !memory.contains(call.events, std::uint64_t{call.count} * kEventSize) || !memory.contains(call.event_count, 4)) {
    return Errno::fault;
  }
  const Plan plan = plan_waiting(memory, call, state);
  if (plan.wait.count() > 0) wait_until(std::chrono::steady_clock::now() + plan.wait, state);
  if (state.must_end()) return Errno::success;
  memory.write(call.event_count, write_events(memory, call, plan), 4);
  return Errno::success;
}

std::optional<std::uint64_t> clock_now(std::uint32_t clock, const RunState& state) {
  switch (clock) {
    case 0:
      return real_time();
    case 1:
      return static_cast<std::uint64_t>(nanoseconds(std::chrono::steady_clock::now() - state.start).count());
    case 2:
    case 3:
      return static_cast<std::uint64_t>((thread_cpu_time() - state.cpu_start).count());
    default:
      return std::nullopt;
  }
}

}  // namespace proplet::wasm
