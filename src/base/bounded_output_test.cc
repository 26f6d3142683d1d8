#include "base/bounded_output.h"

#include <gtest/gtest.h>

namespace proplet {
namespace {

TEST(BoundedOutput, KeepsEverythingUpToTheLimit) {
  BoundedOutput output(10);
  output.append("12345");
  output.append("67890");
  EXPECT_EQ(output.text(), "1234567890");
  EXPECT_EQ(output.dropped(), 0U);
}

TEST(BoundedOutput, DropsTheMiddleAndSaysHowMuch) {
  BoundedOutput output(10);
  for (const char c : std::string("abcdefghijklmnopqrstuvwxyz")) output.append({&c, 1});
  EXPECT_EQ(output.text(), "abcde\n[16 bytes of output dropped]\nvwxyz");
  EXPECT_EQ(output.dropped(), 16U);
}

TEST(BoundedOutput, GivesTheSameForOneWriteAndMany) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += std::to_string(i);
  for (const std::size_t limit : {0U, 1U, 2U, 7U, 100U, 1000U, 100000U}) {
    BoundedOutput whole(limit);
    whole.append(text);
    for (const std::size_t step : {1U, 3U, 64U, 333U}) {
      BoundedOutput pieces(limit);
      for (std::size_t at = 0; at < text.size(); at += step) pieces.append(std::string_view(text).substr(at, step));
      EXPECT_EQ(pieces.text(), whole.text()) << "limit " << limit << " step " << step;
    }
  }
}

TEST(BoundedOutput, GivesTheEnd) {
  BoundedOutput output(8);
  output.append("0123456789");
  EXPECT_EQ(output.end(3), "789");
  EXPECT_EQ(output.end(100), "6789");
  BoundedOutput all(100);
  all.append("0123456789");
  EXPECT_EQ(all.end(4), "6789");
  EXPECT_EQ(all.end(100), "0123456789");
}

}  // namespace
}  // namespace proplet
