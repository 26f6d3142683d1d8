#include "module/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <new>
#include <set>
#include <thread>

namespace proplet::module {
namespace {

TEST(InParallel, DoesEveryThingOnce) {
  for (const std::size_t threads : {0, 1, 3, 100}) {
    std::array<std::atomic<int>, 17> calls{};
    const auto done = in_parallel(calls.size(), threads, {}, [&](std::size_t i, const std::stop_token&) -> Status {
      ++calls.at(i);
      return {};
    });
    ASSERT_TRUE(done);
    for (const auto& count : calls) EXPECT_EQ(count, 1);
  }
  EXPECT_TRUE(in_parallel(0, 4, {}, [](std::size_t, const std::stop_token&) -> Status { std::abort(); }));
}

TEST(InParallel, ReallyIs) {
  std::latch all_here(3);  // nobody passes alone
  const auto done = in_parallel(3, 3, {}, [&](std::size_t, const std::stop_token&) -> Status {
    all_here.arrive_and_wait();
    return {};
  });
  EXPECT_TRUE(done);
}

TEST(InParallel, AnExceptionIsAFailure) {
  std::latch all_here(2);  // so that the helper is the one that throws, or the caller, or both
  const auto done = in_parallel(2, 2, {}, [&](std::size_t, const std::stop_token&) -> Status {
    all_here.arrive_and_wait();
    throw std::bad_alloc();
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Code::internal);
}

TEST(InParallel, OneThingNeedsNoThread) {
  const auto caller = std::this_thread::get_id();
  EXPECT_TRUE(in_parallel(1, 8, {}, [&](std::size_t, const std::stop_token&) -> Status {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    return {};
  }));
}

TEST(InParallel, TheFirstFailureStopsTheOthersAndIsTheCause) {
  std::latch both_run(2);
  const auto done = in_parallel(2, 2, {}, [&](std::size_t i, const std::stop_token& stop) -> Status {
    both_run.arrive_and_wait();
    if (i == 1) return fail(Code::digest_mismatch, "the cause");
    while (!stop.stop_requested()) std::this_thread::yield();
    return fail(Code::cancelled, "a consequence");
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().text(), "DIGEST_MISMATCH: the cause");
}

TEST(InParallel, AStopFromOutsideIsCancelled) {
  std::stop_source stop;
  stop.request_stop();
  const auto done =
      in_parallel(5, 2, stop.get_token(), [](std::size_t, const std::stop_token&) -> Status { return {}; });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Code::cancelled);
}

}  // namespace
}  // namespace proplet::module
