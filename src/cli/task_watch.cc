#include "cli/task_watch.h"

#include <algorithm>

#include "cli/manager_session.h"
#include "cli/worker_report.h"
#include "propeller/topics.h"

namespace proplet::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kLookForSilence{1};
constexpr double kLongestWait = 1e8;  // seconds

struct WatchOptions {
  BrokerFlags broker;
  double seconds = 10;
};

std::string time_of_day(const Cli& cli) { return rfc3339(cli.clock.now()).substr(11, 8); }

void print_line(const Cli& cli, const ReportLine& line) {
  cli.print(
      fmt::format("{} {:<13} {}  {}", time_of_day(cli), line.kind, line.worker.empty() ? "-" : line.worker, line.text),
      {});
}

// With --json every message as it came, heartbeats included.
void print_message(const Cli& cli, const ManagerSession::Message& message) {
  json::object object = {{"time", rfc3339(cli.clock.now())}, {"topic", printable(message.topic)}};
  auto payload = json::parse(text_of(message.payload), {.bytes = std::size_t{10} << 20});
  object["message"] = payload ? std::move(*payload) : json::value(nullptr);
  cli.print("", object);
}

// Heartbeats are too many to show: a worker's first is, and when they stop.
void show(const Cli& cli, Roster& roster, const ManagerSession::Message& message) {
  const bool is_news = roster.hear(message.topic, message.payload, message.arrived);
  if (cli.json) return print_message(cli, message);
  ReportLine line = describe(message.topic, message.payload);
  if (is_news) print_line(cli, {"alive", line.worker, ""});
  if (message.topic != propeller::kAliveTopic) print_line(cli, line);
}

Status watch(Cli& cli, const WatchOptions& options) {
  TRY_ASSIGN(const auto manager, ManagerSession::connect(cli, options.broker));
  Roster roster;
  while (!cli.stop.stop_requested()) {
    if (const auto message = manager->next(Clock::now() + kLookForSilence)) show(cli, roster, *message);
    for (const std::string& worker : roster.fallen_silent(Clock::now())) {
      if (!cli.json) print_line(cli, {"silent", worker, "nothing for 10 s: a Manager takes it for dead"});
    }
  }
  return {};
}

Status list_workers(Cli& cli, const WatchOptions& options) {
  TRY_ASSIGN(const auto manager, ManagerSession::connect(cli, options.broker));
  Roster roster;
  const std::chrono::duration<double> time(std::clamp(options.seconds, 0.0, kLongestWait));
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(time);
  while (const auto message = manager->next(deadline)) roster.hear(message->topic, message->payload, message->arrived);
  const auto now = Clock::now();
  const std::string text = roster.workers().empty() ? "no worker was heard" : roster.table(now);
  cli.print(text + "\nOnly a worker that connects while we listen tells its version, runtime, machine and tags.",
            {{"workers", roster.to_json(now)}});
  return {};
}

std::shared_ptr<WatchOptions> new_options(CLI::App& command) {
  auto options = std::make_shared<WatchOptions>();  // shared: CLI11 keeps callbacks by copy
  options->broker.add_to(command);
  return options;
}

}  // namespace

void add_watch_commands(Cli& cli, CLI::App& task) {
  CLI::App* watching = task.add_subcommand("watch", "Print what workers say, until interrupted");
  const auto watched = new_options(*watching);
  watching->callback([&cli, watched] { cli.action = [&cli, watched] { return watch(cli, *watched); }; });

  CLI::App* listing = task.add_subcommand("list-workers", "Listen for a while and list the workers that were heard");
  const auto listed = new_options(*listing);
  listing->add_option("--for", listed->seconds, "Seconds to listen")->capture_default_str();
  listing->callback([&cli, listed] { cli.action = [&cli, listed] { return list_workers(cli, *listed); }; });
}

}  // namespace proplet::cli
