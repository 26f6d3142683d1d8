#include "kbs/aa_config.h"

#include <gtest/gtest.h>

#include "kbs/test_support.h"

namespace proplet::kbs {
namespace {

TEST(AaConfig, ReadsTheSectionOfTheKeyBroker) {
  const auto toml = parse_aa_config(R"(
[token_configs.coco_as]
url = "http://127.0.0.1:8000"
[token_configs.kbs]
url = "https://kbs.example.com:8080"
cert = """-----BEGIN CERTIFICATE-----
AAAA
-----END CERTIFICATE-----
"""
[eventlog_config]
init_pcr = 17
)",
                                    AaConfigFormat::toml);
  ASSERT_TRUE(toml) << toml.error().text();
  EXPECT_EQ(toml->url.host(), "kbs.example.com");
  EXPECT_TRUE(toml->certificate_pem.starts_with("-----BEGIN CERTIFICATE-----\n"));

  const auto json =
      parse_aa_config(R"({"token_configs":{"kbs":{"url":"http://127.0.0.1:8080"}},"log":{}})", AaConfigFormat::json);
  ASSERT_TRUE(json) << json.error().text();
  EXPECT_EQ(json->url.port(), 8080);
  EXPECT_TRUE(json->certificate_pem.empty());
}

TEST(AaConfig, RefusesWhatItCannotUse) {
  for (const auto* text : {"", "[token_configs.coco_as]\nurl = 'http://h'", "[token_configs.kbs]\n", "[token_configs",
                           "[token_configs.kbs]\nurl = 5", "[token_configs.kbs]\nurl = 'ftp://h'",
                           "[token_configs.kbs]\nurl = 'http://h'\ncert = true"}) {
    const auto config = parse_aa_config(text, AaConfigFormat::toml);
    ASSERT_FALSE(config) << text;
    EXPECT_EQ(config.error().code(), Code::config_invalid) << text;
  }
  for (const auto* text : {"", "{}", R"({"token_configs":{"kbs":{}}})", R"({"token_configs":{"kbs":{"url":1}}})"}) {
    const auto config = parse_aa_config(text, AaConfigFormat::json);
    ASSERT_FALSE(config) << text;
    EXPECT_EQ(config.error().code(), Code::config_invalid) << text;
  }
}

TEST(AaConfig, TellsTheFormatByTheFileName) {
  const TestFolder folder;
  const auto json = folder.path() + "/aa.json";
  const auto toml = folder.path() + "/aa.toml";
  ASSERT_TRUE(write_file_atomically(json, bytes_of(R"({"token_configs":{"kbs":{"url":"http://a"}}})"), 0600));
  ASSERT_TRUE(write_file_atomically(toml, bytes_of("[token_configs.kbs]\nurl = 'http://b'"), 0600));
  EXPECT_EQ(read_aa_config(json)->url.host(), "a");
  EXPECT_EQ(read_aa_config(toml)->url.host(), "b");
  EXPECT_EQ(read_aa_config(folder.path() + "/none").error().code(), Code::io_failed);
}

}  // namespace
}  // namespace proplet::kbs
