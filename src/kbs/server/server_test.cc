// The development broker: recorded requests against it, and the client against it, over loopback.
#include "kbs/server/server.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <thread>

#include "attestation/fake_attester.h"
#include "attestation/sample_attester.h"
#include "base/encoding.h"
#include "crypto/jwe.h"
#include "crypto/jwt.h"
#include "kbs/protocol.h"
#include "kbs/server/policy.h"
#include "kbs/server/sessions.h"
#include "kbs/test_support.h"

namespace proplet::kbs {
namespace {

const ResourceUri kAdd = *ResourceUri::parse("default/key/add");

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override { broker_.upload(*http_, "default/key/add", kSecret); }

  net::HttpResponse send(const std::string& method, const std::string& path, std::string_view body = "",
                         net::HttpHeaders headers = {}) {
    const net::HttpRequest request{
        .method = method, .url = broker_.url(path), .headers = std::move(headers), .body = bytes_of(body)};
    auto response = http_->send(request);
    EXPECT_TRUE(response) << response.error().text();
    return response ? *response : net::HttpResponse{.url = request.url};
  }

  struct Opened {
    std::string cookie;
    std::string nonce;
  };
  Opened open_session(const std::string& tee = "sample") {
    const auto response =
        send("POST", "/kbs/v0/auth", R"({"version":"0.4.0","tee":")" + tee + R"(","extra-params":""})");
    EXPECT_EQ(response.status, 200);
    const auto header = std::string(response.header("set-cookie").value_or(""));
    const auto body = *json::parse_object(text_of(response.body));
    return {.cookie = header.substr(0, header.find(';')), .nonce = std::string(body.at("nonce").as_string())};
  }
  // A valid attestation of `key_` for the session; tests spoil it.
  json::object attestation(const Opened& session) const {
    const auto jwk = tee_public_jwk(key_.public_key());
    const auto data = primary_report_data(crypto::DigestAlgorithm::sha384, session.nonce, jwk, "");
    return *json::parse_object(
        fmt::format(R"({{"init-data":null,"runtime-data":{{"nonce":"{}","tee-pubkey":{}}},"tee-evidence":)"
                    R"({{"primary_evidence":{{"svn":"1","report_data":"{}"}},"additional_evidence":""}}}})",
                    session.nonce, json::serialize(jwk), base64_encode(data)));
  }
  net::HttpResponse attest(const Opened& session, const json::object& message) {
    return send("POST", "/kbs/v0/attest", json::serialize(message), {{"Cookie", session.cookie}});
  }
  std::string token_of(const net::HttpResponse& response) {
    EXPECT_EQ(response.status, 200);
    return std::string(json::parse_object(text_of(response.body))->at("token").as_string());
  }
  void expect_refusal(const net::HttpResponse& response, std::string_view variant, const std::string& what,
                      int status = 401) {
    EXPECT_EQ(response.status, status) << what;
    const auto error = parse_error_information(response.body);
    ASSERT_TRUE(error) << what;
    EXPECT_EQ(error->variant, variant) << what;
  }

  static constexpr std::string_view kSecret = "0123456789abcdef0123456789abcdef";
  TestBroker broker_;
  std::unique_ptr<net::HttpClient> http_ = *net::make_http_client({});
  attestation::SampleAttester attester_;
  crypto::PrivateKey key_ = *crypto::PrivateKey::generate(crypto::KeyKind::p256);
};

TEST_F(ServerTest, AnswersTheRecordedRequestsAsTrusteeDoes) {
  const auto session = open_session();
  token_of(attest(session, attestation(session)));
  int compared = 0;
  for (const auto* name : {"errors", "passport"}) {
    const auto file = recording(name);
    for (const auto& exchange : file.at("exchanges").as_array()) {
      const auto path = text_member(exchange, "path");
      const auto& note = exchange.at("note");
      const std::string what = note.is_string() ? std::string(note.as_string()) : "";
      const bool of_auth = path == "/kbs/v0/auth";
      // Those bound to a nonce of the recorded broker have live tests below.
      if (path == "/kbs/v0/attest" && exchange.at("request") != json::object()) continue;
      if (what == "with bearer token, no cookie" || what == "3 MiB body") continue;

      std::string body;
      if (const auto* object = exchange.at("request").if_object()) {
        const auto* base64 = object->if_contains("base64");
        body = base64 != nullptr ? std::string(text_of(*base64_decode(std::string(base64->as_string()))))
                                 : json::serialize(*object);
      }
      net::HttpHeaders headers;
      for (const auto& header : exchange.at("request_headers").as_object()) {
        headers.emplace_back(header.key(), header.value().as_string());
      }
      // The errors of resources were recorded in an attested session.
      if (!of_auth && std::string_view(name) == "errors" && path.starts_with("/kbs/v0/resource") &&
          what != "cookie but not attested") {
        headers.emplace_back("Cookie", session.cookie);
      }
      std::string encoded = path;
      for (auto at = encoded.find(' '); at != std::string::npos; at = encoded.find(' ')) encoded.replace(at, 1, "%20");
      const auto response = send(text_member(exchange, "method"), encoded, body, headers);
      EXPECT_EQ(response.status, exchange.at("status").as_int64()) << name << ": " << what;
      if (response.status != 200) {
        EXPECT_EQ(*json::parse(text_of(response.body)), exchange.at("response")) << name << ": " << what;
      }
      ++compared;
    }
  }
  EXPECT_GT(compared, 25);
}

TEST(AdminRecordings, AreAnsweredAsByTrustee) {
  // The administrator of the recordings.
  const auto key = *crypto::PublicKey::from_pem(
      "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAzy4lxdmiW286Y014DP3A8JxAfIynQYxd9hnOgioURDU=\n-----END PUBLIC "
      "KEY-----\n");
  const TestFolder folder;
  const TestClock clock;
  SystemRandom random;
  Log log(LogLevel::error, LogFormat::text);
  const auto server = *make_server(
      {.folder = folder.path(), .admin_key = key, .max_admin_token_life = std::chrono::years(100)}, clock, random, log);
  ASSERT_TRUE(server->start());
  const auto http = *net::make_http_client({});
  const auto file = recording("admin");
  for (const auto& exchange : file.at("exchanges").as_array()) {
    const auto body = *base64_decode(text_member(exchange.at("request"), "base64"));
    net::HttpRequest request{
        .method = "POST", .url = loopback(server->port(), text_member(exchange, "path")), .body = body};
    for (const auto& header : exchange.at("request_headers").as_object()) {
      request.headers.emplace_back(header.key(), header.value().as_string());
    }
    const auto response = http->send(request);
    ASSERT_TRUE(response);
    EXPECT_EQ(response->status, exchange.at("status").as_int64());
    if (response->status == 200) {
      EXPECT_EQ(response->header("content-type"), "text/xml");
      EXPECT_TRUE(response->body.empty());
    } else {
      EXPECT_EQ(*json::parse(text_of(response->body)), exchange.at("response"));
    }
  }
  EXPECT_EQ(hex_encode(*read_file(folder.path() + "/repository/default/key/add", 100)),
            recording("handshake").at("plaintext_hex").at(0).as_string());
}

TEST_F(ServerTest, EncryptsToRsaKeysToo) {
  key_ = *crypto::PrivateKey::generate(crypto::KeyKind::rsa);
  const auto session = open_session();
  token_of(attest(session, attestation(session)));
  const auto response = send("GET", "/kbs/v0/resource/default/key/add", "", {{"Cookie", session.cookie}});
  const auto secret = crypto::jwe_decrypt(text_of(response.body), key_, {crypto::JweAlgorithm::rsa_oaep_256});
  ASSERT_TRUE(secret) << secret.error().text();
  EXPECT_TRUE(secret->equals(bytes_of(kSecret)));
}

TEST_F(ServerTest, RefusesABodyAboveTheLimitInTrusteesWords) {
  const auto response = send("POST", "/kbs/v0/auth", std::string(std::size_t{3} << 20, 'x'));
  EXPECT_EQ(response.status, 413);
  EXPECT_EQ(text_of(response.body), "payload reached size limit");
}

TEST_F(ServerTest, JudgesAttestationsAsTrusteeDoes) {
  struct Case {
    std::string name;
    std::function<void(json::object&)> spoil;
    bool accepted;
  };
  const auto evidence = [](json::object& m) -> json::object& { return m.at("tee-evidence").as_object(); };
  const std::vector<Case> cases = {
      {"valid", [](json::object&) {}, true},
      {"no init-data", [](json::object& m) { m.erase("init-data"); }, true},
      {"extra jwk member", [](json::object& m) { m.at("runtime-data").at("tee-pubkey").as_object()["use"] = "enc"; },
       true},
      {"nonce", [](json::object& m) { m.at("runtime-data").as_object()["nonce"] = "AAAA"; }, false},
      {"report data", [&](json::object& m) { evidence(m).at("primary_evidence").as_object()["report_data"] = "MDAw"; },
       false},
      {"padded report data",
       [&](json::object& m) {
         auto& text = evidence(m).at("primary_evidence").at("report_data").as_string();
         auto bytes = *base64_decode(std::string(text));
         bytes.resize(64);
         text = base64_encode(bytes);
       },
       false},
      {"evidence type", [&](json::object& m) { evidence(m)["primary_evidence"] = "x"; }, false},
      {"additional object", [&](json::object& m) { evidence(m)["additional_evidence"] = json::object(); }, false},
      {"additional unbound", [&](json::object& m) { evidence(m)["additional_evidence"] = "{}"; }, false},
      {"no key", [](json::object& m) { m.at("runtime-data").as_object().erase("tee-pubkey"); }, false},
      {"another key",
       [](json::object& m) { m.at("runtime-data").at("tee-pubkey").as_object()["x"] = std::string(43, 'A'); }, false},
  };
  for (const auto& c : cases) {
    const auto session = open_session();
    auto message = attestation(session);
    c.spoil(message);
    const auto response = attest(session, message);
    if (c.accepted) {
      EXPECT_EQ(response.status, 200) << c.name;
    } else {
      expect_refusal(response, "AttestationError", c.name);
      EXPECT_EQ(parse_error_information(response.body)->detail, "Attestation error: RCAR handshake Attest failed");
    }
  }
}

TEST_F(ServerTest, RepeatsTheOldTokenInAnAttestedSession) {
  const auto session = open_session();
  const auto first = token_of(attest(session, attestation(session)));
  key_ = *crypto::PrivateKey::generate(crypto::KeyKind::p256);
  EXPECT_EQ(token_of(attest(session, attestation(session))), first);
}

TEST_F(ServerTest, IssuesTokensInTheShapeOfTrustee) {
  const auto session = open_session();
  const auto token = *crypto::jwt_parse_unverified(token_of(attest(session, attestation(session))));
  const auto real =
      *crypto::jwt_parse_unverified(text_member(recording("handshake").at("exchanges").at(2).at("response"), "token"));
  for (const auto& member : real.header) EXPECT_TRUE(token.header.contains(member.key())) << member.key();
  for (const auto& member : real.claims) EXPECT_TRUE(token.claims.contains(member.key())) << member.key();
  const auto cpu = [](const crypto::Jwt& jwt) { return jwt.claims.at("submods").at("cpu0"); };
  EXPECT_EQ(cpu(token).at("ear.trustworthiness-vector"), cpu(real).at("ear.trustworthiness-vector"));
  const auto evidence = [&](const crypto::Jwt& jwt) { return cpu(jwt).at("ear.veraison.annotated-evidence"); };
  EXPECT_EQ(evidence(token).at("sample"), evidence(real).at("sample"));
  EXPECT_EQ(evidence(token).at("runtime_data_claims").at("tee-pubkey"), tee_public_jwk(key_.public_key()));
}

TEST_F(ServerTest, TakesATokenInsteadOfACookieAndEncryptsToItsKey) {
  const auto session = open_session();
  const auto bearer = "Bearer " + token_of(attest(session, attestation(session)));
  const auto path = "/kbs/v0/resource/default/key/add";
  const auto opened = [&](const net::HttpResponse& response, const crypto::PrivateKey& key) {
    const auto secret = crypto::jwe_decrypt(text_of(response.body), key, {crypto::JweAlgorithm::ecdh_es_a256kw});
    return secret && text_of(secret->view()) == kSecret;
  };
  EXPECT_TRUE(opened(send("GET", path, "", {{"Authorization", bearer}}), key_));

  // A live session wins over a token: the response is for the session's key.
  const auto old_key = std::exchange(key_, *crypto::PrivateKey::generate(crypto::KeyKind::p256));
  const auto other = open_session();
  token_of(attest(other, attestation(other)));
  const auto both = send("GET", path, "", {{"Authorization", bearer}, {"Cookie", other.cookie}});
  EXPECT_TRUE(opened(both, key_));
  EXPECT_FALSE(opened(both, old_key));

  broker_.clock().advance(std::chrono::seconds(300 + 61));
  expect_refusal(send("GET", path, "", {{"Authorization", bearer}}), "TokenVerifierError", "expired token");
  expect_refusal(send("GET", path, "", {{"Cookie", other.cookie}}), "TokenNotFound", "expired session");
}

TEST_F(ServerTest, FailsOnKeysThatTheProtocolDoesNotKnow) {
  key_ = *crypto::PrivateKey::generate(crypto::KeyKind::p384);
  const auto session = open_session();
  token_of(attest(session, attestation(session)));
  expect_refusal(send("GET", "/kbs/v0/resource/default/key/add", "", {{"Cookie", session.cookie}}), "JweError",
                 "P-384");
}

TEST_F(ServerTest, EndsSessionsAndBoundsTheirNumber) {
  const auto session = open_session();
  broker_.clock().advance(std::chrono::seconds(300));
  expect_refusal(attest(session, attestation(session)), "AttestationError", "expired");

  SystemRandom random;
  Sessions sessions(2, std::chrono::seconds(10), broker_.clock(), random);
  const auto first = sessions.open(attestation::Tee::sample);
  broker_.clock().advance(std::chrono::seconds(1));
  const auto second = sessions.open(attestation::Tee::sample);
  EXPECT_TRUE(sessions.attest(first->id, "token"));
  const auto third = sessions.open(attestation::Tee::sample);
  EXPECT_TRUE(sessions.find(first->id)) << "attested sessions stay";
  EXPECT_FALSE(sessions.find(second->id)) << "the oldest that is not attested goes";
  EXPECT_TRUE(sessions.attest(third->id, "token"));
  EXPECT_FALSE(sessions.open(attestation::Tee::sample)) << "nobody is pushed out of an attested session";
}

TEST_F(ServerTest, RefusesHardwareAndUnwantedSampleEvidence) {
  const auto hardware = open_session("tdx");
  expect_refusal(attest(hardware, attestation(hardware)), "AttestationError", "tdx");
  TestBroker strict({.folder = {}, .allow_sample = false});
  const auto client = *make_client({.url = strict.url()}, *http_, attester_, strict.clock());
  const auto secret = client->get_resource(kAdd, nullptr, {});
  ASSERT_FALSE(secret);
  EXPECT_EQ(secret.error().code(), Code::kbs_attestation_rejected);
}

TEST_F(ServerTest, AdmitsOnlyTheAdministrator) {
  const auto path = "/kbs/v0/resource/default/key/x";
  const auto expect_detail = [&](const net::HttpHeaders& headers, const std::string& detail) {
    const auto response = send("POST", path, "secret", headers);
    expect_refusal(response, "AdminAuthInitialization", detail);
    EXPECT_EQ(parse_error_information(response.body)->detail, "failed to initialize [admin] configuration: " + detail);
  };
  expect_detail({}, "Failed to parse HTTP Auth Bearer header");
  expect_detail({{"Authorization", "Bearer x.y.z"}}, "Admin access denied: invalid token");
  const auto stranger = *crypto::PrivateKey::generate(crypto::KeyKind::ed25519);
  expect_detail({{"Authorization", "Bearer " + *make_admin_token(stranger, broker_.clock())}},
                "Admin access denied: invalid token");
  const auto lasting = *make_admin_token(broker_.admin_key(), broker_.clock(), {.lifetime = std::chrono::hours(25)});
  expect_detail({{"Authorization", "Bearer " + lasting}}, "Admin access denied: the token lives too long");
  const auto token = broker_.admin_token();
  broker_.clock().advance(std::chrono::seconds(60 + 61));
  expect_detail({{"Authorization", "Bearer " + token}}, "Admin access denied: invalid token");
  expect_refusal(send("POST", "/kbs/v0/resource-policy", "{}"), "AdminAuthAccess", "policy");
}

TEST_F(ServerTest, StoresResourcesPrivatelyAndRemovesThem) {
  const auto file = broker_.folder() + "/repository/default/key/add";
  struct stat info{};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0600U);
  ASSERT_EQ(::stat((broker_.folder() + "/repository/default").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0700U);

  EXPECT_TRUE(delete_resource(*http_, broker_.url(), broker_.admin_token(), kAdd));
  const auto again = delete_resource(*http_, broker_.url(), broker_.admin_token(), kAdd);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Code::kbs_resource_unavailable);
  const auto denied = upload_resource(*http_, broker_.url(), "x.y.z", kAdd, {});
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code(), Code::kbs_denied);
}

TEST_F(ServerTest, RoutesAsTrusteeDoes) {
  expect_refusal(send("GET", "/kbs/v0/auth"), "PluginNotFound", "wrong method", 404);
  expect_refusal(send("PUT", "/kbs/v0/resource/default/key/add", "x"), "TokenNotFound", "PUT takes the token path");
  EXPECT_EQ(send("PATCH", "/kbs/v0/resource/default/key/add", "x").status, 405);
  EXPECT_EQ(send("GET", "/healthz").status, 200);
  EXPECT_EQ(send("GET", "/elsewhere").status, 404);
}

TEST_F(ServerTest, AppliesThePolicyAndKeepsIt) {
  const auto client = *make_client({.url = broker_.url()}, *http_, attester_, broker_.clock());
  EXPECT_TRUE(client->get_resource(kAdd, nullptr, {}));
  const auto set = [&](std::string_view text) {
    return set_policy(*http_, broker_.url(), broker_.admin_token(), text);
  };
  ASSERT_TRUE(set(R"({"rules":[{"tee":["sample"],"path":"default/other/*"}]})"));
  const auto expect_denied = [&] {
    const auto secret = client->get_resource(kAdd, nullptr, {});
    ASSERT_FALSE(secret);
    EXPECT_EQ(secret.error().code(), Code::kbs_denied);
  };
  expect_denied();
  broker_.restart();
  expect_denied();
  EXPECT_EQ(set("package policy\ndefault allow = true").error().code(), Code::config_invalid);
  expect_denied();
}

TEST(Policy, MatchesSegmentsAndDeniesTheRest) {
  using attestation::Tee;
  const auto policy = *Policy::parse(R"({"rules":[{"tee":["sample","tdx"],"path":"default/key/*"},
                                                  {"tee":["snp"],"path":"team-*/*/add"}]})");
  EXPECT_TRUE(policy.allows(Tee::sample, "default/key/add"));
  EXPECT_TRUE(policy.allows(Tee::snp, "team-a/x/add"));
  EXPECT_FALSE(policy.allows(Tee::snp, "default/key/add"));
  EXPECT_FALSE(policy.allows(Tee::tdx, "default/key2/add"));
  EXPECT_FALSE(policy.allows(Tee::tdx, "default/key/a/b"));
  EXPECT_FALSE(policy.allows(Tee::tdx, "default/key"));
  EXPECT_FALSE(Policy::parse(R"({"rules":[]})")->allows(Tee::sample, "a/b/c"));
  for (const auto* bad :
       {"", "[]", "{}", R"({"rules":[{}]})", R"({"rules":[{"tee":["x"],"path":"a/b/c"}]})",
        R"({"rules":[{"tee":["tdx"],"path":"a/b"}]})", R"({"rules":[{"tee":["tdx"],"path":"a/*b/c"}]})",
        R"({"rules":[{"tee":["tdx"],"path":"a/b/c","allow":true}]})"}) {
    const auto refused = Policy::parse(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code(), Code::config_invalid);
  }
}

TEST_F(ServerTest, ServesTheClientFromOneHandshakeUntilItExpires) {
  CountingHttp http(*http_);
  const auto client = *make_client({.url = broker_.url("/")}, http, attester_, broker_.clock());
  for (int i = 0; i < 3; ++i) {
    const auto secret = client->get_resource(kAdd, nullptr, {});
    ASSERT_TRUE(secret) << secret.error().text();
    EXPECT_TRUE(secret->equals(bytes_of(kSecret)));
  }
  EXPECT_EQ(http.handshakes, 1);
  broker_.clock().advance(std::chrono::seconds(271));  // 29 s before the token expires
  EXPECT_TRUE(client->get_resource(kAdd, nullptr, {}));
  EXPECT_EQ(http.handshakes, 2);
  EXPECT_EQ(http.resources, 4);
}

TEST_F(ServerTest, LetsTheClientRecoverOnceWhenItsSessionIsLost) {
  CountingHttp http(*http_);
  const auto client = *make_client({.url = broker_.url()}, http, attester_, broker_.clock());
  EXPECT_TRUE(client->get_resource(kAdd, nullptr, {}));
  broker_.restart();  // new token key, no sessions
  EXPECT_TRUE(client->get_resource(kAdd, nullptr, {}));
  EXPECT_EQ(http.handshakes, 2);
  EXPECT_EQ(http.resources, 3);
}

TEST_F(ServerTest, KeepsTheTokenKeyWhenAsked) {
  broker_.options().keep_token_key = true;
  broker_.restart();
  CountingHttp http(*http_);
  const auto client = *make_client({.url = broker_.url()}, http, attester_, broker_.clock());
  EXPECT_TRUE(client->get_resource(kAdd, nullptr, {}));
  broker_.restart();
  EXPECT_TRUE(client->get_resource(kAdd, nullptr, {})) << "the token still counts";
  EXPECT_EQ(http.handshakes, 1);
  struct stat info{};
  ASSERT_EQ(::stat((broker_.folder() + "/token-key.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0600U);
}

TEST_F(ServerTest, GivesConcurrentCallersOneHandshake) {
  CountingHttp http(*http_);
  attestation::SampleAttester attester;
  const auto client = *make_client({.url = broker_.url()}, http, attester, broker_.clock());
  std::atomic<int> good = 0;
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < 8; ++i) {
      callers.emplace_back([&] {
        const auto secret = client->get_resource(kAdd, nullptr, {});
        if (secret && secret->equals(bytes_of(kSecret))) ++good;
      });
    }
  }
  EXPECT_EQ(good, 8);
  EXPECT_EQ(http.handshakes, 1);
}

TEST_F(ServerTest, ReportsStagesToTheObserver) {
  struct Stages final : StageObserver {
    void stage_finished(Stage stage, std::chrono::nanoseconds) override { seen.push_back(stage); }
    std::vector<Stage> seen;
  } stages;
  const auto client = *make_client({.url = broker_.url()}, *http_, attester_, broker_.clock());
  EXPECT_TRUE(client->get_resource(kAdd, &stages, {}));
  EXPECT_TRUE(client->get_resource(kAdd, &stages, {}));
  EXPECT_EQ(stages.seen, (std::vector{Stage::attest, Stage::key, Stage::key}));
}

TEST_F(ServerTest, ReleasesEmptyAndLargeResourcesUnchanged) {
  const auto client =
      *make_client({.url = broker_.url(), .max_resource_bytes = 100000}, *http_, attester_, broker_.clock());
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{100000}}) {
    const std::string bytes(size, '\xff');
    broker_.upload(*http_, "default/key/sized", bytes);
    const auto secret = client->get_resource(*ResourceUri::parse("default/key/sized"), nullptr, {});
    ASSERT_TRUE(secret) << size << secret.error().text();
    EXPECT_TRUE(secret->equals(bytes_of(bytes)));
  }
  broker_.upload(*http_, "default/key/sized", std::string(100001, 'x'));
  const auto secret = client->get_resource(*ResourceUri::parse("default/key/sized"), nullptr, {});
  ASSERT_FALSE(secret);
  EXPECT_EQ(secret.error().code(), Code::kbs_protocol);
}

}  // namespace
}  // namespace proplet::kbs
