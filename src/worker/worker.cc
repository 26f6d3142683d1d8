#include "worker/worker.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <exception>
#include <stop_token>
#include <system_error>
#include <utility>

#include "worker/cli_arguments.h"
#include "worker/stage_recorder.h"

namespace proplet::worker {

using std::chrono::steady_clock;

// Lives in the table from its start until it has been answered and no thread works on it any more.
struct Worker::Task {
  propeller::StartCommand command;
  steady_clock::time_point received;
  std::stop_source stop;
  StageRecorder stages;
  std::size_t queued_bytes = 0;
  bool refused = false;
  bool traced = false;
  // Guarded by the worker's mutex.
  bool answer_claimed = false;  // somebody answers or has answered
  bool answering = false;       // the sink is being given the answer, or has it
  bool answered = false;        // the sink has the answer
  bool done = false;            // no thread works on it, or ever will
};

namespace {

double milliseconds(std::chrono::nanoseconds time) { return std::chrono::duration<double, std::milli>(time).count(); }

std::string text_of_stages(const StageRecorder& stages) {
  std::string text;
  for (const auto& [stage, duration] : stages.durations()) {
    text += fmt::format("{}{}={:.3f}", text.empty() ? "" : " ", stage_name(stage), milliseconds(duration));
  }
  return text;
}

Error stopped(const std::string& id) {
  return {Code::task_stopped, fmt::format("task {} was stopped before completion", id)};
}

module::ModuleRequest module_request(propeller::StartCommand& command) {
  module::ModuleRequest request;
  request.encrypted = command.encrypted;
  request.kbs_resource_path = command.kbs_resource_path;
  // An inline module wins; its text is handed over, since it can be large.
  request.file_base64 = std::exchange(command.file_base64, {});
  if (request.file_base64.empty()) request.image_url = command.image_url;
  return request;
}

std::size_t bytes_of_command(const propeller::StartCommand& command) {
  std::size_t bytes = command.file_base64.size() + command.name.size() + command.image_url.size();
  bytes += command.kbs_resource_path.size();
  for (const std::string& input : command.inputs) bytes += input.size();
  for (const std::string& argument : command.cli_args) bytes += argument.size();
  for (const auto& [name, value] : command.env) bytes += name.size() + value.size();
  return bytes;
}

// Some errors quote what the task says, which may be as long as a message. One that fits into none would be no answer.
std::string text_that_fits(const Error& error, std::size_t max_message_bytes) {
  const std::size_t limit = std::min(std::size_t{32} << 10, max_message_bytes / 8);  // escapes make a byte up to six
  std::string text = error.text();
  if (text.size() <= limit) return text;
  std::size_t end = limit;
  while ((static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U && end > 0) --end;  // between characters
  return text.substr(0, end) + "...";
}

// Errors of compilation and run quote the guest: names in the module, the end of stderr. Those of an encrypted task are
// for whoever gets its result, not for whoever collects the host's logs.
std::string loggable(const propeller::StartCommand& command, const Error& error) {
  const bool quotes_guest = error.stage() == Stage::compile || error.stage() == Stage::run;
  if (command.encrypted && quotes_guest) return std::string(error.code_name());
  return error.text();
}

}  // namespace

Worker::Worker(WorkerOptions options, ResultSink& sink, module::ModuleSource& modules, runtime::Runtime& runtime,
               const Clock& clock, Log& log, telemetry::TaskObserver* observer)
    : options_(std::move(options)),
      sink_(sink),
      modules_(modules),
      runtime_(runtime),
      clock_(clock),
      log_(log),
      observer_(observer) {}

Worker::~Worker() { shut_down(std::chrono::milliseconds(0)); }

std::size_t Worker::task_count() const {
  const std::lock_guard lock(mutex_);
  return tasks_.size();
}

Worker::Counts Worker::counts() const {
  const std::lock_guard lock(mutex_);
  return {.running = running_, .queued = queue_.size()};
}

void Worker::start(ByteView payload) {
  const auto task = std::make_shared<Task>();
  task->received = clock_.steady_now();
  StageTimer decode_timer(Stage::decode, &task->stages);
  auto command = propeller::parse_start(payload, options_.max_message_bytes);
  decode_timer.stop();
  if (!command) return answer_malformed(command.error(), task);
  if (!command->target.includes(options_.proplet_id)) return;

  task->command = std::move(*command);
  if (!enter(task)) return;
  log_.info("task received", {{"task_id", task->command.id},
                              {"name", task->command.name},
                              {"encrypted", task->command.encrypted},
                              {"daemon", task->command.daemon}});
  Status admitted = supports(task->command);
  if (admitted) admitted = enqueue(task);
  if (!admitted) refuse(task, std::move(admitted).error());
}

void Worker::stop(ByteView payload) {
  const auto command = propeller::parse_stop(payload);
  if (!command) {
    log_.warn("stop ignored: malformed", {{"error", command.error().error.text()}});
    return;
  }
  if (!command->target.includes(options_.proplet_id)) return;

  TaskPointer task;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = tasks_.find(command->id); found != tasks_.end()) task = found->second;
  }
  if (!task) {
    log_.info("stop ignored: no such task", {{"task_id", command->id}});
    return;
  }
  log_.info("task stopping", {{"task_id", command->id}});
  cancel(task);
}

void Worker::invoke(ByteView payload) {
  const auto command = propeller::parse_invoke(payload, options_.max_message_bytes);
  const std::string& id = command ? command->id : command.error().id;
  const std::optional<propeller::Target> target = command ? command->target : command.error().target;
  if (id.empty() || !target) {
    log_.warn("invoke ignored: malformed", {{"error", command.error().error.text()}});
    return;
  }
  if (!target->includes(options_.proplet_id)) return;

  // Managers look for these words, and deploy the task anew when they find them.
  const Error error = command
                          ? Error(Code::unsupported,
                                  fmt::format("task {} has not been precompiled; deploy it as a latent task first", id))
                          : command.error().error;
  sink_.invoke_result({.task_id = id,
                       .invocation_id = command ? command->invocation_id : command.error().invocation_id,
                       .proplet_id = options_.proplet_id,
                       .results = {},
                       .error = error.text()});
}

void Worker::answer_malformed(const propeller::MalformedCommand& malformed, const TaskPointer& task) {
  const bool for_us = malformed.target && malformed.target->includes(options_.proplet_id);
  if (malformed.target && !for_us) return;
  log_.warn("start malformed", {{"task_id", malformed.id}, {"error", malformed.error.text()}});
  if (!for_us || malformed.id.empty()) return;

  task->command.id = malformed.id;
  if (enter(task)) refuse(task, malformed.error);
}

// A second start of a task is a duplicate, and none of ours to answer, while the first one's answer is on its way.
bool Worker::enter(const TaskPointer& task) {
  const std::string& id = task->command.id;
  {
    std::unique_lock lock(mutex_);
    // Whoever sends this may have the answer already that is just being given to the sink.
    if (const auto found = tasks_.find(id); found != tasks_.end() && found->second->answering) {
      changed_.wait(lock, [earlier = found->second] { return earlier->answered; });
    }
    const auto [place, entered] = tasks_.try_emplace(id, task);
    if (!entered) {
      log_.warn("start ignored: the task is already here", {{"task_id", id}});
      if (place->second->answered) confirm_daemon(*place->second, task->received);
      return false;
    }
    // Asked under the lock: what left the table has reached the sink.
    if (!task->command.answered_before && sink_.holds_answer(id)) {
      log_.warn("start ignored: the answer is on its way", {{"task_id", id}});
      tasks_.erase(place);
      return false;
    }
  }
  sink_.promise(id);
  task->traced = observer_ != nullptr && observer_->task_started();
  if (task->traced) task->stages.keep_spans();
  return true;
}

// The mutex is held.
void Worker::confirm_daemon(const Task& daemon, steady_clock::time_point received) {
  answers_.at(received + options_.result_floor,
              [this, message = result_message(daemon, runtime::Outcome())] { sink_.result(message); });
}

Status Worker::supports(const propeller::StartCommand& command) const {
  if (command.encrypted && options_.encrypted_refused) return fail(*options_.encrypted_refused);
  if (options_.rounds == nullptr && (command.env.contains("ROUND_ID") || command.env.contains("MODEL_URI"))) {
    return fail(Code::unsupported, "this worker takes no part in federated rounds");
  }
  if (command.latent) return fail(Code::unsupported, "latent tasks are not supported by this runtime");
  return {};
}

Status Worker::enqueue(const TaskPointer& task) {
  task->queued_bytes = bytes_of_command(task->command);
  const std::lock_guard lock(mutex_);
  if (!accepting_) return fail(Code::worker_stopping, "the worker is shutting down");
  if (running_ + queue_.size() >= options_.max_tasks + options_.max_queue) {
    return fail(Code::task_limit_reached, "{} tasks run and {} wait", running_, queue_.size());
  }
  if (queued_bytes_ + task->queued_bytes > options_.max_queue_bytes) {
    return fail(Code::task_limit_reached, "the tasks that wait hold {} bytes", queued_bytes_);
  }
  queue_.push_back(task);
  if (!ensure_thread()) {
    queue_.pop_back();
    return fail(Code::task_limit_reached, "the system gives no more threads");
  }
  queued_bytes_ += task->queued_bytes;
  work_ready_.notify_one();
  return {};
}

// Makes a thread if all are busy and more are allowed; false if there is none at all. The mutex is held.
bool Worker::ensure_thread() {
  if (queue_.size() <= idle_ || threads_.size() >= options_.max_tasks) return true;
  try {
    threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
  } catch (const std::system_error& error) {
    log_.error("no new thread", {{"error", error.what()}});
    return !threads_.empty();
  }
  return true;
}

void Worker::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    const bool woken = work_ready_.wait(lock, stop, [this] { return !queue_.empty(); });
    --idle_;
    if (!woken) return;
    const TaskPointer task = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= task->queued_bytes;
    ++running_;
    lock.unlock();
    run(task);
    lock.lock();
    --running_;
  }
}

void Worker::run(const TaskPointer& task) {
  task->stages.stage_finished(Stage::admit, clock_.steady_now() - task->received);
  std::vector<PrivateFolder> folders;  // emptied when the task has been answered
  auto outcome = [&]() -> Result<runtime::Outcome> {
    try {
      return execute(task, folders);
    } catch (const std::exception& error) {
      // Whatever happens, somebody waits for an answer.
      return fail(Code::internal, "{}", error.what());
    }
  }();
  // Each layer has its own way to say that it was interrupted.
  if (!outcome && task->stop.stop_requested()) outcome = fail(stopped(task->command.id));
  finish(task, outcome);
}

Result<runtime::Outcome> Worker::execute(const TaskPointer& task, std::vector<PrivateFolder>& folders) {
  const std::stop_token stop = task->stop.get_token();
  if (stop.stop_requested()) return fail(stopped(task->command.id));
  TRY_ASSIGN(auto request, run_request(task->command, folders));
  if (options_.rounds != nullptr) TRY(options_.rounds->check(task->command));
  TRY_ASSIGN(auto module, modules_.fetch(module_request(task->command), &task->stages, stop));
  if (options_.rounds != nullptr) TRY(options_.rounds->prepare(task->command, request.environment, stop));
  if (stop.stop_requested()) return fail(stopped(task->command.id));
  runtime::Runtime& runtime = runs_outside(task->command) ? *options_.external_runtime : runtime_;
  TRY(runtime.accepts(module, request));
  if (observer_ != nullptr && module.source != "inline") observer_->module_fetched(module.bytes.size());
  if (task->command.daemon) answer(task, runtime::Outcome());
  auto outcome = run_observed(*task, runtime, std::move(module), std::move(request), stop);
  if (outcome && options_.rounds != nullptr) options_.rounds->hand_in(task->command, outcome->result, stop);
  return outcome;
}

Result<runtime::Outcome> Worker::run_observed(Task& task, runtime::Runtime& runtime, module::Module module,
                                              runtime::RunRequest request, const std::stop_token& stop) {
  if (observer_ == nullptr || !observer_->watches(task.command.monitoring)) {
    return runtime.run(std::move(module), request, &task.stages, stop);
  }
  struct Watch {
    Watch(telemetry::TaskObserver& to_tell, const propeller::StartCommand& command) : observer(to_tell) {
      observer.run_started(command.id, command.monitoring, gauge);
    }
    ~Watch() { observer.run_ended(gauge); }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    telemetry::TaskObserver& observer;
    RunGauge gauge;
  } watch(*observer_, task.command);
  request.gauge = &watch.gauge;
  return runtime.run(std::move(module), request, &task.stages, stop);
}

bool Worker::runs_outside(const propeller::StartCommand& command) const {
  return !command.encrypted && options_.external_runtime != nullptr;
}

// An external runtime reads `cli_args` itself; its guests get the directories that are named there.
runtime::RunRequest Worker::external_request(const propeller::StartCommand& command) const {
  runtime::RunRequest request;
  request.task_id = command.id;
  request.function = command.name;
  request.arguments = command.inputs;
  request.cli_args = command.cli_args;
  request.environment = command.env;
  request.environment.try_emplace("PROPLET_ID", options_.proplet_id);
  request.limits = options_.limits;
  return request;
}

Result<runtime::RunRequest> Worker::run_request(const propeller::StartCommand& command,
                                                std::vector<PrivateFolder>& folders) const {
  if (runs_outside(command)) return external_request(command);
  TRY_ASSIGN(auto arguments, parse_cli_arguments(command.cli_args));
  runtime::RunRequest request;
  request.task_id = command.id;
  request.function = arguments.invoke.value_or(command.name);
  request.function_required = arguments.invoke.has_value();
  request.arguments = command.inputs;
  // As on the command line of the external runtime, where the task's own variables come last.
  request.environment = command.env;
  request.environment.merge(arguments.environment);
  request.environment.try_emplace("PROPLET_ID", options_.proplet_id);

  TRY_ASSIGN(auto directories, task_directories(options_.dirs, arguments.directories));
  request.directories = std::move(directories.mounts);
  folders = std::move(directories.folders);
  for (const std::string& path : directories.refused) arguments.unknown.push_back("--dir " + path);
  if (!arguments.unknown.empty()) {
    log_.warn("cli_args without effect",
              {{"task_id", command.id}, {"arguments", fmt::format("{}", fmt::join(arguments.unknown, " | "))}});
  }

  // A task may ask for less than the worker allows, not for more.
  request.limits = options_.limits;
  if (arguments.memory_bytes) {
    request.limits.memory_bytes = std::min(request.limits.memory_bytes, *arguments.memory_bytes);
  }
  if (arguments.timeout) {
    request.limits.time = std::min(request.limits.time.value_or(*arguments.timeout), *arguments.timeout);
  }
  request.limits.fuel = arguments.fuel;
  return request;
}

// Requests the end of a task; one that still waits in the queue ends here.
void Worker::cancel(const TaskPointer& task) {
  task->stop.request_stop();
  {
    const std::lock_guard lock(mutex_);
    const auto place = std::ranges::find(queue_, task);
    if (place == queue_.end()) return;
    queue_.erase(place);
    queued_bytes_ -= task->queued_bytes;
  }
  finish(task, fail(stopped(task->command.id)));
}

void Worker::refuse(const TaskPointer& task, Error error) {
  task->refused = true;
  finish(task, fail(std::move(error)));
}

// The last thing the owner of a task does with it.
void Worker::finish(const TaskPointer& task, const Result<runtime::Outcome>& outcome) {
  log_finish(*task, outcome);
  if (observer_ != nullptr) report_finish(*task, outcome);
  {
    // Before it is answered: its Manager may start it again at once.
    const std::lock_guard lock(mutex_);
    task->done = true;
  }
  answer(task, outcome);
  const std::lock_guard lock(mutex_);
  forget_if_over(task);
}

// Gives the answer to the sink, or to the queue until the floor is reached. Only the first call has an effect.
void Worker::answer(const TaskPointer& task, const Result<runtime::Outcome>& outcome) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(task->answer_claimed, true)) return;
  }
  const auto publish = [this, task, message = result_message(*task, outcome)] {
    {
      const std::lock_guard lock(mutex_);
      task->answering = true;
    }
    sink_.result(message);
    const std::lock_guard lock(mutex_);
    task->answered = true;
    forget_if_over(task);
  };
  const auto wait = task->received + options_.result_floor - clock_.steady_now();
  if (wait <= steady_clock::duration::zero()) return publish();
  answers_.at(steady_clock::now() + wait, publish);
}

// The mutex is held.
void Worker::forget_if_over(const TaskPointer& task) {
  const auto found = tasks_.find(task->command.id);
  // The id may be another task's by now.
  if (task->done && task->answered && found != tasks_.end() && found->second == task) tasks_.erase(found);
  changed_.notify_all();
}

propeller::ResultMessage Worker::result_message(const Task& task, const Result<runtime::Outcome>& outcome) const {
  propeller::ResultMessage message;
  message.task_id = task.command.id;
  message.proplet_id = options_.proplet_id;
  message.confidential = task.command.encrypted;
  message.federated = federated_result(task.command);
  if (!outcome) {
    message.error = text_that_fits(outcome.error(), options_.max_message_bytes);
  } else {
    message.results = outcome->result;
  }
  if (outcome && !fits(message)) {
    message.results.clear();
    message.error = Error(Code::size_limit,
                          fmt::format("the result of {} bytes does not fit into a message", outcome->result.size()))
                        .text();
  }
  if (task.command.report_stages) {
    propeller::ResultMessage::Timing timing;
    for (const auto& [stage, duration] : task.stages.durations()) {
      timing.stages_ms.emplace_back(stage_name(stage), milliseconds(duration));
    }
    timing.worker_ms = milliseconds(clock_.steady_now() - task.received);
    message.timing = std::move(timing);
  }
  return message;
}

// Escapes make a byte up to six, and the other members need room as well.
bool Worker::fits(const propeller::ResultMessage& message) const {
  constexpr std::size_t kOtherMembers = std::size_t{16} << 10;
  constexpr std::size_t kLongestIds = std::size_t{128} << 10;  // escaped as well
  if (message.results.size() * 6 + kLongestIds <= options_.max_message_bytes) return true;
  return propeller::encode(message).size() + kOtherMembers <= options_.max_message_bytes;
}

void Worker::log_finish(const Task& task, const Result<runtime::Outcome>& outcome) {
  const std::string stages = text_of_stages(task.stages);
  const double ms = milliseconds(clock_.steady_now() - task.received);
  const std::string_view tee = options_.tee_kind.empty() ? std::string_view("none") : options_.tee_kind;
  if (outcome) {
    log_.info("task completed", {{"task_id", task.command.id},
                                 {"ms", ms},
                                 {"stages_ms", stages},
                                 {"tee", tee},
                                 {"peak_memory_bytes", outcome->peak_memory_bytes}});
  } else {
    log_.warn("task failed", {{"task_id", task.command.id},
                              {"ms", ms},
                              {"stages_ms", stages},
                              {"tee", tee},
                              {"error", loggable(task.command, outcome.error())}});
  }
}

void Worker::report_finish(const Task& task, const Result<runtime::Outcome>& outcome) {
  const auto stages = task.stages.durations();
  const auto spans = task.traced ? task.stages.spans() : std::vector<telemetry::StageSpan>();
  observer_->task_finished({.task_id = task.command.id,
                            .name = task.command.name,
                            .encrypted = task.command.encrypted,
                            .refused = task.refused,
                            .traced = task.traced,
                            .error = outcome ? nullptr : &outcome.error(),
                            .received = task.received,
                            .finished = clock_.steady_now(),
                            .stages = stages,
                            .spans = spans});
}

void Worker::shut_down(std::chrono::milliseconds drain) {
  std::vector<TaskPointer> left;
  {
    std::unique_lock lock(mutex_);
    accepting_ = false;
    // Daemons have been answered and would not end by themselves.
    changed_.wait_for(lock, drain, [this] {
      return std::ranges::all_of(
          tasks_, [](const auto& entry) { return entry.second->command.daemon && entry.second->answered; });
    });
    for (const auto& [id, task] : tasks_) left.push_back(task);
  }
  for (const TaskPointer& task : left) cancel(task);
  std::unique_lock lock(mutex_);
  // Not for the table to be empty: a flood of starts to be refused must not keep the worker from ending.
  changed_.wait(lock, [&] {
    return std::ranges::all_of(left, [](const TaskPointer& task) { return task->done && task->answered; });
  });
}

}  // namespace proplet::worker
