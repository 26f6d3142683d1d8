// Keeps a number of plain tasks under way at a worker and says how many it answers in a second. A client in Python
// would be the slowest part of what it measures.
//
//   rate_client PORT BASE_TOPIC WORKER MODULE TASKS WINDOW
//
// Every answer brings the next start, until TASKS have been answered. Prints the seconds that took.
#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <string>

#include "base/encoding.h"
#include "base/fd.h"
#include "propeller/messages.h"
#include "propeller/session.h"
#include "propeller/topics.h"

namespace {

using namespace proplet;
using std::chrono::steady_clock;

constexpr std::size_t kMaxModuleBytes = std::size_t{4} << 20;
constexpr std::chrono::minutes kPatience{5};

[[noreturn]] void give_up(const std::string& why) {
  fmt::print(stderr, "rate_client: {}\n", why);
  std::exit(1);
}

class Load final : public propeller::SessionHandler {
 public:
  Load(std::string base, std::string worker, std::string module, std::size_t tasks, std::size_t window)
      : base_(std::move(base)), tasks_(tasks), window_(window) {
    command_.name = "add";
    command_.file_base64 = std::move(module);
    command_.inputs = {"2", "3"};
    command_.target.proplet_id = std::move(worker);
  }

  void connected() override {
    begin_ = steady_clock::now();
    for (std::size_t i = 0; i < window_; ++i) start();
  }
  void disconnected() override {}
  void acknowledged(std::uint64_t /*ticket*/) override {}
  void message(std::string_view /*topic*/, ByteView /*payload*/) override {
    start();
    if (++answered_ < tasks_) return;
    const std::lock_guard lock(mutex_);
    seconds_ = steady_clock::now() - begin_;
    ended_.notify_all();
  }

  // Seconds from the first start to the last answer.
  double wait_for_end() {
    std::unique_lock lock(mutex_);
    if (!ended_.wait_for(lock, kPatience, [&] { return seconds_.has_value(); })) give_up("not every task was answered");
    return seconds_->count();
  }

  propeller::MqttSession* session = nullptr;

 private:
  void start() {
    if (started_ == tasks_) return;
    command_.id = fmt::format("rate-{}-{}", run_, started_++);
    const auto sent = session->publish(base_ + "/" + std::string(propeller::kStartTopic), encode(command_));
    if (!sent) give_up(sent.error().text());
  }

  std::string base_;
  std::size_t tasks_;
  std::size_t window_;
  propeller::StartCommand command_;
  std::int64_t run_ = steady_clock::now().time_since_epoch().count();
  std::size_t started_ = 0;
  std::size_t answered_ = 0;
  steady_clock::time_point begin_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::optional<std::chrono::duration<double>> seconds_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) give_up("usage: rate_client PORT BASE_TOPIC WORKER MODULE TASKS WINDOW");
  const std::string base = argv[2];
  const auto module = read_file(argv[4], kMaxModuleBytes);
  if (!module) give_up(module.error().text());
  Load load(base, argv[3], base64_encode(*module), std::stoul(argv[5]), std::stoul(argv[6]));

  Log log(LogLevel::warn, LogFormat::text);
  SystemRandom random;
  propeller::SessionOptions options;
  options.address.host = "127.0.0.1";
  options.address.port = static_cast<std::uint16_t>(std::stoul(argv[1]));
  options.client_id = "rate-client";
  options.in_flight = 1000;
  options.subscriptions = {base + "/" + std::string(propeller::kResultsTopic)};
  const auto session = propeller::MqttSession::make(std::move(options), load, log, random);
  if (!session) give_up(session.error().text());
  load.session = session->get();
  (*session)->start();
  fmt::print("{:.6f}\n", load.wait_for_end());
  (*session)->stop();
  return 0;
}
