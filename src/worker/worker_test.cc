#include "worker/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <random>
#include <set>

namespace proplet::worker {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using testing::HasSubstr;
using testing::StartsWith;

constexpr auto kPatience = 30s;  // for what happens at once on any machine

// Blocks until a stop is requested, as fetches and guests do.
void wait_for_stop(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait(lock, stop, [] { return false; });
}

class Answers final : public ResultSink {
 public:
  void promise(const std::string& task_id) override {
    const std::lock_guard lock(mutex_);
    promises_.push_back(task_id);
  }
  bool holds_answer(const std::string& task_id) override {
    const std::lock_guard lock(mutex_);
    return held_.contains(task_id);
  }
  void result(const propeller::ResultMessage& message) override {
    const std::lock_guard lock(mutex_);
    results_.push_back(message);
    changed_.notify_all();
  }
  void invoke_result(const propeller::InvokeResultMessage& message) override {
    const std::lock_guard lock(mutex_);
    invoke_results_.push_back(message);
  }

  // All answers, as soon as there are `count`.
  std::vector<propeller::ResultMessage> wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return results_.size() >= count; });
    return results_;
  }
  std::vector<std::string> promises() {
    const std::lock_guard lock(mutex_);
    return promises_;
  }
  // As if the broker had not taken the answer of this task yet.
  void hold(const std::string& task_id) {
    const std::lock_guard lock(mutex_);
    held_.insert(task_id);
  }
  std::vector<propeller::InvokeResultMessage> invoke_results() {
    const std::lock_guard lock(mutex_);
    return invoke_results_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<propeller::ResultMessage> results_;
  std::vector<propeller::InvokeResultMessage> invoke_results_;
  std::vector<std::string> promises_;
  std::set<std::string> held_;
};

class FakeModules final : public module::ModuleSource {
 public:
  Result<module::Module> fetch(const module::ModuleRequest& request, StageObserver* observer,
                               std::stop_token stop) override {
    ++fetching;
    fetching.notify_all();
    const StageTimer timer(Stage::pull, observer);
    if (request.image_url == "block") {
      wait_for_stop(stop);
      return fail(Code::cancelled, "given up");
    }
    if (request.image_url == "missing") return fail(Code::image_not_found, "no image missing");
    if (request.image_url == "throw") throw std::bad_alloc();
    module::Module module;
    module.source = request.image_url;
    return module;
  }

  std::atomic<int> fetching = 0;
};

// Does what the task's function name says.
class FakeRuntime final : public runtime::Runtime {
 public:
  [[nodiscard]] Status accepts(const module::Module& /*module*/, const runtime::RunRequest& request) const override {
    if (request.function == "refused") return fail(Code::cli_argument_refused, "no");
    return {};
  }
  Result<runtime::Outcome> run(module::Module /*module*/, const runtime::RunRequest& request,
                               StageObserver* /*observer*/, std::stop_token stop) override {
    {
      const std::lock_guard lock(mutex_);
      last_ = request;
    }
    ++running;
    running.notify_all();
    runtime::Outcome outcome;
    if (request.function == "block") {
      wait_for_stop(stop);
      return fail(Code::cancelled, "given up");
    }
    if (request.function == "trap") return fail(Code::guest_trap, "unreachable");
    outcome.result = request.function == "large" ? std::string(100000, 'x') : "30";
    return outcome;
  }

  runtime::RunRequest last() {
    const std::lock_guard lock(mutex_);
    return last_;
  }

  std::atomic<int> running = 0;

 private:
  std::mutex mutex_;
  runtime::RunRequest last_;
};

// Keeps what it is told. Watches the runs of tasks with monitoring, traces all.
class Observations final : public telemetry::TaskObserver {
 public:
  struct Finished {
    std::string id;
    std::string code;  // "OK" without an error
    bool refused;
    bool encrypted;
    std::set<Stage> stages;
    std::size_t spans;
  };

  bool task_started() override {
    ++started;
    return true;
  }
  void module_fetched(std::size_t) override { ++fetched; }
  [[nodiscard]] bool watches(const propeller::MonitoringProfile& profile) const override { return profile.active(); }
  void run_started(std::string_view task_id, const propeller::MonitoringProfile&, RunGauge& gauge) override {
    const std::lock_guard lock(mutex_);
    runs_.emplace_back(task_id);
    gauges_.insert(&gauge);
  }
  void run_ended(RunGauge& gauge) override {
    const std::lock_guard lock(mutex_);
    gauges_.erase(&gauge);
  }
  void task_finished(const telemetry::TaskReport& report) override {
    std::set<Stage> stages;
    for (const auto& [stage, time] : report.stages) stages.insert(stage);
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(report.traced);
    EXPECT_LE(report.received, report.finished);
    finished_.push_back({std::string(report.task_id),
                         std::string(report.error == nullptr ? "OK" : report.error->code_name()), report.refused,
                         report.encrypted, stages, report.spans.size()});
  }

  std::vector<Finished> finished() {
    const std::lock_guard lock(mutex_);
    return finished_;
  }
  std::vector<std::string> runs() {
    const std::lock_guard lock(mutex_);
    return runs_;
  }
  std::size_t open_runs() {
    const std::lock_guard lock(mutex_);
    return gauges_.size();
  }

  std::atomic<int> started = 0;
  std::atomic<int> fetched = 0;

 private:
  std::mutex mutex_;
  std::vector<Finished> finished_;
  std::vector<std::string> runs_;
  std::set<const RunGauge*> gauges_;
};

void wait_until_positive(const std::atomic<int>& count) {
  while (count == 0) count.wait(0);
}

struct TaskText {
  std::string id = "t";
  std::string name = "add";
  std::string image = "r/x";
  std::string more = "";  // further members, each with a comma in front
};

std::string start_text(const TaskText& task) {
  return R"({"id":")" + task.id + R"(","name":")" + task.name + R"(","image_url":")" + task.image + "\"" + task.more +
         "}";
}

std::string stop_text(const std::string& id) { return R"({"id":")" + id + R"("})"; }

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() {
    options_.proplet_id = "me";
    options_.result_floor = 0ms;
  }

  Worker& worker() {
    if (!worker_) {
      worker_ = std::make_unique<Worker>(options_, answers_, modules_, runtime_, clock_, log_, &observations_);
    }
    return *worker_;
  }
  void start(const TaskText& task) { worker().start(bytes_of(start_text(task))); }
  void stop(const std::string& id) { worker().stop(bytes_of(stop_text(id))); }
  // The only answer there is, once the worker has ended.
  propeller::ResultMessage only_answer() {
    const auto answers = answers_.wait(1);
    worker().shut_down(kPatience);
    EXPECT_EQ(answers_.wait(1).size(), 1U);
    return answers.empty() ? propeller::ResultMessage() : answers.front();
  }
  void expect_silence() {
    worker().shut_down(0ms);
    EXPECT_TRUE(answers_.wait(0).empty());
  }
  std::string error_of(const TaskText& task) {
    start(task);
    return only_answer().error.value_or("");
  }

  WorkerOptions options_;
  SystemClock clock_;
  Log log_{LogLevel::error, LogFormat::json};
  Answers answers_;
  FakeModules modules_;
  FakeRuntime runtime_;
  Observations observations_;
  std::unique_ptr<Worker> worker_;
};

TEST_F(WorkerTest, AnswersWithTheResult) {
  start({});
  const auto answer = only_answer();
  EXPECT_EQ(answer.task_id, "t");
  EXPECT_EQ(answer.proplet_id, "me");
  EXPECT_EQ(answer.results, "30");
  EXPECT_EQ(answer.error, std::nullopt);
  EXPECT_FALSE(answer.timing.has_value());
  EXPECT_EQ(runtime_.last().function, "add");
  EXPECT_EQ(runtime_.last().environment.at("PROPLET_ID"), "me");
}

TEST_F(WorkerTest, TellsTheStagesToThoseWhoAsk) {
  start({.more = R"(,"report":"stages")"});
  const auto answer = only_answer();
  ASSERT_TRUE(answer.timing.has_value());
  std::set<std::string> names;
  for (const auto& [name, ms] : answer.timing->stages_ms) names.insert(name);
  EXPECT_TRUE(names.contains("decode") && names.contains("admit") && names.contains("pull"));
}

struct FailureCase {
  TaskText task;
  std::string_view error;
};

TEST_F(WorkerTest, AnswersFailuresWithTheirCode) {
  const FailureCase cases[] = {
      {{.id = "1", .name = "trap"}, "GUEST_TRAP: unreachable"},
      {{.id = "2", .image = "missing"}, "IMAGE_NOT_FOUND: no image missing"},
      {{.id = "3", .image = "throw"}, "INTERNAL: "},
      {{.id = "4", .more = R"(,"latent":true)"}, "UNSUPPORTED: latent tasks are not supported by this runtime"},
      {{.id = "5", .image = ""}, "MESSAGE_INVALID: either file or image_url must be provided"},
      {{.id = "6", .more = R"(,"daemon":3)"}, "MESSAGE_INVALID: daemon is not a boolean"},
      {{.id = "7", .more = R"(,"cli_args":["--invoke"])"}, "MESSAGE_INVALID: cli_args: --invoke has no value"},
      {{.id = "8", .more = R"(,"metadata":{"elastic":{"wasi_pep":{}}})"}, "POLICY_UNSUPPORTED: "},
  };
  for (const FailureCase& failure : cases) start(failure.task);
  std::map<std::string, propeller::ResultMessage> by_id;
  for (const auto& answer : answers_.wait(std::size(cases))) by_id.emplace(answer.task_id, answer);
  for (const FailureCase& failure : cases) {
    ASSERT_TRUE(by_id.contains(failure.task.id)) << failure.task.id;
    EXPECT_THAT(by_id[failure.task.id].error.value_or(""), StartsWith(failure.error));
    EXPECT_EQ(by_id[failure.task.id].results, "");
  }
}

TEST_F(WorkerTest, RefusesEncryptedTasksWithTheReasonItWasGiven) {
  options_.encrypted_refused = Error(Code::tee_unavailable, "no TEE was found");
  EXPECT_EQ(error_of({.more = R"(,"encrypted":true)"}), "TEE_UNAVAILABLE: no TEE was found");
  EXPECT_EQ(modules_.fetching, 0);
}

TEST_F(WorkerTest, GivesPlainTasksToTheExternalRuntimeWithTheirFlagsAsTheyAre) {
  FakeRuntime external;
  options_.external_runtime = &external;
  start({.more = R"(,"cli_args":["-S","nn","--env","A=b"],"env":{"C":"d"},"inputs":["1"])"});
  EXPECT_EQ(only_answer().results, "30");
  EXPECT_EQ(runtime_.running, 0);
  const auto request = external.last();
  EXPECT_EQ(request.cli_args, (std::vector<std::string>{"-S", "nn", "--env", "A=b"}));
  EXPECT_EQ(request.environment, (std::map<std::string, std::string>{{"C", "d"}, {"PROPLET_ID", "me"}}));
  EXPECT_EQ(request.arguments, std::vector<std::string>{"1"});
}

TEST_F(WorkerTest, NeverGivesEncryptedTasksToTheExternalRuntime) {
  FakeRuntime external;
  options_.external_runtime = &external;
  start({.more = R"(,"encrypted":true)"});
  EXPECT_EQ(only_answer().results, "30");
  EXPECT_EQ(external.running, 0);
  EXPECT_EQ(runtime_.running, 1);
}

TEST_F(WorkerTest, TellsADaemonThatItsRuntimeRefusesIt) {
  start({.name = "refused", .more = R"(,"daemon":true)"});
  EXPECT_EQ(only_answer().error, "CLI_ARGUMENT_REFUSED: no");
  EXPECT_EQ(runtime_.running, 0);
}

TEST_F(WorkerTest, RefusesAResultThatFitsIntoNoMessage) {
  options_.max_message_bytes = 65536;
  EXPECT_THAT(error_of({.name = "large"}), StartsWith("SIZE_LIMIT: the result of 100000 bytes"));
}

TEST_F(WorkerTest, AnErrorThatQuotesALongTextStillFitsIntoAMessage) {
  const std::string error =
      error_of({.more = R"(,"cli_args":["-W","fuel=)" + std::string(std::size_t{1} << 20, '7') + R"("])"});
  EXPECT_THAT(error, StartsWith("MESSAGE_INVALID: cli_args: fuel is not a whole number: 777"));
  EXPECT_LT(error.size(), 40000U);
}

TEST_F(WorkerTest, LeavesTasksOfOthersAlone) {
  start({.more = R"(,"proplet_id":"somebody")"});
  start({.image = "", .more = R"(,"proplet_id":"somebody")"});
  start({.more = R"(,"proplet_id":7)"});
  worker().start(bytes_of("{"));
  expect_silence();
}

TEST_F(WorkerTest, TakesTasksForAllAndForNobodyInParticular) {
  start({.id = "1", .more = R"(,"broadcast":true,"proplet_id":"somebody")"});
  start({.id = "2"});
  start({.id = "3", .more = R"(,"proplet_id":"me")"});
  EXPECT_EQ(answers_.wait(3).size(), 3U);
}

TEST_F(WorkerTest, IgnoresASecondStartOfATaskThatHasNotEnded) {
  start({.name = "block"});
  start({.name = "block"});
  start({.image = ""});
  stop("t");
  EXPECT_EQ(only_answer().error, "TASK_STOPPED: task t was stopped before completion");
}

TEST_F(WorkerTest, RunsATaskAgainOnceItHasEnded) {
  start({});
  answers_.wait(1);
  worker();
  while (worker().task_count() > 0) std::this_thread::yield();
  start({});
  EXPECT_EQ(answers_.wait(2).size(), 2U);
}

TEST_F(WorkerTest, DoesNotRunATaskAgainWhoseAnswerIsOnItsWay) {
  answers_.hold("t");
  start({});
  start({.image = ""});
  start({.more = R"(,"state":2)"});
  start({.more = R"(,"state":"3")"});
  EXPECT_TRUE(answers_.wait(0).empty());
  EXPECT_EQ(worker().task_count(), 0U);
  // This Manager has seen an answer and wants another run.
  start({.more = R"(,"state":3)"});
  EXPECT_EQ(only_answer().results, "30");
  EXPECT_EQ(runtime_.running, 1);
}

TEST_F(WorkerTest, PromisesAnAnswerForEveryStartThatIsItsOwn) {
  start({.id = "good"});
  start({.id = "malformed", .image = ""});
  start({.id = "others", .more = R"(,"proplet_id":"somebody")"});
  start({.id = "block", .name = "block"});
  start({.id = "block", .name = "block"});
  stop("block");
  answers_.wait(3);
  EXPECT_THAT(answers_.promises(), testing::ElementsAre("good", "malformed", "block"));
}

TEST_F(WorkerTest, SaysWhichAnswersAreConfidential) {
  start({.id = "plain"});
  start({.id = "encrypted", .more = R"(,"encrypted":true)"});
  for (const auto& answer : answers_.wait(2)) EXPECT_EQ(answer.confidential, answer.task_id == "encrypted");
}

// Somebody sets the clock of the machine while tasks run.
TEST_F(WorkerTest, AClockThatJumpsChangesNothing) {
  class JumpingClock final : public Clock {
   public:
    [[nodiscard]] std::chrono::system_clock::time_point now() const override {
      return std::chrono::system_clock::time_point(std::chrono::hours(++calls_ % 2 == 0 ? 0 : 24 * 365 * 100));
    }
    [[nodiscard]] steady_clock::time_point steady_now() const override { return steady_clock::now(); }

   private:
    mutable std::atomic<int> calls_ = 0;
  };
  const JumpingClock clock;
  options_.result_floor = 20ms;
  options_.limits.time = 3600s;
  Worker worker(options_, answers_, modules_, runtime_, clock, log_);
  const auto begin = steady_clock::now();
  for (const char* id : {"1", "2", "3"}) worker.start(bytes_of(start_text({.id = id})));
  EXPECT_EQ(answers_.wait(3).size(), 3U);
  EXPECT_GE(steady_clock::now() - begin, 20ms);
  worker.shut_down(kPatience);
}

TEST_F(WorkerTest, AStopRightBehindTheStartStops) {
  start({.name = "block"});
  stop("t");
  EXPECT_EQ(only_answer().error, "TASK_STOPPED: task t was stopped before completion");
}

TEST_F(WorkerTest, AStopReachesATaskThatIsFetchedOrRuns) {
  start({.id = "fetch", .image = "block"});
  start({.id = "run", .name = "block"});
  wait_until_positive(modules_.fetching);
  wait_until_positive(runtime_.running);
  stop("fetch");
  stop("run");
  for (const auto& answer : answers_.wait(2)) EXPECT_THAT(answer.error.value_or(""), StartsWith("TASK_STOPPED"));
}

TEST_F(WorkerTest, AStopReachesATaskInTheQueueWhileOthersRun) {
  options_.max_tasks = 1;
  start({.id = "first", .name = "block"});
  wait_until_positive(runtime_.running);
  start({.id = "second"});
  stop("second");
  const auto answers = answers_.wait(1);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers.front().task_id, "second");
  EXPECT_THAT(answers.front().error.value_or(""), StartsWith("TASK_STOPPED"));
}

TEST_F(WorkerTest, AStopOfAnotherWorkersTaskDoesNothing) {
  start({.name = "block"});
  worker().stop(bytes_of(R"({"id":"t","proplet_id":"somebody"})"));
  worker().stop(bytes_of("{"));
  stop("unknown");
  wait_until_positive(runtime_.running);
  EXPECT_TRUE(answers_.wait(0).empty());
}

TEST_F(WorkerTest, RefusesWhatExceedsTheQueue) {
  options_.max_tasks = 1;
  options_.max_queue = 2;
  for (const char* id : {"1", "2", "3", "4"}) start({.id = id, .name = "block"});
  const auto answers = answers_.wait(1);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers.front().task_id, "4");
  EXPECT_THAT(answers.front().error.value_or(""), StartsWith("TASK_LIMIT_REACHED"));
}

TEST_F(WorkerTest, BoundsTheBytesThatWait) {
  options_.max_tasks = 1;
  options_.max_queue_bytes = 1000;
  start({.id = "1", .name = "block"});
  wait_until_positive(runtime_.running);
  start({.id = "2", .more = R"(,"inputs":[")" + std::string(600, 'x') + R"("])"});
  start({.id = "3", .more = R"(,"cli_args":[")" + std::string(600, 'x') + R"("])"});
  const auto answers = answers_.wait(1);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers.front().task_id, "3");
}

TEST_F(WorkerTest, ADaemonIsAnsweredAtOnceAndItsEndIsNot) {
  start({.name = "block", .more = R"(,"daemon":true)"});
  const auto answers = answers_.wait(1);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers.front().results, "");
  EXPECT_EQ(answers.front().error, std::nullopt);
  wait_until_positive(runtime_.running);
  stop("t");
  worker().shut_down(kPatience);
  EXPECT_EQ(answers_.wait(1).size(), 1U);
}

// Its Manager shows it as completed, and as running from the second start on until there is an answer.
TEST_F(WorkerTest, ADaemonThatIsStartedAgainWhileItRunsIsConfirmedAndStaysOne) {
  start({.name = "block", .more = R"(,"daemon":true)"});
  answers_.wait(1);
  wait_until_positive(runtime_.running);
  start({.name = "block", .more = R"(,"daemon":true)"});
  const auto answers = answers_.wait(2);
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers.back().error, std::nullopt);
  EXPECT_EQ(runtime_.running, 1);
  EXPECT_EQ(worker().task_count(), 1U);
}

TEST_F(WorkerTest, ADaemonWithoutModuleFails) {
  EXPECT_THAT(error_of({.image = "missing", .more = R"(,"daemon":true)"}), StartsWith("IMAGE_NOT_FOUND"));
}

TEST_F(WorkerTest, NoAnswerComesBeforeTheFloor) {
  options_.result_floor = 60ms;
  const auto begin = steady_clock::now();
  start({.id = "good"});
  start({.id = "malformed", .image = ""});
  EXPECT_EQ(answers_.wait(2).size(), 2U);
  EXPECT_GE(steady_clock::now() - begin, 60ms);
}

TEST_F(WorkerTest, InvokeOfAnUnknownTaskHasTheWordsManagersLookFor) {
  worker().invoke(bytes_of(R"({"id":"t","invocation_id":"i","inputs":null,"proplet_id":"me"})"));
  worker().invoke(bytes_of(R"({"id":"t","invocation_id":"j","proplet_id":"somebody"})"));
  worker().invoke(bytes_of(R"({"id":"t","invocation_id":"k","inputs":5})"));
  worker().invoke(bytes_of("nonsense"));
  const auto answers = answers_.invoke_results();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].invocation_id, "i");
  EXPECT_EQ(answers[0].error, "UNSUPPORTED: task t has not been precompiled; deploy it as a latent task first");
  EXPECT_EQ(answers[1].invocation_id, "k");
  EXPECT_THAT(answers[1].error.value_or(""), StartsWith("MESSAGE_INVALID"));
}

TEST_F(WorkerTest, CliArgumentsShapeTheRunWithinWhatTheWorkerAllows) {
  options_.dirs = {{"/data", SharedDirectory::Access::read_only}};
  options_.limits.memory_bytes = 1 << 20;
  start({.more = R"(,"env":{"A":"task","PROPLET_ID":"kept"},"cli_args":["--invoke","g","--env","A=cli","--env","B=cli",
      "-W","max-memory-size=99999999999,timeout=5s,fuel=1000","--dir","/etc","--dir","/data::/in"])"});
  only_answer();
  const auto request = runtime_.last();
  EXPECT_EQ(request.function, "g");
  EXPECT_TRUE(request.function_required);
  EXPECT_EQ(request.environment.at("A"), "task");
  EXPECT_EQ(request.environment.at("B"), "cli");
  EXPECT_EQ(request.environment.at("PROPLET_ID"), "kept");
  EXPECT_EQ(request.limits.memory_bytes, 1U << 20U);
  EXPECT_EQ(request.limits.time, 5s);
  EXPECT_EQ(request.limits.fuel, 1000U);
  ASSERT_EQ(request.directories.size(), 2U);
  EXPECT_EQ(request.directories[0].guest_path, "/data");
  EXPECT_EQ(request.directories[1].guest_path, "/in");
  EXPECT_TRUE(request.directories[1].read_only);
}

TEST_F(WorkerTest, ATasksPrivateFolderIsThereWhileItRunsAndNotAfterwards) {
  std::string parent = testing::TempDir() + "worker.XXXXXX";
  ASSERT_NE(::mkdtemp(parent.data()), nullptr);
  options_.dirs = {{parent, SharedDirectory::Access::own_folder}};
  start({.name = "block"});
  wait_until_positive(runtime_.running);
  const auto directories = runtime_.last().directories;
  ASSERT_EQ(directories.size(), 1U);
  EXPECT_EQ(directories[0].guest_path, parent);
  EXPECT_TRUE(std::filesystem::is_directory(directories[0].host_path));
  stop("t");
  EXPECT_THAT(only_answer().error.value_or(""), StartsWith("TASK_STOPPED"));
  worker_.reset();
  EXPECT_TRUE(std::filesystem::is_empty(parent));
  std::filesystem::remove(parent);
}

TEST_F(WorkerTest, AFederatedTaskOnAWorkerOutsideAllRoundsIsRefused) {
  for (const char* variable : {"ROUND_ID", "MODEL_URI"}) {
    start({.id = variable, .more = std::string(R"(,"env":{")") + variable + R"(":"r"})"});
  }
  for (const auto& answer : answers_.wait(2)) EXPECT_THAT(answer.error.value_or(""), StartsWith("UNSUPPORTED"));
}

TEST_F(WorkerTest, ShuttingDownLetsTasksFinishThenStopsTheRestAndAnswersAll) {
  start({.id = "endless", .name = "block"});
  wait_until_positive(runtime_.running);
  start({.id = "daemon", .name = "block", .more = R"(,"daemon":true)"});
  start({.id = "short"});
  worker().shut_down(50ms);
  std::map<std::string, std::string> errors;
  for (const auto& answer : answers_.wait(3)) errors[answer.task_id] = answer.error.value_or("");
  ASSERT_EQ(errors.size(), 3U);
  EXPECT_THAT(errors["endless"], StartsWith("TASK_STOPPED"));
  start({.id = "late"});
  EXPECT_THAT(answers_.wait(4).back().error.value_or(""), StartsWith("WORKER_STOPPING"));
}

TEST_F(WorkerTest, TellsItsObserverHowATaskWent) {
  start({});
  only_answer();
  const auto finished = observations_.finished();
  ASSERT_EQ(finished.size(), 1U);
  EXPECT_EQ(finished[0].code, "OK");
  EXPECT_FALSE(finished[0].refused || finished[0].encrypted);
  EXPECT_TRUE(finished[0].stages.contains(Stage::decode) && finished[0].stages.contains(Stage::pull));
  EXPECT_EQ(finished[0].spans, 2U);  // admit and pull; when it was decoded nobody knew that it would be traced
  EXPECT_EQ(observations_.fetched, 1);
  EXPECT_THAT(observations_.runs(), testing::ElementsAre("t"));
  EXPECT_NE(runtime_.last().gauge, nullptr);
}

TEST_F(WorkerTest, TellsItsObserverOfEveryTaskOnceWithItsCode) {
  options_.encrypted_refused = Error(Code::tee_unavailable, "none");
  start({.id = "trap", .name = "trap"});
  start({.id = "missing", .image = "missing"});
  start({.id = "encrypted", .more = R"(,"encrypted":true)"});
  start({.id = "malformed", .image = ""});
  start({.id = "other", .more = R"(,"proplet_id":"somebody")"});
  answers_.wait(4);
  worker().shut_down(kPatience);
  std::map<std::string, Observations::Finished> by_id;
  for (const auto& finished : observations_.finished()) EXPECT_TRUE(by_id.emplace(finished.id, finished).second);
  ASSERT_EQ(by_id.size(), 4U);
  EXPECT_EQ(observations_.started, 4);
  EXPECT_EQ(by_id.at("trap").code, "GUEST_TRAP");
  EXPECT_FALSE(by_id.at("trap").refused);
  EXPECT_EQ(by_id.at("missing").code, "IMAGE_NOT_FOUND");
  EXPECT_EQ(by_id.at("encrypted").code, "TEE_UNAVAILABLE");
  EXPECT_TRUE(by_id.at("encrypted").refused && by_id.at("encrypted").encrypted);
  EXPECT_EQ(by_id.at("malformed").code, "MESSAGE_INVALID");
  EXPECT_TRUE(by_id.at("malformed").refused);
}

TEST_F(WorkerTest, HasNoGaugeForATaskThatNobodyWatches) {
  start({.more = R"(,"monitoring_profile":{"enabled":false})"});
  only_answer();
  EXPECT_EQ(runtime_.last().gauge, nullptr);
  EXPECT_TRUE(observations_.runs().empty());
}

TEST_F(WorkerTest, CountsWhatRunsAndWhatWaits) {
  options_.max_tasks = 1;
  start({.id = "1", .name = "block"});
  wait_until_positive(runtime_.running);
  start({.id = "2"});
  EXPECT_EQ(worker().counts().running, 1U);
  EXPECT_EQ(worker().counts().queued, 1U);
  EXPECT_EQ(observations_.open_runs(), 1U);
  worker().shut_down(0ms);
  EXPECT_EQ(observations_.open_runs(), 0U);
}

// Every start that was let in is answered once, whatever else arrives at the same time.
TEST_F(WorkerTest, EveryAcceptedStartIsAnsweredExactlyOnce) {
  options_.max_tasks = 8;
  options_.max_queue = 10000;
  options_.result_floor = 1ms;
  worker();
  constexpr int kThreads = 4;
  constexpr int kTasks = 500;
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      const char* names[] = {"add", "add", "trap", "block"};
      const char* images[] = {"r/x", "r/x", "missing", "block"};
      for (int i = 0; i < kTasks; ++i) {
        const TaskText task{.id = std::to_string(t) + "-" + std::to_string(i),
                            .name = names[random() % 4],
                            .image = images[random() % 4],
                            .more = random() % 8 == 0 ? R"(,"daemon":true)" : ""};
        const bool endless = task.image == "block" || (task.name == "block" && task.image == "r/x");
        start(task);
        if (random() % 4 == 0 && endless) start(task);  // it cannot have ended yet
        if (endless || random() % 3 == 0) stop(task.id);
        if (random() % 5 == 0) stop(task.id);
      }
    });
  }
  threads.clear();
  worker().shut_down(kPatience);
  std::map<std::string, int> count;
  for (const auto& answer : answers_.wait(0)) ++count[answer.task_id];
  EXPECT_EQ(count.size(), static_cast<std::size_t>(kThreads * kTasks));
  for (const auto& [id, answers] : count) EXPECT_EQ(answers, 1) << id;
  EXPECT_EQ(observations_.finished().size(), count.size());
  EXPECT_EQ(observations_.started, kThreads * kTasks);
  EXPECT_EQ(observations_.open_runs(), 0U);
}

}  // namespace
}  // namespace proplet::worker
