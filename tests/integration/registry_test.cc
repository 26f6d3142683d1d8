// The registry client and layouts against a real registry, real skopeo, and a registry that lies.
#include "oci/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/encoding.h"
#include "oci/layout.h"
#include "support/docker_registry.h"
#include "support/scripted_server.h"

namespace proplet::oci {
namespace {

using test_support::Connection;
using test_support::DockerRegistry;
using test_support::RecordedRequest;
using test_support::response;
using test_support::ScriptedServer;
using test_support::TemporaryFolder;
using ::testing::HasSubstr;

constexpr std::size_t kLimit = std::size_t{16} << 20;
const std::string kModule = std::string("\0asm\1\0\0\0", 8) + std::string(100000, 'm');

struct Client {
  explicit Client(AuthFile credentials = {}) : http(*net::make_http_client({})) {
    RegistryOptions options;
    options.credentials = std::move(credentials);
    options.first_pause = std::chrono::milliseconds(1);
    options.longest_pause = std::chrono::milliseconds(10);
    registry = std::make_unique<Registry>(*http, clock, random, std::move(options));
  }
  std::unique_ptr<ImageSource> source(const std::string& reference) const {
    return registry->source(*Reference::parse(reference));
  }
  std::unique_ptr<ImageTarget> target(const std::string& reference) const {
    return registry->target(*Reference::parse(reference));
  }

  SystemClock clock;
  SystemRandom random;
  std::unique_ptr<net::HttpClient> http;
  std::unique_ptr<Registry> registry;
};

AuthFile account(const std::string& key, const std::string& user, const std::string& password) {
  AuthFile file;
  file.add(key, {user, SecretBytes::copy_of(bytes_of(password)), {}});
  return file;
}

Result<Descriptor> push_image(ImageTarget& target) {
  TRY_ASSIGN(auto config, target.push_blob("application/vnd.wasm.config.v1+json", bytes_of("{}"), {}));
  TRY_ASSIGN(auto layer, target.push_blob("application/wasm", bytes_of(kModule), {}));
  const Manifest manifest{std::string(kOciManifestType), "", std::move(config), {std::move(layer)}, {}, {}};
  return target.push_tagged(std::string(kOciManifestType), serialize(manifest), {});
}

void expect_image(ImageSource& source, const Digest& digest) {
  const auto image = resolve_image(source, {});
  ASSERT_TRUE(image) << image.error().text();
  EXPECT_EQ(image->digest, digest);
  const auto module = source.fetch_blob(image->manifest.layers.at(0), kLimit, {});
  ASSERT_TRUE(module) << module.error().text();
  EXPECT_TRUE(module->equals(bytes_of(kModule)));
}

TEST(DockerRegistryTest, TakesAnImageAndGivesItBack) {
  const auto server = DockerRegistry::start();
  ASSERT_TRUE(server);
  const Client client;
  const auto name = server->host() + "/acme/add:1";
  const auto pushed = push_image(*client.target(name));
  ASSERT_TRUE(pushed) << pushed.error().text();
  expect_image(*client.source(name), pushed->digest);
  expect_image(*client.source(server->host() + "/acme/add@" + pushed->digest.text()), pushed->digest);
  EXPECT_TRUE(push_image(*client.target(name)));  // everything is there already
}

TEST(DockerRegistryTest, SaysInItsOwnWordsThatAnImageIsMissing) {
  const auto server = DockerRegistry::start();
  ASSERT_TRUE(server);
  const auto answer = Client().source(server->host() + "/acme/none:1")->resolve({});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::image_not_found);
  EXPECT_THAT(answer.error().text(), HasSubstr("MANIFEST_UNKNOWN"));
}

TEST(DockerRegistryTest, WantsTheRightPassword) {
  const auto server = DockerRegistry::start({"alice", "correct horse", "", ""});
  ASSERT_TRUE(server);
  const auto name = server->host() + "/acme/add:1";
  const Client good(account(server->host(), "alice", "correct horse"));
  const auto pushed = push_image(*good.target(name));
  ASSERT_TRUE(pushed) << pushed.error().text();
  expect_image(*good.source(name), pushed->digest);
  for (auto& bad : {std::make_shared<Client>(), std::make_shared<Client>(account(server->host(), "alice", "wrong"))}) {
    const auto answer = bad->source(name)->resolve({});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), Code::registry_unauthorized) << answer.error().text();
  }
}

// A token service for a real registry: grants whatever scope it is asked for, signed with RS256 (RFC 7519).
class TokenService {
 public:
  TokenService()
      : server_([this](Connection& connection, const RecordedRequest& request) {
          return connection.write(response(200, R"({"token":")" + token(request.head) + R"(","expires_in":300})"));
        }) {
    EXPECT_EQ(test_support::run({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                                 "/CN=issuer", "-keyout", path("key"), "-out", path("cert")},
                                path("log")),
              0);
  }

  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  ScriptedServer& server() { return server_; }

 private:
  static std::string slurp(const std::string& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  std::string certificate() const {
    std::ifstream stream(path("cert"));
    std::string all;
    for (std::string line; std::getline(stream, line);) all += line.starts_with("-") ? "" : line;
    return all;
  }

  std::string token(const std::string& head) {
    const bool push = head.find("push") != std::string::npos;
    const auto now = unix_seconds(std::chrono::system_clock::now());
    const auto header = R"({"typ":"JWT","alg":"RS256","x5c":[")" + certificate() + R"("]})";
    const auto claims = R"({"iss":"issuer","sub":"alice","aud":"reg","jti":"1","iat":)" + std::to_string(now) +
                        R"(,"nbf":)" + std::to_string(now - 60) + R"(,"exp":)" + std::to_string(now + 300) +
                        R"(,"access":[{"type":"repository","name":"acme/add","actions":["pull")" +
                        (push ? R"(,"push")" : "") + "]}]}";
    const auto input = base64url_encode(bytes_of(header)) + "." + base64url_encode(bytes_of(claims));
    test_support::write_text(path("input"), input);
    EXPECT_EQ(test_support::run(
                  {"openssl", "dgst", "-sha256", "-sign", path("key"), "-out", path("signature"), path("input")},
                  path("log")),
              0);
    return input + "." + base64url_encode(bytes_of(slurp(path("signature"))));
  }

  TemporaryFolder folder_;
  ScriptedServer server_;
};

TEST(DockerRegistryTest, IsOpenedWithTokens) {
  TokenService service;
  const auto server = DockerRegistry::start({"", "", service.server().origin() + "/token", service.path("cert")});
  ASSERT_TRUE(server);
  const Client client(account(server->host(), "alice", "pw"));
  const auto pushed = push_image(*client.target(server->host() + "/acme/add:1"));
  ASSERT_TRUE(pushed) << pushed.error().text();
  expect_image(*client.source(server->host() + "/acme/add:1"), pushed->digest);
  EXPECT_EQ(service.server().requests().size(), 2U);  // one token to push, one to pull
}

TEST(DockerRegistryTest, ExchangesImagesWithSkopeoThroughLayouts) {
  const auto server = DockerRegistry::start();
  ASSERT_TRUE(server);
  const TemporaryFolder folder;
  const auto ours = Layout::create(folder.path() + "/ours");
  ASSERT_TRUE(ours);
  const auto pushed = push_image(*(*ours)->target("v1"));
  ASSERT_TRUE(pushed) << pushed.error().text();
  expect_image(*(*ours)->source("v1"), pushed->digest);

  const auto skopeo = [&](const std::string& from, const std::string& to) {
    return test_support::run({"skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", from, to},
                             folder.path() + "/skopeo.log");
  };
  ASSERT_EQ(skopeo("oci:" + folder.path() + "/ours:v1", "oci:" + folder.path() + "/theirs:v2"), 0)
      << std::ifstream(folder.path() + "/skopeo.log").rdbuf();
  const auto theirs = Layout::open(folder.path() + "/theirs");
  ASSERT_TRUE(theirs) << theirs.error().text();
  expect_image(*(*theirs)->source("v2"), pushed->digest);
  expect_image(*(*theirs)->source(""), pushed->digest);

  ASSERT_EQ(skopeo("oci:" + folder.path() + "/theirs:v2", "docker://" + server->host() + "/acme/skopeo:1"), 0);
  expect_image(*Client().source(server->host() + "/acme/skopeo:1"), pushed->digest);
}

TEST(LayoutTest, ReadsEveryImageOfARealLayout) {
  const auto layout = Layout::open(std::string(PROPLET_VECTORS) + "/ocicrypt/layout");
  ASSERT_TRUE(layout) << layout.error().text();
  for (const auto* const tag :
       {"jwe-rsa", "jwe-rsa-zstd", "jwe-ec", "jwe-multi", "pkcs7", "wasm-jwe", "wasm-keyprovider", "mixed"}) {
    const auto source = (*layout)->source(tag);
    const auto image = resolve_image(*source, {});
    ASSERT_TRUE(image) << tag << image.error().text();
    for (const auto& layer : image->manifest.layers) EXPECT_TRUE(source->fetch_blob(layer, kLimit, {})) << tag;
  }
  EXPECT_EQ((*layout)->source("none")->resolve({}).error().code(), Code::image_not_found);
}

TEST(LayoutTest, NoticesDamage) {
  const TemporaryFolder folder;
  const auto layout = *Layout::create(folder.path() + "/layout");
  ASSERT_TRUE(push_image(*layout->target("v1")));
  const auto source = layout->source("v1");
  const auto layer = resolve_image(*source, {})->manifest.layers.at(0);
  const auto path = folder.path() + "/layout/blobs/sha256/" + std::string(layer.digest.hex());
  const std::pair<std::string, Code> cases[] = {
      {kModule + "x", Code::size_mismatch},
      {kModule.substr(1), Code::size_mismatch},
      {std::string(kModule.size(), 'x'), Code::digest_mismatch},
  };
  for (const auto& [content, code] : cases) {
    test_support::write_text(path, content);
    EXPECT_EQ(source->fetch_blob(layer, kLimit, {}).error().code(), code);
  }
  ASSERT_TRUE(push_image(*layout->target("v1")));  // a writer repairs it
  EXPECT_TRUE(source->fetch_blob(layer, kLimit, {}));
  std::filesystem::remove(path);
  EXPECT_EQ(source->fetch_blob(layer, kLimit, {}).error().code(), Code::image_not_found);
}

// A registry that answers every blob with `body`.
struct BlobServer {
  explicit BlobServer(std::string bytes)
      : server([bytes](Connection& connection, const RecordedRequest&) { return connection.write(bytes); }) {}
  Result<SecretBytes> fetch(std::size_t limit = kLimit) {
    return Client().source(server.host() + "/a/b:1")->fetch_blob(describe("x/y", bytes_of("content")), limit, {});
  }
  ScriptedServer server;
};

TEST(HostileRegistry, CannotPassOffAnotherBlob) {
  const std::pair<std::string, Code> cases[] = {
      {response(200, "CONTENT"), Code::digest_mismatch},
      {response(200, "conten"), Code::size_mismatch},
      {response(200, "content!"), Code::size_mismatch},
      {response(200, std::string(1000000, 'x')), Code::size_mismatch},
      {response(206, "content"), Code::registry_failed},
      {response(404, "<html>gone</html>"), Code::image_not_found},
      {response(403, R"({"errors":[{"code":"DENIED","message":"no\u0000\u001b[31m"}]})"), Code::registry_unauthorized},
      {response(500, ""), Code::registry_failed},
  };
  for (const auto& [bytes, code] : cases) {
    const auto blob = BlobServer(bytes).fetch();
    ASSERT_FALSE(blob);
    EXPECT_EQ(blob.error().code(), code) << blob.error().text();
    EXPECT_EQ(blob.error().text().find('\x1b'), std::string::npos);
  }
  const auto blob = BlobServer(response(200, "content")).fetch();
  ASSERT_TRUE(blob) << blob.error().text();
  EXPECT_TRUE(blob->equals(bytes_of("content")));
}

TEST(HostileRegistry, CausesNoAllocationBeyondTheLimit) {
  BlobServer server(response(200, "content"));
  EXPECT_EQ(server.fetch(6).error().code(), Code::size_limit);
  EXPECT_TRUE(server.server.requests().empty());
}

TEST(HostileRegistry, CannotChangeAPinnedManifest) {
  ScriptedServer server([](Connection& connection, const RecordedRequest&) {
    return connection.write(response(200, "{}", "Docker-Content-Digest: sha256:" + std::string(64, 'a') + "\r\n"));
  });
  const Client client;
  for (const auto& selector : {std::string(":1"), "@sha256:" + std::string(64, 'a')}) {
    const auto manifest = client.source(server.host() + "/a/b" + selector)->resolve({});
    ASSERT_FALSE(manifest);
    EXPECT_EQ(manifest.error().code(), Code::digest_mismatch) << selector;
  }
}

TEST(HostileRegistry, IsTriedAgainAfterAPassingFailure) {
  int count = 0;
  ScriptedServer server([&](Connection& connection, const RecordedRequest&) {
    switch (count++) {
      case 0:
        return false;  // closes the connection
      case 1:
        return connection.write(response(503, "", "Retry-After: 0\r\n"));
      case 2:
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\ncont");
        return false;
      default:
        return connection.write(response(200, "content"));
    }
  });
  const auto blob =
      Client().source(server.host() + "/a/b")->fetch_blob(describe("x/y", bytes_of("content")), kLimit, {});
  ASSERT_TRUE(blob) << blob.error().text();
  EXPECT_TRUE(blob->equals(bytes_of("content")));
}

const std::string kLongBlob = [] {
  std::string text;
  for (int i = 0; text.size() < 3000000; ++i) text += std::to_string(i);
  return text;
}();

// The first byte that a request asks for.
std::size_t first_byte(const RecordedRequest& request) {
  const auto at = request.head.find("Range: bytes=");
  return at == std::string::npos ? 0 : static_cast<std::size_t>(std::stoul(request.head.substr(at + 13)));
}

std::string partial(std::size_t first, std::string_view sent) {
  return fmt::format("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {}-{}/{}\r\nContent-Length: {}\r\n\r\n{}",
                     first, kLongBlob.size() - 1, kLongBlob.size(), kLongBlob.size() - first, sent);
}

Result<SecretBytes> fetch_long_blob(const ScriptedServer& server) {
  return Client().source(server.host() + "/a/b:1")->fetch_blob(describe("x/y", bytes_of(kLongBlob)), kLimit, {});
}

TEST(BrokenTransfer, GoesOnWhereItBrokeOffForAsLongAsThereIsProgress) {
  // Every transfer breaks off after 300,000 bytes: ten of them, more than there are attempts without progress.
  ScriptedServer server([](Connection& connection, const RecordedRequest& request) {
    const auto first = first_byte(request);
    const auto rest = std::string_view(kLongBlob).substr(first);
    const auto sent = rest.substr(0, 300000);
    const auto whole = fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", kLongBlob.size(), sent);
    connection.write(first == 0 ? whole : partial(first, sent));
    return false;
  });
  const auto blob = fetch_long_blob(server);
  ASSERT_TRUE(blob) << blob.error().text();
  EXPECT_TRUE(blob->equals(bytes_of(kLongBlob)));
  EXPECT_GE(server.requests().size(), 10U);
}

TEST(BrokenTransfer, StartsAgainWhereARegistryKnowsNoRanges) {
  int count = 0;
  ScriptedServer server([&](Connection& connection, const RecordedRequest&) {
    const auto sent = count++ == 0 ? std::string_view(kLongBlob).substr(0, 5000) : std::string_view(kLongBlob);
    connection.write(fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", kLongBlob.size(), sent));
    return false;
  });
  const auto blob = fetch_long_blob(server);
  ASSERT_TRUE(blob) << blob.error().text();
  EXPECT_TRUE(blob->equals(bytes_of(kLongBlob)));
}

TEST(BrokenTransfer, StartsAgainOnceWhereTheRangeIsNotToBeHad) {
  int count = 0;
  ScriptedServer server([&](Connection& connection, const RecordedRequest& request) {
    if (first_byte(request) > 0) return connection.write(response(416, ""));
    const auto sent = count++ == 0 ? std::string_view(kLongBlob).substr(0, 5000) : std::string_view(kLongBlob);
    connection.write(fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", kLongBlob.size(), sent));
    return false;
  });
  const auto blob = fetch_long_blob(server);
  ASSERT_TRUE(blob) << blob.error().text();
  EXPECT_TRUE(blob->equals(bytes_of(kLongBlob)));
}

TEST(BrokenTransfer, AnotherRangeThanAskedForIsRefused) {
  for (const std::size_t shift : {1, 1000}) {
    ScriptedServer server([shift](Connection& connection, const RecordedRequest& request) {
      const auto first = first_byte(request);
      const auto sent = std::string_view(kLongBlob).substr(0, 5000);
      const auto whole = fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", kLongBlob.size(), sent);
      connection.write(first == 0 ? whole : partial(first - shift, kLongBlob.substr(first - shift)));
      return false;
    });
    const auto blob = fetch_long_blob(server);
    ASSERT_FALSE(blob);
    EXPECT_EQ(blob.error().code(), Code::registry_failed) << blob.error().text();
  }
}

TEST(BrokenTransfer, ThatNeverGetsFurtherIsIncompleteAndSaysHowFarItCame) {
  ScriptedServer server([](Connection& connection, const RecordedRequest&) {
    connection.write(fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", kLongBlob.size(),
                                 std::string_view(kLongBlob).substr(0, 5000)));
    return false;
  });
  const auto blob = fetch_long_blob(server);
  ASSERT_FALSE(blob);
  EXPECT_EQ(blob.error().code(), Code::transfer_incomplete);
  EXPECT_THAT(blob.error().text(), HasSubstr("5000 of "));
}

struct MirroredClient {
  MirroredClient(const std::string& registry, const std::vector<std::string>& places)
      : http(*net::make_http_client({})) {
    std::vector<std::string> rules;
    for (const auto& place : places) rules.push_back(registry + "=" + place);
    RegistryOptions options;
    options.mirrors = Mirrors::parse(rules).value();
    options.attempts = 1;
    client = std::make_unique<Registry>(*http, clock, random, std::move(options));
  }
  Result<SecretBytes> fetch(const std::string& registry) const {
    return client->source(*Reference::parse(registry + "/a/b:1"))
        ->fetch_blob(describe("x/y", bytes_of("content")), kLimit, {});
  }
  SystemClock clock;
  SystemRandom random;
  std::unique_ptr<net::HttpClient> http;
  std::unique_ptr<Registry> client;
};

TEST(Mirror, IsAskedFirstUnderItsOwnPrefixAndTheRegistryOnlyWhenItFails) {
  BlobServer mirror(response(200, "content"));
  BlobServer registry(response(200, "content"));
  const auto host = registry.server.host();
  ASSERT_TRUE(MirroredClient(host, {mirror.server.host() + "/cache"}).fetch(host));
  EXPECT_TRUE(registry.server.requests().empty());
  EXPECT_THAT(mirror.server.requests().at(0).head, HasSubstr("/v2/cache/a/b/blobs/"));

  BlobServer empty(response(404, ""));
  ASSERT_TRUE(MirroredClient(host, {empty.server.host(), "127.0.0.1:1"}).fetch(host));
  EXPECT_EQ(registry.server.requests().size(), 1U);
}

TEST(Mirror, ThatSwapsABlobIsPassedOver) {
  BlobServer liar(response(200, "CONTENT"));
  BlobServer registry(response(200, "content"));
  const auto blob = MirroredClient(registry.server.host(), {liar.server.host()}).fetch(registry.server.host());
  ASSERT_TRUE(blob) << blob.error().text();
  EXPECT_TRUE(blob->equals(bytes_of("content")));
}

TEST(Mirror, WhenAllFailTheRegistrysErrorCountsAndTheOthersAreNamed) {
  BlobServer liar(response(200, "CONTENT"));
  BlobServer registry(response(404, ""));
  const auto blob = MirroredClient(registry.server.host(), {liar.server.host()}).fetch(registry.server.host());
  ASSERT_FALSE(blob);
  EXPECT_EQ(blob.error().code(), Code::image_not_found);
  EXPECT_THAT(blob.error().text(), HasSubstr(liar.server.host()));
}

TEST(Mirror, RulesAreReadStrictly) {
  EXPECT_TRUE(Mirrors::parse({"docker.io=mirror.example:5000", "ghcr.io=cache.example/ghcr/"}));
  const auto reference = *Reference::parse("nginx");
  EXPECT_EQ(Mirrors::parse({"docker.io=m.example"})->places(reference).at(0).text(), "m.example/library/nginx:latest");
  EXPECT_TRUE(Mirrors::parse({"ghcr.io=m.example"})->places(reference).empty());
  for (const std::string rule :
       {"", "=", "docker.io", "docker.io=", "=m.example", "docker.io=mirror", "docker=m.example",
        "docker.io=https://m.example", "docker.io=m.example/UPPER", "docker.io/x=m.example"}) {
    const auto parsed = Mirrors::parse({rule});
    ASSERT_FALSE(parsed) << rule;
    EXPECT_EQ(parsed.error().code(), Code::config_invalid);
  }
}

TEST(HostileRegistry, ThatIsNotThereIsUnreachable) {
  const auto host = "127.0.0.1:" + std::to_string(test_support::free_port());
  const auto answer = Client().source(host + "/a/b")->resolve({});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::registry_unreachable);
}

TEST(HostileRegistry, IsRefusedOverPlainHttpUnlessNamed) {
  RegistryOptions options;
  options.insecure_hosts = {"registry.invalid"};
  SystemClock clock;
  SystemRandom random;
  const auto http = *net::make_http_client({});  // does not know the host: both must
  Registry registry(*http, clock, random, std::move(options));
  const auto answer = registry.source(*Reference::parse("registry.invalid/a"))->resolve({});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::insecure_transport);
}

// A registry with token log-in: the realm is `realm`, and only `accepted` opens it.
ScriptedServer::Script token_registry(const std::string& realm, const std::string& accepted) {
  return [=](Connection& connection, const RecordedRequest& request) {
    if (request.head.find("\r\nAuthorization: Bearer " + accepted + "\r\n") != std::string::npos) {
      return connection.write(response(200, "content"));
    }
    return connection.write(response(
        401, "", "WWW-Authenticate: Bearer realm=\"" + realm + "\",service=\"reg\",scope=\"repository:a/b:pull\"\r\n"));
  };
}

TEST(TokenLogin, AsksOnceAndRemembers) {
  ScriptedServer realm([](Connection& connection, const RecordedRequest&) {
    return connection.write(response(200, R"({"token":"t0k3n","expires_in":300})"));
  });
  ScriptedServer server(token_registry(realm.origin() + "/token?x=y", "t0k3n"));
  const Client client(account(server.host(), "alice", "pw"));
  const auto descriptor = describe("x/y", bytes_of("content"));
  for (int i = 0; i < 3; ++i) {
    const auto blob = client.source(server.host() + "/a/b")->fetch_blob(descriptor, kLimit, {});
    ASSERT_TRUE(blob) << blob.error().text();
  }
  ASSERT_EQ(realm.requests().size(), 1U);
  EXPECT_THAT(realm.requests()[0].head, HasSubstr("GET /token?x=y&service=reg&scope=repository%3Aa%2Fb%3Apull HTTP"));
  EXPECT_THAT(realm.requests()[0].head, HasSubstr("\r\nAuthorization: Basic " + base64_encode(bytes_of("alice:pw"))));
  for (const auto& request : server.requests()) EXPECT_THAT(request.head, ::testing::Not(HasSubstr("Basic")));
}

TEST(TokenLogin, IsChosenWhereThereIsNoPasswordForBasic) {
  ScriptedServer realm([](Connection& connection, const RecordedRequest&) {
    return connection.write(response(200, R"({"token":"t0k3n"})"));
  });
  ScriptedServer server([&](Connection& connection, const RecordedRequest& request) {
    if (request.head.find("\r\nAuthorization: Bearer t0k3n\r\n") != std::string::npos) {
      return connection.write(response(200, "content"));
    }
    return connection.write(response(
        401, "",
        "WWW-Authenticate: Basic realm=\"r\"\r\nWWW-Authenticate: Bearer realm=\"" + realm.origin() + "/token\"\r\n"));
  });
  const auto blob =
      Client().source(server.host() + "/a/b")->fetch_blob(describe("x/y", bytes_of("content")), kLimit, {});
  EXPECT_TRUE(blob) << blob.error().text();
}

TEST(TokenLogin, TradesAnIdentityToken) {
  ScriptedServer realm([](Connection& connection, const RecordedRequest&) {
    return connection.write(response(200, R"({"access_token":"t0k3n"})"));
  });
  ScriptedServer server(token_registry(realm.origin() + "/token", "t0k3n"));
  AuthFile file;
  file.add(server.host(), {"", {}, SecretBytes::copy_of(bytes_of("re/fresh"))});
  const Client client(std::move(file));
  ASSERT_TRUE(client.source(server.host() + "/a/b")->fetch_blob(describe("x/y", bytes_of("content")), kLimit, {}));
  EXPECT_THAT(realm.requests().at(0).head, HasSubstr("POST /token HTTP"));
  EXPECT_THAT(realm.requests().at(0).body, HasSubstr("grant_type=refresh_token&refresh_token=re%2Ffresh"));
}

TEST(TokenLogin, DoesNotLoop) {
  ScriptedServer realm([](Connection& connection, const RecordedRequest&) {
    return connection.write(response(200, R"({"token":"useless"})"));
  });
  ScriptedServer server(token_registry(realm.origin() + "/token", "another"));
  const auto answer =
      Client().source(server.host() + "/a/b")->fetch_blob(describe("x/y", bytes_of("content")), kLimit, {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::registry_unauthorized);
  EXPECT_EQ(server.requests().size(), 2U);
}

TEST(TokenLogin, DoesNotFollowARealmElsewhere) {
  ScriptedServer thief([](Connection& connection, const RecordedRequest&) {
    return connection.write(response(200, R"({"token":"t0k3n"})"));
  });
  ScriptedServer realm([&](Connection& connection, const RecordedRequest&) {
    return connection.write(response(307, "", "Location: " + thief.origin() + "/token\r\n"));
  });
  ScriptedServer server(token_registry(realm.origin() + "/token", "t0k3n"));
  const Client client(account(server.host(), "alice", "pw"));
  EXPECT_FALSE(client.source(server.host() + "/a/b")->fetch_blob(describe("x/y", bytes_of("content")), kLimit, {}));
  EXPECT_TRUE(thief.requests().empty());
}

// GHSA-vh4v-2xq2-g5cg and GHSA-jxpm-75mh-9fp7.
TEST(Credentials, DoNotLeaveTheRegistry) {
  ScriptedServer storage([](Connection& connection, const RecordedRequest& request) {
    return connection.write(request.head.starts_with("PUT") ? response(201, "") : response(200, "content"));
  });
  ScriptedServer server([&](Connection& connection, const RecordedRequest& request) {
    if (!request.has_header("authorization")) {
      return connection.write(response(401, "", "WWW-Authenticate: Basic realm=\"r\"\r\n"));
    }
    if (request.head.starts_with("HEAD")) return connection.write("HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n");
    const bool upload = request.head.starts_with("POST");
    return connection.write(response(upload ? 202 : 307, "", "Location: " + storage.origin() + "/store?sig=1\r\n"));
  });
  const Client client(account(server.host(), "alice", "pw"));
  const auto name = server.host() + "/a/b:1";
  ASSERT_TRUE(client.source(name)->fetch_blob(describe("x/y", bytes_of("content")), kLimit, {}));
  const auto pushed = client.target(name)->push_blob("x/y", bytes_of("content"), {});
  ASSERT_TRUE(pushed) << pushed.error().text();
  ASSERT_EQ(storage.requests().size(), 2U);
  for (const auto& request : storage.requests()) EXPECT_FALSE(request.has_header("authorization"));
  EXPECT_THAT(storage.requests()[1].head, HasSubstr("PUT /store?sig=1&digest=sha256%3A"));
}

TEST(Stopping, EndsAFetchThatHangs) {
  ScriptedServer server([](Connection& connection, const RecordedRequest&) {
    connection.wait_until_closed();
    return false;
  });
  std::stop_source stop;
  std::jthread stopper([&] {
    server.wait_for_requests(1);
    stop.request_stop();
  });
  const auto answer = Client().source(server.host() + "/a/b")->resolve(stop.get_token());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::cancelled);
}

}  // namespace
}  // namespace proplet::oci
