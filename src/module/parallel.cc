#include "module/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

namespace proplet::module {

Status in_parallel(std::size_t count, std::size_t threads, const std::stop_token& stop,
                   const std::function<Status(std::size_t index, const std::stop_token& stop)>& work) {
  std::stop_source all;
  const std::stop_callback forward(stop, [&all] { all.request_stop(); });
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::optional<Error> first_error;
  // On a helper an exception would end the process; one thing that finds no memory is merely one that fails.
  const auto attempt = [&](std::size_t index) -> Status {
    try {
      return work(index, all.get_token());
    } catch (const std::exception& error) {
      return fail(Code::internal, "{}", error.what());
    }
  };
  const auto run = [&] {
    while (!all.stop_requested()) {
      const auto index = next.fetch_add(1);
      if (index >= count) return;
      auto done = attempt(index);
      if (done) continue;
      const std::lock_guard lock(mutex);
      if (!first_error) first_error = std::move(done).error();
      all.request_stop();
    }
  };
  {
    std::vector<std::jthread> helpers;
    try {
      for (std::size_t i = 1; i < std::min(threads, count); ++i) helpers.emplace_back(run);
    } catch (const std::system_error&) {
      // Without another thread it merely takes longer.
    }
    run();
  }
  if (first_error) return fail(*std::move(first_error));
  if (stop.stop_requested()) return fail(Code::cancelled, "stopped");
  return {};
}

}  // namespace proplet::module
