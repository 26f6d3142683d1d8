// propctl task: what a Manager does for one task, by hand.
#include <algorithm>
#include <chrono>

#include "base/encoding.h"
#include "base/fd.h"
#include "cli/cli.h"
#include "cli/manager_session.h"
#include "cli/task_watch.h"
#include "cli/worker_report.h"
#include "propeller/messages.h"
#include "propeller/topics.h"

namespace proplet::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxInlineBytes = std::size_t{7} << 20;  // what fits a 10 MiB packet as base64

struct TaskOptions {
  BrokerFlags broker;
  propeller::StartCommand command;
  std::string file;
  std::string function;
  std::vector<std::string> environment;
  bool wait = false;
  double seconds = 60;
};

constexpr double kLongestWait = 1e8;       // seconds
constexpr std::size_t kMaxShown = 100000;  // bytes of a result shown; --json has all of it

std::chrono::nanoseconds duration_of(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(std::clamp(seconds, 0.0, kLongestWait)));
}

Status complete(Cli& cli, TaskOptions& options) {
  propeller::StartCommand& command = options.command;
  if (command.id.empty()) command.id = cli.random.uuid();
  if (!options.file.empty()) {
    TRY_ASSIGN(const Bytes module, read_file(options.file, kMaxInlineBytes));
    command.file_base64 = base64_encode(module);
  }
  if (command.file_base64.empty() == command.image_url.empty()) {
    return fail(Code::config_invalid, "give either --image or --file");
  }
  if (!options.function.empty()) {
    command.cli_args.insert(command.cli_args.begin(), {"--invoke", options.function});
  }
  if (command.name.empty()) command.name = options.function.empty() ? "_start" : options.function;
  for (const std::string& entry : options.environment) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos) return fail(Code::config_invalid, "--env {}: not of the form NAME=VALUE", entry);
    command.env[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  command.report_stages = options.wait;
  return {};
}

json::object to_json(const propeller::ResultMessage& result) {
  json::object object = {{"task_id", result.task_id}, {"proplet_id", result.proplet_id}, {"results", result.results}};
  object["error"] = result.error ? json::value(*result.error) : json::value(nullptr);
  return object;
}

// Stages as the worker measured them. `publish` is the rest of the round trip: both messages through the broker.
void print_result(const Cli& cli, const propeller::ResultMessage& result, double total_ms) {
  json::object object = to_json(result);
  object["total_ms"] = total_ms;
  std::string text = result.error ? "error   " + printable(*result.error, kMaxShown)
                                  : "result  " + printable_lines(result.results, kMaxShown);
  if (result.timing) {
    auto stages = result.timing->stages_ms;
    stages.emplace_back("publish", std::max(0.0, total_ms - result.timing->worker_ms));
    json::object stages_ms;
    text += "\nstages ";
    for (const auto& [name, milliseconds] : stages) {
      stages_ms[name] = milliseconds;
      text += fmt::format(" {} {:.1f}", printable(name), milliseconds);
    }
    text += fmt::format("  total {:.1f} ms", total_ms);
    object["stages_ms"] = std::move(stages_ms);
  }
  cli.print(text, object);
}

// The result of the task, printed; nothing if none came in time.
Result<std::optional<propeller::ResultMessage>> next_result(const Cli& cli, ManagerSession& manager,
                                                            const TaskOptions& options, Clock::time_point sent) {
  const auto deadline = Clock::now() + duration_of(options.seconds);
  while (auto message = manager.next(deadline)) {
    if (message->topic != propeller::kResultsTopic) continue;
    auto result = propeller::parse_result(message->payload);
    if (!result || result->task_id != options.command.id) continue;
    print_result(cli, *result, std::chrono::duration<double, std::milli>(message->arrived - sent).count());
    return *std::move(result);
  }
  if (cli.stop.stop_requested()) return fail(Code::cancelled, "stopped waiting for task {}", options.command.id);
  return std::nullopt;
}

Status wait_for_result(const Cli& cli, ManagerSession& manager, const TaskOptions& options, Clock::time_point sent) {
  TRY_ASSIGN(const auto result, next_result(cli, manager, options, sent));
  if (!result) {
    return fail(Code::task_timeout, "no result of task {} within {} s", options.command.id, options.seconds);
  }
  if (!result->error) return {};
  return fail(Code::task_failed, "task {} failed on worker {}", result->task_id, printable(result->proplet_id));
}

Status start(Cli& cli, TaskOptions options) {
  TRY(complete(cli, options));
  TRY_ASSIGN(const auto manager, ManagerSession::connect(cli, options.broker));
  const auto sent = Clock::now();
  TRY(manager->publish(propeller::kStartTopic, encode(options.command)));
  if (options.wait) return wait_for_result(cli, *manager, options, sent);
  cli.print("started task " + options.command.id, {{"task_id", options.command.id}});
  return {};
}

// However the task ends, once it has ended it is stopped.
Status stop(Cli& cli, const TaskOptions& options) {
  TRY_ASSIGN(const auto manager, ManagerSession::connect(cli, options.broker));
  const propeller::StopCommand command{.id = options.command.id, .target = options.command.target};
  const auto sent = Clock::now();
  TRY(manager->publish(propeller::kStopTopic, encode(command)));
  if (!options.wait) {
    cli.print("asked to stop task " + command.id, {{"task_id", command.id}});
    return {};
  }
  TRY_ASSIGN(const auto result, next_result(cli, *manager, options, sent));
  if (result) return {};
  return fail(Code::task_timeout, "nothing from task {} within {} s: no worker runs it, or it had been answered before",
              command.id, options.seconds);
}

std::shared_ptr<TaskOptions> new_options(CLI::App& command) {
  auto options = std::make_shared<TaskOptions>();  // shared: CLI11 keeps callbacks by copy
  options->broker.add_to(command);
  return options;
}

void add_start(Cli& cli, CLI::App& task) {
  CLI::App* command = task.add_subcommand("start", "Send a task to the workers");
  const auto options = new_options(*command);
  propeller::StartCommand& start_command = options->command;
  command->add_option("--image", start_command.image_url, "Image of the module");
  command->add_option("--file", options->file, "Module to send along in the message");
  command->add_flag("--encrypted", start_command.encrypted, "Demand an encrypted image and a TEE");
  command->add_option("--kbs-resource-path", start_command.kbs_resource_path, "Key the image must be encrypted with");
  command->add_option("--name", start_command.name, "Name of the task; default: --invoke");
  command->add_option("--invoke", options->function, "Exported function to call; default: _start");
  command->add_option("--input", start_command.inputs, "Argument; repeatable")->take_all();
  command->add_option("--cli-arg", start_command.cli_args, "One word of cli_args, as --cli-arg=-W; repeatable")
      ->take_all();
  command->add_option("--env", options->environment, "NAME=VALUE for the guest; repeatable")->take_all();
  command->add_option("--id", start_command.id, "Task id; default: a new UUID");
  command->add_option("--worker", start_command.target.proplet_id, "Id of the worker; default: every worker");
  command->add_flag("--daemon", start_command.daemon, "Report success at once and leave it running");
  command->add_flag("--wait", options->wait, "Wait for the result and show the time of each stage");
  command->add_option("--timeout", options->seconds, "Seconds to wait")->capture_default_str();
  command->callback([&cli, options] { cli.action = [&cli, options] { return start(cli, *options); }; });
}

void add_stop(Cli& cli, CLI::App& task) {
  CLI::App* command = task.add_subcommand("stop", "Stop a task");
  const auto options = new_options(*command);
  command->add_option("id", options->command.id, "Task id")->required();
  command->add_option("--worker", options->command.target.proplet_id, "Id of the worker; default: whoever runs it");
  command->add_flag("--wait", options->wait, "Wait until the task has ended and show how");
  options->seconds = 10;
  command->add_option("--timeout", options->seconds, "Seconds to wait")->capture_default_str();
  command->callback([&cli, options] { cli.action = [&cli, options] { return stop(cli, *options); }; });
}

}  // namespace

void add_task_commands(Cli& cli) {
  CLI::App* task = cli.app.add_subcommand("task", "Send and watch tasks without a Manager");
  task->require_subcommand(1);
  add_start(cli, *task);
  add_stop(cli, *task);
  add_watch_commands(cli, *task);
}

}  // namespace proplet::cli
