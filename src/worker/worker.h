// Worker: the table of tasks and their life cycle.
//
// A task is queued, then owned by exactly one thread of a bounded pool that fetches its module and runs it, then
// finished. Commands are handled in the order they are called, one after another, so start and stop of a task keep
// their order; handling never waits for a task. Every start that is for this worker and is not a duplicate is answered
// exactly once, success or failure, no sooner than the result floor after it was received (a Manager loses answers
// that overtake its own book-keeping). A stop works in every state. A daemon is answered when its module is there
// and it is about to run; how it ends goes to the log. Another start while it runs is no duplicate, as its Manager
// waits for another answer: it is told again that the daemon runs. A task whose answer has not reached the broker yet
// is not run again for somebody who asks anew because he misses that answer.
//
// An observer, if there is one, is told what happens to tasks; it never decides anything.
//
// Thread-safe. The references given to the constructor must outlive the worker. The sink is called from any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "module/module.h"
#include "propeller/messages.h"
#include "runtime/runtime.h"
#include "telemetry/task_observer.h"
#include "worker/delayed_queue.h"
#include "worker/directories.h"
#include "worker/federated_round.h"

namespace proplet::worker {

// Where answers go. Must not block. Thread-safe.
class ResultSink {
 public:
  virtual ~ResultSink() = default;
  // The worker has taken this task and will give an answer.
  virtual void promise(const std::string& /*task_id*/) {}
  virtual void result(const propeller::ResultMessage& message) = 0;
  // Whether an answer of this task is still on its way to the Manager.
  virtual bool holds_answer(const std::string& /*task_id*/) { return false; }
  virtual void invoke_result(const propeller::InvokeResultMessage& message) = 0;
};

struct WorkerOptions {
  std::string proplet_id;
  std::chrono::milliseconds result_floor{10};
  std::size_t max_tasks = 64;    // running
  std::size_t max_queue = 1024;  // waiting
  std::size_t max_queue_bytes = std::size_t{256} << 20;
  std::size_t max_message_bytes = propeller::kMaxMessageBytes;
  runtime::Limits limits{};
  std::vector<SharedDirectory> dirs{};
  FederatedRounds* rounds = nullptr;  // none: tasks of federated rounds are refused
  // Why encrypted tasks are refused; none: they run.
  std::optional<Error> encrypted_refused{};
  std::string tee_kind{};  // "sample", "tdx" ...; empty: none
  // Where plain tasks run; none: in this process, as encrypted ones always do. Outlives the worker.
  runtime::Runtime* external_runtime = nullptr;
};

class Worker {
 public:
  Worker(WorkerOptions options, ResultSink& sink, module::ModuleSource& modules, runtime::Runtime& runtime,
         const Clock& clock, Log& log, telemetry::TaskObserver* observer = nullptr);
  // Stops all tasks at once.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // The payloads of the commands, as they come from the broker.
  void start(ByteView payload);
  void stop(ByteView payload);
  void invoke(ByteView payload);

  // Accepts nothing more, waits up to `drain` for tasks to finish, then stops the rest. Every answer has been
  // given to the sink on return, except refusals of starts that came in the meantime.
  void shut_down(std::chrono::milliseconds drain);

  // Queued, running and unanswered tasks.
  [[nodiscard]] std::size_t task_count() const;
  struct Counts {
    std::size_t running = 0;
    std::size_t queued = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  struct Task;
  using TaskPointer = std::shared_ptr<Task>;  // shared by the table, the queue and the thread that runs it

  void answer_malformed(const propeller::MalformedCommand& malformed, const TaskPointer& task);
  bool enter(const TaskPointer& task);
  void confirm_daemon(const Task& daemon, std::chrono::steady_clock::time_point received);
  [[nodiscard]] Status supports(const propeller::StartCommand& command) const;
  Status enqueue(const TaskPointer& task);
  bool ensure_thread();
  void work(const std::stop_token& stop);
  void run(const TaskPointer& task);
  Result<runtime::Outcome> execute(const TaskPointer& task, std::vector<PrivateFolder>& folders);
  [[nodiscard]] bool runs_outside(const propeller::StartCommand& command) const;
  [[nodiscard]] runtime::RunRequest external_request(const propeller::StartCommand& command) const;
  Result<runtime::Outcome> run_observed(Task& task, runtime::Runtime& runtime, module::Module module,
                                        runtime::RunRequest request, const std::stop_token& stop);
  [[nodiscard]] Result<runtime::RunRequest> run_request(const propeller::StartCommand& command,
                                                        std::vector<PrivateFolder>& folders) const;
  void cancel(const TaskPointer& task);
  void refuse(const TaskPointer& task, Error error);
  void finish(const TaskPointer& task, const Result<runtime::Outcome>& outcome);
  void answer(const TaskPointer& task, const Result<runtime::Outcome>& outcome);
  void forget_if_over(const TaskPointer& task);
  [[nodiscard]] propeller::ResultMessage result_message(const Task& task,
                                                        const Result<runtime::Outcome>& outcome) const;
  [[nodiscard]] bool fits(const propeller::ResultMessage& message) const;
  void log_finish(const Task& task, const Result<runtime::Outcome>& outcome);
  void report_finish(const Task& task, const Result<runtime::Outcome>& outcome);

  WorkerOptions options_;
  ResultSink& sink_;
  module::ModuleSource& modules_;
  runtime::Runtime& runtime_;
  const Clock& clock_;
  Log& log_;
  telemetry::TaskObserver* observer_;

  mutable std::mutex mutex_;
  std::condition_variable_any work_ready_;
  std::condition_variable_any changed_;
  std::unordered_map<std::string, TaskPointer> tasks_;
  std::deque<TaskPointer> queue_;
  std::size_t queued_bytes_ = 0;
  std::size_t idle_ = 0;     // threads
  std::size_t running_ = 0;  // tasks
  bool accepting_ = true;
  DelayedQueue answers_;
  std::vector<std::jthread> threads_;
};

}  // namespace proplet::worker
