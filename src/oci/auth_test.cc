#include "oci/auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/url.h"
#include "oci/challenge.h"
#include "oci/login.h"

namespace proplet::oci {
namespace {

// dTpw = u:p
TEST(AuthFile, FindsTheMostSpecificEntry) {
  const auto file = AuthFile::parse(bytes_of(R"({"auths":{
    "ghcr.io":{"auth":"aG9zdDpw"},
    "ghcr.io/acme":{"auth":"bmFtZXNwYWNlOnA="},
    "ghcr.io/acme/app":{"auth":"cmVwb3NpdG9yeTpw"},
    "https://index.docker.io/v1/":{"auth":"aHViOnA="},
    "https://registry.test/v2/":{"auth":"c2NoZW1lOnA="},
    "Upper.test:5000":{"username":"plain","password":"p"},
    "helper.test":{}},
    "credsStore":"desktop","credHelpers":{"x.test":"ecr-login"}})"));
  ASSERT_TRUE(file) << file.error().text();
  const std::pair<const char*, const char*> cases[] = {
      {"ghcr.io/acme/app:1", "repository"},
      {"ghcr.io/acme/app/sub", "repository"},
      {"ghcr.io/acme/application", "namespace"},
      {"ghcr.io/acme2/app", "host"},
      {"alpine", "hub"},
      {"docker.io/acme/x", "hub"},
      {"registry.test/a/b", "scheme"},
      {"upper.test:5000/a", "plain"},
      {"upper.test:5001/a", nullptr},
      {"xghcr.io/acme/app", nullptr},
      {"helper.test/a", nullptr},
      {"x.test/a", nullptr},
  };
  for (const auto& [reference, user] : cases) {
    const auto* const found = file->find(*Reference::parse(reference));
    ASSERT_EQ(found != nullptr, user != nullptr) << reference;
    if (found == nullptr) continue;
    EXPECT_EQ(found->username, user);
    EXPECT_TRUE(found->password.equals(bytes_of("p")));
  }
}

TEST(AuthFile, ReadsIdentityTokensAndPaddedPasswords) {
  const auto file = AuthFile::parse(bytes_of(R"({"auths":{"a.test":{"auth":"dTpwOnEK"},
    "b.test":{"auth":"dTo=","identitytoken":"refresh"}}})"));
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->find(*Reference::parse("a.test/x"))->password.equals(bytes_of("p:q")));
  const auto* const token = file->find(*Reference::parse("b.test/x"));
  EXPECT_TRUE(token->identity_token.equals(bytes_of("refresh")));
  EXPECT_TRUE(token->password.empty());
}

TEST(AuthFile, RefusesRubbishWithoutRepeatingIt) {
  const char* const cases[] = {"",
                               "[]",
                               R"({"auths":[]})",
                               R"({"auths":{"a.test":7}})",
                               R"({"auths":{"a.test":{"auth":"hunter2!"}}})",
                               R"({"auths":{"a.test":{"auth":"aHVudGVyMg=="}}})",
                               R"({"auths":{"a.test":{"auth":7}}})"};
  for (const auto* const text : cases) {
    const auto file = AuthFile::parse(bytes_of(text));
    ASSERT_FALSE(file) << text;
    EXPECT_EQ(file.error().code(), Code::config_invalid);
    EXPECT_THAT(file.error().text(), testing::Not(testing::HasSubstr("hunter2")));
  }
}

TEST(Challenge, ReadsWhatRegistriesSend) {
  const auto list = parse_challenges(
      R"(Negotiate, BEARER Realm = "https://a.test/t?x=\"y\",z" ,service=reg.test,scope="repository:a/b:pull,push", Basic realm="r")");
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].scheme, Challenge::Scheme::bearer);
  EXPECT_EQ(list[0].realm, R"(https://a.test/t?x="y",z)");
  EXPECT_EQ(list[0].service, "reg.test");
  EXPECT_EQ(list[0].scope, "repository:a/b:pull,push");
  EXPECT_EQ(list[1].scheme, Challenge::Scheme::basic);
}

TEST(Challenge, SurvivesRubbish) {
  for (const auto* const text :
       {"", ",,,", "=", "Bearer realm=\"open", "Bearer realm=", "\"\"\"", "Bearer =x", "a b c"}) {
    static_cast<void>(parse_challenges(text));
  }
  EXPECT_TRUE(parse_challenges("Negotiate").empty());
}

// GHSA-xf85-363p-868w: where credentials may go.
TEST(Realm, KeepsTheRules) {
  struct Case {
    const char* registry;
    const char* realm;
    bool allowed;
  };
  const Case cases[] = {
      {"https://r.test", "https://auth.test/token", true},
      {"https://r.test", "http://auth.test/token", false},
      {"http://r.test:5000", "http://auth.test/token", true},
      {"https://r.test", "https://127.0.0.1/token", false},
      {"https://r.test", "https://localhost/token", false},
      {"https://r.test", "https://169.254.169.254/latest", false},
      {"https://r.test", "https://10.0.0.1/token", false},
      {"https://r.test", "https://[::1]/token", false},
      {"https://r.test", "https://0.0.0.0/token", false},
      {"https://10.0.0.1", "https://10.0.0.1:8443/token", true},
      {"https://10.0.0.1", "https://10.0.0.2/token", false},
      {"http://127.0.0.1:5000", "http://127.0.0.1:5001/token", true},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(check_realm(*net::Url::parse(test.realm), *net::Url::parse(test.registry)).has_value(), test.allowed)
        << test.registry << " " << test.realm;
  }
}

}  // namespace
}  // namespace proplet::oci
