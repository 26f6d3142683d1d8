#include "base/secret_arena.h"

#include <gtest/gtest.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/secret_bytes.h"

namespace proplet {
namespace {

// The flags of the mapping that holds `address`: "rd wr sh mr mw me ms lo dd dc ..." (proc(5), smaps).
std::string mapping_flags(const void* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream maps("/proc/self/smaps");
  std::string line;
  bool inside = false;
  while (std::getline(maps, line)) {
    unsigned long start = 0;
    unsigned long end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &start, &end) == 2) inside = wanted >= start && wanted < end;
    if (inside && line.starts_with("VmFlags:")) return line.substr(8) + " ";
  }
  return "";
}

TEST(SecretArena, GivesZerosInBlocksThatDoNotOverlap) {
  std::vector<SecretBytes> secrets;
  std::set<std::pair<const std::uint8_t*, const std::uint8_t*>> ranges;
  for (const std::size_t size : {1, 16, 32, 48, 63, 64, 65, 128, 500, 1024, 2047, 2048}) {
    for (int i = 0; i < 40; ++i) {
      secrets.emplace_back(size);
      const ByteView view = secrets.back().view();
      ASSERT_TRUE(std::ranges::all_of(view, [](auto byte) { return byte == 0; })) << size;
      std::memset(secrets.back().mutable_view().data(), 0xAB, size);
      ranges.emplace(view.data(), view.data() + view.size());
    }
  }
  const std::uint8_t* end = nullptr;
  for (const auto& [from, to] : ranges) {
    EXPECT_LE(end, from);
    end = to;
  }
  EXPECT_EQ(ranges.size(), secrets.size());
}

TEST(SecretArena, WipesABlockAndUsesItAgain) {
  const std::uint8_t* block = nullptr;
  {
    SecretBytes key(32);
    std::memset(key.mutable_view().data(), 0xC5, key.size());
    block = key.view().data();
  }
  // The block is still mapped, and holds nothing but the list of free blocks.
  EXPECT_EQ(std::count(block, block + 64, 0xC5), 0);
  const SecretBytes next(20);
  EXPECT_EQ(next.view().data(), block);
  EXPECT_TRUE(std::ranges::all_of(next.view(), [](auto byte) { return byte == 0; }));
}

TEST(SecretArena, IsLeftOutOfDumpsAndOfForks) {
  const SecretBytes key(32);
  const std::string flags = mapping_flags(key.view().data());
  EXPECT_NE(flags.find(" dd "), std::string::npos) << flags;
  EXPECT_NE(flags.find(" dc "), std::string::npos) << flags;
  if (secret_memory_kind() != SecretMemory::unlocked) {
    EXPECT_NE(flags.find(" lo "), std::string::npos) << flags;
  }
}

TEST(SecretArena, IsUnreadableForTheKernelWhereItIsHidden) {
  if (secret_memory_kind() != SecretMemory::hidden) GTEST_SKIP() << "this kernel has no memfd_secret";
  SecretBytes key = SecretBytes::copy_of(Bytes(32, 7));
  Bytes stolen(32);
  const iovec to{.iov_base = stolen.data(), .iov_len = stolen.size()};
  const iovec from{.iov_base = key.mutable_view().data(), .iov_len = key.size()};
  EXPECT_EQ(::process_vm_readv(::getpid(), &to, 1, &from, 1, 0), -1);
  EXPECT_EQ(stolen, Bytes(32));
  // Ordinary system calls work on it all the same.
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_EQ(::write(ends[1], key.view().data(), 32), 32);
  SecretBytes read_back(32);
  EXPECT_EQ(::read(ends[0], read_back.mutable_view().data(), 32), 32);
  EXPECT_TRUE(read_back.equals(key.view()));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(SecretArena, ServesManyThreadsAtATime) {
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 2000; ++i) {
        SecretBytes key(static_cast<std::size_t>(1 + (i * 37) % 2048));
        std::memset(key.mutable_view().data(), t + 1, key.size());
        ASSERT_TRUE(std::ranges::all_of(key.view(), [&](auto byte) { return byte == t + 1; }));
      }
    });
  }
}

TEST(SecretBytes, BeyondTheArenaHaveAMappingOfTheirOwn) {
  SecretBytes module(kArenaLimit + 1);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(module.view().data()) % 4096, 0U);
  EXPECT_NE(mapping_flags(module.view().data()).find(" dd "), std::string::npos);
  module.truncate(3);
  EXPECT_EQ(module.size(), 3U);
  module.reset();
  EXPECT_TRUE(module.empty());
}

TEST(SecretBytes, OfTheArenaShrinkAndMove) {
  SecretBytes key = SecretBytes::copy_of(Bytes(100, 9));
  const std::uint8_t* block = key.view().data();
  key.truncate(10);
  EXPECT_EQ(key.size(), 10U);
  EXPECT_EQ(std::count(block, block + 100, 9), 10);
  SecretBytes moved = std::move(key);
  EXPECT_EQ(moved.view().data(), block);
  EXPECT_TRUE(moved.equals(Bytes(10, 9)));
}

}  // namespace
}  // namespace proplet
