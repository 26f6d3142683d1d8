#include "wasm/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <thread>

#include "wasm/module_cache.h"
#include "wasm/run.h"
#include "wasm/test_guest.h"

namespace proplet::wasm {
namespace {

void expect_runs(Engine& engine) {
  const auto module = Module::compile(engine, guest_bytes("traps"));
  ASSERT_TRUE(module) << module.error().text();
  RunSpec spec;
  spec.function = "unreachable";
  EXPECT_EQ(run(engine, **module, spec, {}).error().code(), Code::guest_trap);
}

TEST(Engine, AllocatesOnDemandIfToldTo) {
  Engine engine({.pooling = false});
  ASSERT_TRUE(engine.prepare());
  EXPECT_EQ(*engine.allocation(), Allocation::on_demand);
  expect_runs(engine);
}

TEST(Engine, FallsBackToOnDemandIfThePoolDoesNotFit) {
  Engine engine({.max_concurrent_runs = 1000000});  // 4 GiB each: more than any address space has
  EXPECT_EQ(*engine.allocation(), Allocation::on_demand);
  expect_runs(engine);
}

TEST(Engine, RefusesMoreGuestsThanThePoolHolds) {
  Engine engine({.max_concurrent_runs = 1});
  if (*engine.allocation() != Allocation::pooled) GTEST_SKIP() << "no pool under this sanitizer or on this machine";
  const auto module = *Module::compile(engine, guest_bytes("sleep"));
  RunSpec spec;
  spec.function = "_start";
  spec.arguments = {"guest"};
  std::stop_source stop;
  std::array<Code, 2> codes{};
  const auto sleep = [&](Code& code) {
    code = run(engine, *module, spec, stop.get_token()).error().code();
    stop.request_stop();  // whoever is refused frees the other
  };
  {
    std::jthread first([&] { sleep(codes[0]); });
    std::jthread second([&] { sleep(codes[1]); });
  }
  std::ranges::sort(codes);
  EXPECT_EQ(codes, (std::array{Code::task_limit_reached, Code::task_stopped}));
}

// The canary is never in memory in clear, except where the code under test puts it.
constexpr std::string_view kHidden = "\x16\x1a\x1b\x14\x07\x0c\x78\x21\x3c\x34\x21\x78\x38\x20\x26\x21\x78\x32\x3a";
constexpr char kMask = 0x55;

char shown(char c) { return static_cast<char>(c ^ kMask); }

// A module whose only data segment is the canary: one memory, one active segment at 0.
SecretBytes module_with_canary() {
  const std::string_view head("\0asm\1\0\0\0\5\3\1\0\1\x0b\x19\1\0\x41\0\x0b\x13", 21);
  static_assert(kHidden.size() == 0x13);
  SecretBytes bytes(head.size() + kHidden.size());
  const auto after_head = std::ranges::copy(head, bytes.mutable_view().begin()).out;
  std::ranges::transform(kHidden, after_head, shown);
  return bytes;
}

std::size_t occurrences(const char* begin, const char* end) {
  std::size_t count = 0;
  const auto same = [](char c, char hidden) { return c == shown(hidden); };
  while ((begin = std::search(begin, end, kHidden.begin(), kHidden.end(), same)) != end) {
    ++count;
    ++begin;
  }
  return count;
}

// How often the canary stands in this process's writable memory.
std::size_t canaries_in_memory() {
  std::size_t count = 0;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> memory(std::fopen("/proc/self/mem", "rb"), std::fclose);
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    unsigned long start = 0;
    unsigned long end = 0;
    std::array<char, 5> mode{};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &start, &end, mode.data()) != 3 || mode[1] != 'w') continue;
    if (end - start > (std::size_t{1} << 30)) continue;  // a sanitizer's shadow
    std::string block(end - start, '\0');
    if (std::fseek(memory.get(), static_cast<long>(start), SEEK_SET) != 0) continue;
    const std::size_t length = std::fread(block.data(), 1, block.size(), memory.get());
    count += occurrences(block.data(), block.data() + length);
    wipe(block);
  }
  return count;
}

TEST(WipeFreedMemory, LeavesNothingOfAModuleBehind) {
  wipe_freed_memory(true);
  {
    ModuleCache cache(test_engine(), {});
    const auto module = cache.get(module_with_canary(), std::nullopt, {});
    ASSERT_TRUE(module) << module.error().text();
    RunSpec spec;
    spec.function = "none";
    ASSERT_FALSE(run(test_engine(), **module, spec, {}));
  }
  EXPECT_EQ(canaries_in_memory(), 0U);
  wipe_freed_memory(false);
}

}  // namespace
}  // namespace proplet::wasm
