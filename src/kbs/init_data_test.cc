#include "kbs/init_data.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace proplet::kbs {
namespace {

constexpr std::string_view kText =
    "version = \"0.1.0\"\nalgorithm = \"sha384\"\n\n[data]\n\"aa.toml\" = '''\nurl = 1\n'''\n";

TEST(InitData, KeepsTheTextAsItIsAndHashesItByItsOwnAlgorithm) {
  const auto data = parse_init_data(std::string(kText));
  ASSERT_TRUE(data) << data.error().text();
  EXPECT_EQ(data->text, kText);
  // printf ... | sha384sum
  EXPECT_EQ(hex_encode(data->digest),
            "534d7429ce9afeec839ff5b4b55ee48d7933a9cfe46b706f98a50cf5850b62b0cc5c19c6d8d7a7ef452944f794e67546");
}

TEST(InitData, KnowsTheAlgorithmsThatBrokersAndWeShare) {
  for (const auto& [name, size] : {std::pair("sha256", 32U), {"sha384", 48U}, {"sha512", 64U}}) {
    const auto data = parse_init_data(fmt::format("version = '0.1.0'\nalgorithm = '{}'\n[data]\n", name));
    ASSERT_TRUE(data) << name;
    EXPECT_EQ(data->digest.size(), size);
  }
}

TEST(InitData, RefusesWhatABrokerCouldNotUseWithoutQuotingIt) {
  for (const auto* text : {"", "algorithm = 'sha384'", "version = '0.1.0'", "version = '0.1.0'\nalgorithm = 'sha-384'",
                           "version = '0.1.0'\nalgorithm = 'sm3'", "version = 1\nalgorithm = 'sha256'",
                           "version = '0.1.0'\nalgorithm = 5", "secret secret"}) {
    const auto data = parse_init_data(text);
    ASSERT_FALSE(data) << text;
    EXPECT_EQ(data.error().code(), Code::config_invalid) << text;
    EXPECT_EQ(data.error().text().find("secret"), std::string::npos) << data.error().text();
  }
}

TEST(InitData, NamesTheFileThatIsMissing) {
  const auto data = read_init_data("/does/not/exist.toml");
  ASSERT_FALSE(data);
  EXPECT_NE(data.error().text().find("/does/not/exist.toml"), std::string::npos);
}

}  // namespace
}  // namespace proplet::kbs
