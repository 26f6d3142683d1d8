#include "module/chunk_assembly.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

namespace proplet::module {
namespace {

using Outcome = ChunkAssembly::Outcome;

// "v1:0" to "v1:n-1" are the chunks of version 1.
Bytes piece(int version, std::uint32_t index) {
  const std::string text = "v" + std::to_string(version) + ":" + std::to_string(index) + ";";
  return {text.begin(), text.end()};
}

std::string image(int version, std::uint32_t total) {
  std::string text;
  for (std::uint32_t i = 0; i < total; ++i) text += "v" + std::to_string(version) + ":" + std::to_string(i) + ";";
  return text;
}

std::string text(const ChunkAssembly& assembly) { return std::string(text_of(assembly.join().view())); }

class Assembling : public ::testing::Test {
 protected:
  Outcome add(int version, std::uint32_t index, std::uint32_t total = 4) {
    const auto outcome = assembly_.add(index, total, piece(version, index));
    EXPECT_TRUE(outcome);
    return outcome.value_or(Outcome::known);
  }

  ChunkAssembly assembly_{1000};
};

TEST_F(Assembling, IsCompleteWithTheLastChunkOfADeliveryInOrder) {
  for (std::uint32_t i = 0; i < 4; ++i) {
    EXPECT_FALSE(assembly_.complete());
    EXPECT_EQ(add(1, i), Outcome::progress);
  }
  EXPECT_TRUE(assembly_.complete());
  EXPECT_EQ(text(assembly_), image(1, 4));
}

TEST_F(Assembling, ASingleChunkIsAnImage) {
  add(1, 0, 1);
  EXPECT_TRUE(assembly_.complete());
}

TEST_F(Assembling, DuplicatesChangeNothing) {
  for (const std::uint32_t i : {0, 0, 1, 1, 0, 1, 2, 3}) add(1, i);
  EXPECT_TRUE(assembly_.complete());
  EXPECT_EQ(text(assembly_), image(1, 4));
}

TEST_F(Assembling, TwoDeliveriesOfOneVersionThatInterleaveAreOneImage) {
  for (const std::uint32_t i : {0, 1, 0, 2, 1, 3, 2, 3}) add(1, i);
  EXPECT_TRUE(assembly_.complete());
}

TEST_F(Assembling, ReversedOrderNeedsASecondDeliveryToBeBelieved) {
  for (const std::uint32_t i : {3, 2, 1, 0}) add(1, i);
  EXPECT_TRUE(assembly_.full());
  EXPECT_FALSE(assembly_.complete());
  for (const std::uint32_t i : {3, 2, 1}) {
    EXPECT_EQ(add(1, i), Outcome::progress);
    EXPECT_FALSE(assembly_.complete());
  }
  add(1, 0);
  EXPECT_TRUE(assembly_.complete());
  EXPECT_EQ(text(assembly_), image(1, 4));
}

TEST_F(Assembling, TheEndOfOneDeliveryAndTheBeginningOfTheNextAreNotBelieved) {
  for (const std::uint32_t i : {2, 3, 0, 1}) add(1, i);
  EXPECT_TRUE(assembly_.full());
  EXPECT_FALSE(assembly_.complete());
  add(1, 2);
  EXPECT_FALSE(assembly_.complete());
  add(1, 3);
  EXPECT_TRUE(assembly_.complete());
}

TEST_F(Assembling, OtherBytesUnderAKnownIndexBeginAnew) {
  for (const std::uint32_t i : {0, 1, 2}) add(1, i);
  EXPECT_EQ(add(2, 2), Outcome::restarted);
  EXPECT_EQ(assembly_.received(), 1U);
  add(2, 3);
  for (std::uint32_t i = 0; i < 4; ++i) add(2, i);
  EXPECT_TRUE(assembly_.complete());
  EXPECT_EQ(text(assembly_), image(2, 4));
}

TEST_F(Assembling, AnotherTotalBeginsAnew) {
  add(1, 0, 4);
  EXPECT_EQ(add(1, 1, 5), Outcome::restarted);
  EXPECT_EQ(assembly_.total(), 5U);
  EXPECT_EQ(assembly_.received(), 1U);
}

TEST_F(Assembling, HolesOfOneVersionAreNotFilledFromTheNext) {
  // Version 2 differs in its last chunk only, which is the one version 1 had before its delivery broke off.
  for (const std::uint32_t i : {3}) add(1, i);
  for (const std::uint32_t i : {0, 1, 2}) add(2, i);
  EXPECT_TRUE(assembly_.full());
  EXPECT_FALSE(assembly_.complete());
  EXPECT_EQ(add(2, 3), Outcome::restarted);
}

TEST_F(Assembling, WhateverBreaksOffNoTwoVersionsAreEverOneImage) {
  // Deliveries as a proxy makes them: in order, one after another. The first may be heard from its middle on, any may
  // lose one chunk, and between two of them one chunk of the image may change.
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same cases each time
  const auto below = [&random](std::uint32_t bound) { return static_cast<std::uint32_t>(random() % bound); };
  int completed = 0;
  for (int round = 0; round < 3000; ++round) {
    ChunkAssembly assembly(1000);
    const std::uint32_t total = 1 + below(5);
    std::vector<int> versions(total, 1);  // of each chunk
    const auto whole = [&] {
      std::string text;
      for (std::uint32_t i = 0; i < total; ++i) text += text_of(piece(versions[i], i));
      return text;
    };
    std::set<std::string> existed;
    for (int delivery = 0; delivery < 10 && !assembly.complete(); ++delivery) {
      if (below(2) == 0) ++versions[below(total)];
      existed.insert(whole());
      const std::uint32_t begin = delivery == 0 ? below(total) : 0;
      const std::uint32_t lost = below(2) == 0 ? 1 + below(total) : total;
      for (std::uint32_t i = begin; i < total && !assembly.complete(); ++i) {
        if (i == lost) continue;
        ASSERT_TRUE(assembly.add(i, total, piece(versions[i], i)));
      }
    }
    if (!assembly.complete()) continue;
    ++completed;
    ASSERT_TRUE(existed.contains(text(assembly))) << text(assembly);
  }
  EXPECT_GT(completed, 1000);
}

TEST_F(Assembling, BoundsTheImageToTheByte) {
  ChunkAssembly assembly(10);
  ASSERT_TRUE(assembly.add(0, 3, Bytes(6, 1)));
  ASSERT_TRUE(assembly.add(1, 3, Bytes(4, 1)));
  const auto more = assembly.add(2, 3, Bytes(1, 1));
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code(), Code::size_limit);
}

TEST_F(Assembling, AHugeTotalTakesNoMemory) {
  ASSERT_TRUE(assembly_.add(131071, 131072, Bytes(1, 1)));
  EXPECT_LE(assembly_.held_bytes(), 1000U);
}

TEST_F(Assembling, ClearedItHoldsNothing) {
  add(1, 0);
  EXPECT_GT(assembly_.held_bytes(), 0U);
  assembly_.clear();
  EXPECT_EQ(assembly_.held_bytes(), 0U);
  EXPECT_FALSE(assembly_.full());
  for (std::uint32_t i = 0; i < 2; ++i) add(2, i, 2);
  EXPECT_TRUE(assembly_.complete());
}

}  // namespace
}  // namespace proplet::module
