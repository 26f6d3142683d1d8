#include "worker/host_facts.h"

#include <gtest/gtest.h>

namespace proplet::worker {
namespace {

TEST(HostFacts, AreThoseOfARealMachine) {
  const HostFacts facts = collect_host_facts();
  EXPECT_EQ(facts.os, "linux");
  EXPECT_TRUE(facts.environment == "docker" || facts.environment == "binary");
  EXPECT_FALSE(facts.cpu_arch.empty());
  EXPECT_FALSE(facts.hostname.empty());
  EXPECT_GT(facts.total_memory_bytes, std::uint64_t{64} << 20);
}

}  // namespace
}  // namespace proplet::worker
