#include "net/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace proplet::net {
namespace {

Url url(std::string_view text) {
  auto parsed = Url::parse(text);
  EXPECT_TRUE(parsed) << text << ": " << (parsed ? "" : parsed.error().text());
  return *parsed;
}

struct ParseCase {
  std::string_view text, normalised, host;
  int port;
  std::string_view path_and_query;
};

TEST(Url, SplitsAndNormalisesAbsoluteUrls) {
  const ParseCase cases[] = {
      {"https://example.com", "https://example.com/", "example.com", 443, "/"},
      {"HTTPS://EXAMPLE.com:443/A", "https://example.com/A", "example.com", 443, "/A"},
      {"http://example.com:443/", "http://example.com:443/", "example.com", 443, "/"},
      {"http://localhost:5000/v2/?a=b&c=%20", "http://localhost:5000/v2/?a=b&c=%20", "localhost", 5000,
       "/v2/?a=b&c=%20"},
      {"https://example.com?q", "https://example.com/?q", "example.com", 443, "/?q"},
      {"http://[0:0::1]:80/x", "http://[::1]/x", "[::1]", 80, "/x"},
      {"http://127.0.0.1:8080/a/../b", "http://127.0.0.1:8080/a/../b", "127.0.0.1", 8080, "/a/../b"},
  };
  for (const auto& expected : cases) {
    const auto parsed = url(expected.text);
    EXPECT_EQ(parsed.text(), expected.normalised);
    EXPECT_EQ(parsed.host(), expected.host);
    EXPECT_EQ(parsed.port(), expected.port);
    EXPECT_EQ(parsed.path_and_query(), expected.path_and_query);
  }
}

TEST(Url, RefusesWhatCouldMeanTwoThings) {
  const std::string_view cases[] = {
      "",
      "example.com/x",
      "/x",
      "ftp://example.com/",
      "file:///etc/passwd",
      "https:/example.com",
      "https://",
      "https:///x",
      "https://user@example.com/",
      "https://user:secret@example.com/",
      "https://example.com:0/",
      "https://example.com:65536/",
      "https://example.com:/",
      "https://example.com:8a/",
      "https://exa mple.com/",
      "https://example.com/a b",
      "https://example.com/a\r\nHost: evil",
      "https://example.com/#fragment",
      "https://example.com\\@evil.com/",
      "https://example..com/",
      "https://example.com./",
      "https://127.1/",
      "https://2130706433/",
      "https://0x7f000001/",
      "https://127.0.0.0x1/",
      "https://127.0.0.01/",
      "https://[::1/",
      "https://[::1%25eth0]/",
      "https://[127.0.0.1]/",
      "https://ex\xc3\xa4mple.com/",
  };
  for (const auto text : cases) EXPECT_FALSE(Url::parse(text)) << text;
}

TEST(Url, NeverRepeatsItsInputInErrors) {
  EXPECT_THAT(Url::parse("https://user:hunter2@example.com/").error().text(),
              testing::Not(testing::HasSubstr("hunter2")));
}

// RFC 3986 section 5.4, without the references that carry no meaning in HTTP.
TEST(Url, ResolvesReferencesAsRfc3986Says) {
  const auto base = url("http://a.test/b/c/d;p?q");
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"http://other.test:81/x", "http://other.test:81/x"},
      {"g", "http://a.test/b/c/g"},
      {"./g", "http://a.test/b/c/g"},
      {"g/", "http://a.test/b/c/g/"},
      {"/g", "http://a.test/g"},
      {"//g.test", "http://g.test/"},
      {"?y", "http://a.test/b/c/d;p?y"},
      {"g?y", "http://a.test/b/c/g?y"},
      {"g#s", "http://a.test/b/c/g"},
      {";x", "http://a.test/b/c/;x"},
      {"", "http://a.test/b/c/d;p?q"},
      {".", "http://a.test/b/c/"},
      {"..", "http://a.test/b/"},
      {"../g", "http://a.test/b/g"},
      {"../..", "http://a.test/"},
      {"../../../g", "http://a.test/g"},
      {"/./g", "http://a.test/g"},
      {"g.", "http://a.test/b/c/g."},
      {"g..", "http://a.test/b/c/g.."},
      {"./g/.", "http://a.test/b/c/g/"},
      {"g/./h", "http://a.test/b/c/g/h"},
      {"g/../h", "http://a.test/b/c/h"},
      {"g?y/../x", "http://a.test/b/c/g?y/../x"},
  };
  for (const auto& [reference, expected] : cases) {
    const auto resolved = base.resolve(reference);
    ASSERT_TRUE(resolved) << reference;
    EXPECT_EQ(resolved->text(), expected) << reference;
  }
  EXPECT_FALSE(base.resolve("ftp://a.test/"));
  EXPECT_FALSE(base.resolve("javascript:alert(1)"));
  EXPECT_FALSE(base.resolve("//user@evil.test/"));
}

TEST(Url, KnowsAnOriginBySchemeHostAndPort) {
  const auto base = url("https://a.test/x");
  EXPECT_TRUE(base.same_origin(url("https://a.test:443/y?z")));
  EXPECT_FALSE(base.same_origin(url("http://a.test/x")));
  EXPECT_FALSE(base.same_origin(url("https://a.test:8443/x")));
  EXPECT_FALSE(base.same_origin(url("https://b.test/x")));
}

TEST(Url, KnowsInternalAddresses) {
  for (const auto text : {"localhost", "127.0.0.1", "127.255.0.9", "[::1]"}) {
    EXPECT_TRUE(url("http://" + std::string(text) + "/").is_loopback()) << text;
  }
  for (const auto text : {"localhost.example.com", "128.0.0.1", "[::2]", "[::ffff:127.0.0.1]", "10.0.0.1"}) {
    EXPECT_FALSE(url("http://" + std::string(text) + "/").is_loopback()) << text;
  }
  for (const auto text : {"localhost", "x.localhost", "127.1.2.3", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]",
                          "[::ffff:0.0.0.0]"}) {
    EXPECT_TRUE(url("https://" + std::string(text) + "/").is_this_machine()) << text;
  }
  for (const auto text : {"localhost.example.com", "10.0.0.1", "[2001:db8::1]", "[::ffff:10.0.0.1]", "example.com"}) {
    EXPECT_FALSE(url("https://" + std::string(text) + "/").is_this_machine()) << text;
  }
  for (const auto text :
       {"127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "[::1]",
        "[::]", "[fe80::1]", "[fd00::1]", "[::ffff:10.0.0.1]", "localhost", "x.localhost"}) {
    EXPECT_TRUE(url("http://" + std::string(text) + "/").is_internal_address()) << text;
  }
  for (const auto text : {"172.32.0.1", "8.8.8.8", "[2001:db8::1]", "example.com", "10.example.com"}) {
    EXPECT_FALSE(url("http://" + std::string(text) + "/").is_internal_address()) << text;
  }
}

TEST(Url, KnowsTheAddressesOfMetadataServices) {
  for (const auto text : {"169.254.169.254", "169.254.0.1", "[fe80::1]", "[febf::1]", "[::ffff:169.254.169.254]",
                          "[::169.254.169.254]", "[64:ff9b::169.254.169.254]", "100.100.100.200", "[fd00:ec2::254]"}) {
    EXPECT_TRUE(url("http://" + std::string(text) + "/").is_link_local_address()) << text;
  }
  for (const auto text : {"169.253.1.1", "127.0.0.1", "10.0.0.1", "[fec0::1]", "[::1]", "[::ffff:10.0.0.1]",
                          "[64:ff9b::8.8.8.8]", "example.com", "169.254.example.com"}) {
    EXPECT_FALSE(url("http://" + std::string(text) + "/").is_link_local_address()) << text;
  }
}

TEST(Url, LeavesTheQueryOutOfMessages) {
  EXPECT_EQ(url("https://s3.test/blob?X-Amz-Signature=abc").for_messages(), "https://s3.test/blob");
}

TEST(PercentEncode, KeepsOnlyUnreservedCharacters) {
  EXPECT_EQ(percent_encode("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(percent_encode("repository:a/b:pull,push \xff"), "repository%3Aa%2Fb%3Apull%2Cpush%20%FF");
}

}  // namespace
}  // namespace proplet::net
