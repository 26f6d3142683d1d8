#include "wasm/module_cache.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace proplet::wasm {
namespace {

constexpr int kCompileThreads = 2;

using ModulePointer = std::shared_ptr<const Module>;

// One compilation. Shared by those who wait for it and the thread that does it.
struct Job {
  SecretBytes bytes;
  std::optional<std::string> key;
  std::optional<Result<ModulePointer>> result;
  int waiting = 0;  // tasks
};
using JobPointer = std::shared_ptr<Job>;

struct Kept {
  std::string key;
  ModulePointer module;
};

}  // namespace

struct ModuleCache::State {
  State(Engine& module_engine, CacheLimits cache_limits) : engine(module_engine), limits(cache_limits) {}

  Engine& engine;
  const CacheLimits limits;
  std::mutex mutex;
  std::condition_variable_any changed;
  std::list<Kept> kept;  // most recently used first
  std::map<std::string, std::list<Kept>::iterator> by_key;
  std::map<std::string, JobPointer> pending;
  std::deque<JobPointer> queue;
  int threads = 0;
  bool ended = false;
  Counts counts;

  // All of these with the mutex held.
  ModulePointer find(const std::string& key);
  JobPointer enqueue(SecretBytes bytes, const std::optional<std::string>& key);
  void keep(const std::string& key, const ModulePointer& module);
  void finish(Job& job, Result<ModulePointer> result);
  void leave(const JobPointer& job);
  void forget_oldest();
};

ModulePointer ModuleCache::State::find(const std::string& key) {
  const auto found = by_key.find(key);
  if (found == by_key.end()) return nullptr;
  kept.splice(kept.begin(), kept, found->second);
  ++counts.hits;
  return kept.front().module;
}

void ModuleCache::State::forget_oldest() {
  counts.code_bytes -= kept.back().module->code_bytes();
  by_key.erase(kept.back().key);
  kept.pop_back();
}

void ModuleCache::State::keep(const std::string& key, const ModulePointer& module) {
  if (limits.modules == 0 || module->code_bytes() > limits.code_bytes || by_key.contains(key)) return;
  kept.push_front({key, module});
  by_key[key] = kept.begin();
  counts.code_bytes += module->code_bytes();
  while (kept.size() > limits.modules || counts.code_bytes > limits.code_bytes) forget_oldest();
}

void ModuleCache::State::finish(Job& job, Result<ModulePointer> result) {
  if (job.key) {
    if (result) keep(*job.key, *result);
    pending.erase(*job.key);
  }
  job.result.emplace(std::move(result));
  changed.notify_all();
}

// Stopped tasks must not keep others, or their own modules' bytes, waiting for compilations that nobody wants.
void ModuleCache::State::leave(const JobPointer& job) {
  if (--job->waiting > 0) return;
  const auto place = std::ranges::find(queue, job);
  if (place == queue.end()) return;
  queue.erase(place);
  if (job->key) pending.erase(*job->key);
  --counts.compilations;
}

JobPointer ModuleCache::State::enqueue(SecretBytes bytes, const std::optional<std::string>& key) {
  if (key) {
    if (const auto found = pending.find(*key); found != pending.end()) return found->second;
  }
  auto job = std::make_shared<Job>(Job{.bytes = std::move(bytes), .key = key, .result = std::nullopt});
  if (key) pending[*key] = job;
  queue.push_back(job);
  ++counts.compilations;
  return job;
}

namespace {

// Takes jobs until there are none; threads do not outlive their work, so that an idle worker has none.
template <class State>
void compile_all(const std::shared_ptr<State>& state) {
  std::unique_lock lock(state->mutex);
  while (!state->queue.empty()) {
    const JobPointer job = std::move(state->queue.front());
    state->queue.pop_front();
    const bool skip = state->ended;
    lock.unlock();
    Result<ModulePointer> result = fail(Code::cancelled, "the worker ends");
    if (!skip) result = Module::compile(state->engine, job->bytes.view());
    job->bytes.reset();
    lock.lock();
    state->finish(*job, std::move(result));
  }
  --state->threads;
  state->changed.notify_all();
}

}  // namespace

ModuleCache::ModuleCache(Engine& engine, CacheLimits limits) : state_(std::make_shared<State>(engine, limits)) {}

ModuleCache::~ModuleCache() {
  std::unique_lock lock(state_->mutex);
  state_->ended = true;
  state_->changed.wait(lock, [this] { return state_->threads == 0; });
}

// With the mutex held. If the system gives no thread, one that is at work already takes the jobs in the end; if there
// is none, they fail.
void ModuleCache::start_compiling() {
  if (state_->threads == kCompileThreads || state_->queue.empty()) return;
  try {
    std::thread(compile_all<State>, state_).detach();  // the destructor waits for it
    ++state_->threads;
  } catch (const std::system_error& error) {
    if (state_->threads > 0) return;
    const JobPointer job = std::move(state_->queue.back());
    state_->queue.pop_back();
    job->bytes.reset();
    state_->finish(*job, fail(Code::internal, "cannot start a thread for compiling: {}", error.what()));
  }
}

Result<std::shared_ptr<const Module>> ModuleCache::get(SecretBytes bytes, const std::optional<std::string>& key,
                                                       std::stop_token stop) {
  std::unique_lock lock(state_->mutex);
  if (key) {
    if (auto module = state_->find(*key)) return module;
  }
  const JobPointer job = state_->enqueue(std::move(bytes), key);
  ++job->waiting;
  start_compiling();
  const bool done = state_->changed.wait(lock, stop, [&] { return job->result.has_value(); });
  state_->leave(job);
  if (!done) return fail(Code::task_stopped, "stopped while the module was being compiled");
  return *job->result;
}

ModuleCache::Counts ModuleCache::counts() const {
  const std::lock_guard lock(state_->mutex);
  Counts counts = state_->counts;
  counts.modules = state_->kept.size();
  return counts;
}

}  // namespace proplet::wasm
