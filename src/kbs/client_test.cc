// The client against prepared answers, recorded or hostile.
#include "kbs/client.h"

#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "attestation/fake_attester.h"
#include "attestation/sample_attester.h"
#include "base/encoding.h"
#include "crypto/jwe.h"
#include "kbs/protocol.h"
#include "kbs/test_support.h"

namespace proplet::kbs {
namespace {

constexpr std::string_view kNonce = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
constexpr std::string_view kScalar = "449f445d0c9f8d05705fea595a9ea57bf66e405913e63520895771dab5484a38";

TEST(ReportData, MatchesThePublishedVectors) {
  const auto key = *crypto::PrivateKey::from_ec_scalar(crypto::KeyKind::p256, *hex_decode(kScalar));
  const auto jwk = tee_public_jwk(key.public_key());
  EXPECT_EQ(hex_encode(primary_report_data(crypto::DigestAlgorithm::sha256, kNonce, jwk, "")),
            "e5626f947b81bea2812780c6f99c6b7cc7251cf5d8b4aaba2e2ad89496895838");
  EXPECT_EQ(hex_encode(primary_report_data(crypto::DigestAlgorithm::sha384, kNonce, jwk, "")),
            "fe42ba19f75c02753fc048eb40dabf49426d64061c300918efc0cccb040b12989717096d9606c65add92c84d432f4939");
  EXPECT_EQ(
      hex_encode(primary_report_data(crypto::DigestAlgorithm::sha512, kNonce, jwk, "")),
      "165855bed4114f92471403233eb217680e2d18659a7c5a06943668da57586428cfa9e7c675fa237f97cf95de6cefc90ec602828d076"
      "40506ccc228aaf22c3f6c");
}

TEST(ReportData, AgreesWithEveryRecordedAttestation) {
  int checked = 0;
  for (const auto* name : {"handshake", "policy_denied", "official_client"}) {
    const auto file = recording(name);
    for (const auto& exchange : file.at("exchanges").as_array()) {
      if (text_member(exchange, "path") != "/kbs/v0/attest") continue;
      const auto& request = exchange.at("request");
      const auto& runtime = request.at("runtime-data");
      const auto data = primary_report_data(crypto::DigestAlgorithm::sha384, text_member(runtime, "nonce"),
                                            runtime.at("tee-pubkey").as_object(), "");
      EXPECT_EQ(base64_encode(data), text_member(request.at("tee-evidence").at("primary_evidence"), "report_data"));
      ++checked;
    }
  }
  EXPECT_EQ(checked, 5);
}

TEST(RecordedResponses, OpenWithTheRecordedSessionKey) {
  const auto file = recording("handshake");
  const auto key = *crypto::PrivateKey::from_ec_scalar(
      crypto::KeyKind::p256, *hex_decode(std::string(file.at("tee_private_key_hex").as_string())));
  const auto& exchanges = file.at("exchanges").as_array();
  for (std::size_t i = 0; i < 2; ++i) {
    const auto jwe = json::serialize(exchanges.at(3 + i).at("response"));
    const auto secret = crypto::jwe_decrypt(jwe, key, {crypto::JweAlgorithm::ecdh_es_a256kw});
    ASSERT_TRUE(secret) << secret.error().text();
    EXPECT_EQ(hex_encode(secret->view()), file.at("plaintext_hex").at(i).as_string());
  }
}

TEST(ErrorInformation, IsCutBetweenCharacters) {
  std::string detail(299, 'x');
  detail += "\xC3\xA9\xC3\xA9";
  const auto error = parse_error_information(bytes_of(R"({"type":"a/b/PolicyDeny","detail":")" + detail + "\"}"));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->variant, "PolicyDeny");
  EXPECT_EQ(error->detail, std::string(299, 'x'));
  EXPECT_FALSE(parse_error_information(bytes_of(R"({"type":"x"})")));
  EXPECT_FALSE(parse_error_information(bytes_of("<html>")));
}

TEST(ResourceUri, AcceptsTheFormsInUse) {
  for (const auto* text : {"kbs:///default/key/add", "default/key/add", "/default/key/add"}) {
    const auto uri = ResourceUri::parse(text);
    ASSERT_TRUE(uri) << text;
    EXPECT_EQ(uri->path(), "default/key/add");
    EXPECT_EQ(uri->text(), "kbs:///default/key/add");
  }
  EXPECT_EQ(ResourceUri::parse("kbs://kbs.example.com:8080/a/b_-1/c.x")->host(), "kbs.example.com:8080");
}

TEST(ResourceUri, RefusesEverythingElse) {
  for (const auto* text : {"", "kbs://a/b/c", "kbs:///a/b", "kbs:///a/b/c/d", "a//b/c", "../x/y", "a/.b/c", "a/b/",
                           "a b/c/d", "kbs+nebula-ca:///a/b/c", "kbs:///a/b/c?x=y", "kbs:///a/b/c%2f", "http://h/a/b/c",
                           "//a/b/c", "kbs://h\n/a/b/c"}) {
    const auto uri = ResourceUri::parse(text);
    ASSERT_FALSE(uri) << text;
    EXPECT_EQ(uri.error().code(), Code::format_invalid);
  }
}

// Answers of a scripted broker.
net::ServerResponse answer(int status, std::string body, net::HttpHeaders headers = {}) {
  return {.status = status, .headers = std::move(headers), .body = std::move(body)};
}
net::ServerResponse recorded(const std::string& name, std::size_t index) {
  const auto file = recording(name);
  const auto& exchange = file.at("exchanges").at(index);
  net::ServerResponse response{.status = static_cast<int>(exchange.at("status").as_int64()),
                               .body = json::serialize(exchange.at("response"))};
  for (const auto& header : exchange.at("response_headers").as_object()) {
    response.headers.emplace_back(header.key(), header.value().as_string());
  }
  return response;
}
net::ServerResponse good_auth() { return recorded("handshake", 1); }
net::ServerResponse good_attest() { return recorded("handshake", 2); }
net::ServerResponse refusal(const std::string& variant, const std::string& detail = "why", int status = 401) {
  return answer(status, R"({"type":")" + std::string(kErrorTypePrefix) + variant + R"(","detail":")" + detail + "\"}");
}

class ScriptedClientTest : public ::testing::Test {
 protected:
  ScriptedClientTest() { clock_.set(1795468060); }  // shortly after the recordings

  Result<SecretBytes> get(const net::Url& url, std::stop_token stop = {}) {
    if (!client_) client_ = *make_client({.url = url, .max_resource_bytes = 1000}, *http_, attester_, clock_);
    return client_->get_resource(*ResourceUri::parse("default/key/add"), nullptr, std::move(stop));
  }
  // The error of a request to a broker that gives these answers.
  Error error_after(std::deque<net::ServerResponse> answers) {
    const ScriptedServer server(std::move(answers));
    client_.reset();
    const auto secret = get(server.url());
    requests_ = server.requests();
    client_.reset();
    http_ = *net::make_http_client({});  // closes the connection, which the server would wait for
    EXPECT_FALSE(secret);
    return secret ? Error(Code::internal, "no error") : secret.error();
  }

  TestClock clock_;
  attestation::SampleAttester attester_;
  std::unique_ptr<net::HttpClient> http_ = *net::make_http_client({});
  std::unique_ptr<Client> client_;
  std::vector<net::ServerRequest> requests_;
};

TEST_F(ScriptedClientTest, SendsWhatTheProtocolAsksFor) {
  error_after({good_auth(), good_attest(), refusal("PolicyDeny")});
  ASSERT_EQ(requests_.size(), 3U);
  EXPECT_EQ(requests_[0].path, "/kbs/v0/auth");
  EXPECT_EQ(requests_[0].header("cookie"), std::nullopt);
  EXPECT_EQ(
      json::canonical(*json::parse(text_of(requests_[0].body))),
      R"({"extra-params":{"supported-hash-algorithms":["sha256","sha384","sha512"]},"tee":"sample","version":"0.4.0"})");

  EXPECT_EQ(requests_[1].path, "/kbs/v0/attest");
  EXPECT_EQ(requests_[1].header("cookie"), "kbs-session-id=d6f96f99189e4e3caba7d3c42b34063b");
  const auto message = *json::parse_object(text_of(requests_[1].body));
  const auto& runtime = message.at("runtime-data").as_object();
  EXPECT_TRUE(message.at("init-data").is_null());
  EXPECT_EQ(runtime.at("nonce").as_string(), "QaiWEI1V1xij+2e6FLVhRga6P14WmMCVdLVnJZg4fk4=");
  EXPECT_EQ(runtime.at("tee-pubkey").as_object().size(), 5U);
  EXPECT_EQ(message.at("tee-evidence").at("additional_evidence").as_string(), "");

  EXPECT_EQ(requests_[2].path, "/kbs/v0/resource/default/key/add");
  EXPECT_EQ(requests_[2].header("cookie"), "kbs-session-id=d6f96f99189e4e3caba7d3c42b34063b");
  EXPECT_TRUE(requests_[2].header("authorization")->starts_with("Bearer eyJ"));
}

TEST_F(ScriptedClientTest, SendsTheInitDataAsItIs) {
  const std::string text = "version = \"0.1.0\"\nalgorithm = \"sha384\"\n[data]\n";
  const ScriptedServer server({good_auth(), good_attest(), refusal("PolicyDeny")});
  client_ = *make_client({.url = server.url(), .init_data = text}, *http_, attester_, clock_);
  EXPECT_EQ(get(server.url()).error().code(), Code::kbs_denied);
  const auto requests = server.requests();
  client_.reset();
  http_ = *net::make_http_client({});  // closes the connection, which the server would wait for
  ASSERT_EQ(requests.size(), 3U);
  const auto message = *json::parse_object(text_of(requests[1].body));
  EXPECT_EQ(json::canonical(message.at("init-data")),
            R"({"body":"version = \"0.1.0\"\nalgorithm = \"sha384\"\n[data]\n","format":"toml"})");
}

TEST_F(ScriptedClientTest, GivesEveryRefusalItsCode) {
  struct Case {
    std::string name;
    std::deque<net::ServerResponse> answers;
    Code code;
    std::size_t requests;
  };
  const auto at_resource = [](const net::ServerResponse& last) {
    return std::deque<net::ServerResponse>{good_auth(), good_attest(), last};
  };
  const auto twice = [](const net::ServerResponse& last) {
    return std::deque<net::ServerResponse>{good_auth(), good_attest(), last, good_auth(), good_attest(), last};
  };
  const std::vector<Case> cases = {
      {"version", {recorded("errors", 10)}, Code::kbs_protocol, 1},
      {"bad request", {recorded("errors", 14)}, Code::kbs_attestation_rejected, 1},
      {"auth garbage", {answer(200, "<html>")}, Code::kbs_protocol, 1},
      {"auth redirect", {answer(302, "", {{"Location", "http://127.0.0.1:1/"}})}, Code::kbs_protocol, 1},
      {"no nonce",
       {answer(200, R"({"extra-params":""})", {{"Set-Cookie", "kbs-session-id=1"}})},
       Code::kbs_protocol,
       1},
      {"lost cookie", {answer(200, R"({"nonce":"x","extra-params":""})")}, Code::kbs_protocol, 1},
      {"odd cookie",
       {answer(200, R"({"nonce":"x","extra-params":""})", {{"Set-Cookie", "kbs-session-id=a b"}})},
       Code::kbs_protocol,
       1},
      {"unknown hash",
       {answer(200, R"({"nonce":"x","extra-params":{"selected-hash-algorithm":"md5"}})",
               {{"Set-Cookie", "kbs-session-id=1"}})},
       Code::kbs_protocol,
       1},
      {"rejected",
       {good_auth(), recorded("errors", 23), good_auth(), recorded("errors", 23)},
       Code::kbs_attestation_rejected,
       4},
      {"rejected once",
       {good_auth(), recorded("errors", 23), good_auth(), good_attest(), refusal("PolicyDeny")},
       Code::kbs_denied,
       5},
      {"resource redirect", at_resource(answer(302, "", {{"Location", "/kbs/v0/resource/a/b/c"}})), Code::kbs_protocol,
       3},
      {"attest 401 garbage", {good_auth(), answer(401, "no")}, Code::kbs_protocol, 2},
      {"no token", {good_auth(), answer(200, "{}")}, Code::kbs_protocol, 2},
      {"token garbage", {good_auth(), answer(200, R"({"token":"x.y.z"})")}, Code::kbs_protocol, 2},
      {"denied", at_resource(recorded("policy_denied", 2)), Code::kbs_denied, 3},
      {"old denied", at_resource(refusal("PolicyReject")), Code::kbs_denied, 3},
      {"missing", at_resource(recorded("errors", 2)), Code::kbs_resource_unavailable, 3},
      {"no plugin", at_resource(recorded("errors", 7)), Code::kbs_resource_unavailable, 3},
      {"404 garbage", at_resource(answer(404, "")), Code::kbs_resource_unavailable, 3},
      {"jwe error", at_resource(refusal("JweError")), Code::kbs_protocol, 3},
      {"not for us", at_resource(recorded("handshake", 3)), Code::jwe_invalid, 3},
      {"garbage", at_resource(answer(200, "{}")), Code::jwe_invalid, 3},
      {"huge", at_resource(answer(200, std::string(200000, 'x'))), Code::kbs_protocol, 3},
      {"no session", twice(refusal("TokenNotFound")), Code::kbs_protocol, 6},
      {"bad token", twice(refusal("TokenVerifierError")), Code::kbs_protocol, 6},
      {"old cookie", twice(refusal("ExpiredCookie")), Code::kbs_protocol, 6},
      {"401 garbage", twice(answer(401, "go away")), Code::kbs_protocol, 6},
  };
  for (const auto& c : cases) {
    const auto error = error_after(c.answers);
    EXPECT_EQ(error.code(), c.code) << c.name << ": " << error.text();
    EXPECT_EQ(requests_.size(), c.requests) << c.name;
  }
}

TEST_F(ScriptedClientTest, SaysWhenTheBrokerSpeaksAnotherVersion) {
  const auto error = error_after({recorded("errors", 10)});
  EXPECT_NE(error.text().find("does not speak protocol version 0.4.0"), std::string::npos) << error.text();
}

TEST_F(ScriptedClientTest, UsesTheHashThatTheBrokerSelects) {
  for (const auto& [name, size] : std::map<std::string, std::size_t>{{"SHA256", 32}, {"sha384", 48}, {"sha512", 64}}) {
    attestation::FakeAttester attester;
    const ScriptedServer server(
        {answer(200, R"({"nonce":"x","extra-params":{"selected-hash-algorithm":")" + name + "\"}}",
                {{"Set-Cookie", "kbs-session-id=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"}})});
    const auto client = *make_client({.url = server.url()}, *http_, attester, clock_);
    EXPECT_FALSE(client->get_resource(*ResourceUri::parse("a/b/c"), nullptr, {}));
    EXPECT_EQ(attester.report_data().size(), size) << name;
  }
}

TEST_F(ScriptedClientTest, RepeatsWhatFailedForAPassingReason) {
  error_after({answer(503, ""), good_auth(), good_attest(), answer(503, ""), refusal("PolicyDeny")});
  EXPECT_EQ(requests_.size(), 5U);
}

TEST_F(ScriptedClientTest, ReportsABrokerThatIsNotThere) {
  std::uint16_t port = 0;
  {
    const ScriptedServer gone({});
    port = gone.url().port();
  }
  const auto secret = get(loopback(port));
  ASSERT_FALSE(secret);
  EXPECT_EQ(secret.error().code(), Code::kbs_unreachable);
  EXPECT_EQ(secret.error().stage(), Stage::attest);
}

TEST_F(ScriptedClientTest, PassesOnThatTheAttesterFailed) {
  const ScriptedServer server({good_auth()});
  attestation::FakeAttester broken(attestation::Tee::sample, fail(Code::evidence_failed, "no device"));
  const auto client = *make_client({.url = server.url()}, *http_, broken, clock_);
  const auto secret = client->get_resource(*ResourceUri::parse("a/b/c"), nullptr, {});
  ASSERT_FALSE(secret);
  EXPECT_EQ(secret.error().code(), Code::evidence_failed);
}

TEST_F(ScriptedClientTest, RefusesPlainHttpBeyondLoopback) {
  const auto secret = get(*net::Url::parse("http://kbs.example.com:8080"));
  ASSERT_FALSE(secret);
  EXPECT_EQ(secret.error().code(), Code::insecure_transport);
}

// Two callers, one stalled broker: the one who leads the handshake and the one who waits for it both stop at once.
TEST_F(ScriptedClientTest, StopsLeaderAndFollowerDuringAStalledRequest) {
  std::atomic<int> arrived = 0;
  std::stop_source release;
  auto server = *net::make_http_server({});
  server->route("*", "/*", [&](const net::ServerRequest&) {
    ++arrived;
    while (!release.stop_requested()) std::this_thread::yield();
    return net::ServerResponse{};
  });
  ASSERT_TRUE(server->start());
  client_ = *make_client({.url = loopback(server->port())}, *http_, attester_, clock_);

  std::stop_source stop;
  std::atomic<int> cancelled = 0;
  const auto call = [&] {
    const auto secret = get(loopback(server->port()), stop.get_token());
    if (!secret && secret.error().code() == Code::cancelled) ++cancelled;
  };
  {
    const std::jthread leader(call);
    while (arrived == 0) std::this_thread::yield();
    const std::jthread follower(call);
    stop.request_stop();
    const auto before = std::chrono::steady_clock::now();
    while (cancelled < 2 && std::chrono::steady_clock::now() - before < std::chrono::seconds(10)) {
      std::this_thread::yield();
    }
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(1));
  }
  EXPECT_EQ(cancelled, 2);
  EXPECT_EQ(arrived, 1);
  release.request_stop();
}

}  // namespace
}  // namespace proplet::kbs
