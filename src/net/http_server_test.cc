#include "net/http_server.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/fd.h"

namespace proplet::net {
namespace {

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest() {
    HttpServerOptions options;
    options.max_body_bytes = 1000;
    options.read_timeout = std::chrono::seconds(1);
    server_ = *make_http_server(options);
    client_ = *make_http_client({});
  }

  HttpResponse send(const std::string& method, const std::string& path, std::string_view body = "",
                    HttpHeaders headers = {}) {
    HttpRequest request{.method = method,
                        .url = *Url::parse("http://127.0.0.1:" + std::to_string(server_->port()) + path),
                        .headers = std::move(headers),
                        .body = bytes_of(body)};
    auto response = client_->send(request);
    EXPECT_TRUE(response) << response.error().text();
    return response ? *response : HttpResponse{.url = request.url};
  }

  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<HttpClient> client_;
};

TEST_F(HttpServerTest, GivesHandlersTheParsedRequest) {
  ServerRequest seen;
  server_->route("POST", "/a/*", [&](const ServerRequest& request) {
    seen = request;
    return ServerResponse{.status = 201, .headers = {{"X-One", "1"}, {"Set-Cookie", "a=b"}}, .body = "made"};
  });
  ASSERT_TRUE(server_->start());
  EXPECT_NE(server_->port(), 0);

  const auto response = send("POST", "/a/x%20y?q=1%262", "body",
                             {{"X-Mixed-Case", "v"}, {"Content-Type", "application/x-www-form-urlencoded"}});
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(response.header("x-one"), "1");
  EXPECT_EQ(response.header("set-cookie"), "a=b");
  EXPECT_EQ(text_of(response.body), "made");
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.path, "/a/x y");
  EXPECT_EQ(seen.query, "q=1%262");
  EXPECT_EQ(seen.header("x-mixed-case"), "v");
  EXPECT_EQ(text_of(seen.body), "body");
}

TEST_F(HttpServerTest, ChoosesTheFirstRouteThatFits) {
  const auto says = [](std::string text) {
    return [text](const ServerRequest&) { return ServerResponse{.body = text}; };
  };
  server_->route("GET", "/exact", says("exact"));
  server_->route("*", "/p/*", says("prefix"));
  ASSERT_TRUE(server_->start());
  EXPECT_EQ(text_of(send("GET", "/exact").body), "exact");
  EXPECT_EQ(text_of(send("DELETE", "/p/1").body), "prefix");
  EXPECT_EQ(text_of(send("PUT", "/p/1", "x").body), "prefix");
  EXPECT_EQ(send("GET", "/exact/more").status, 404);
  EXPECT_EQ(send("POST", "/exact").status, 404);
}

TEST_F(HttpServerTest, RefusesBodiesAboveTheLimit) {
  std::atomic<int> calls = 0;
  server_->route("POST", "/", [&](const ServerRequest&) {
    ++calls;
    return ServerResponse{};
  });
  ASSERT_TRUE(server_->start());
  EXPECT_EQ(send("POST", "/", std::string(1000, 'x')).status, 200);
  const auto refused = send("POST", "/", std::string(1001, 'x'));
  EXPECT_EQ(refused.status, 413);
  EXPECT_EQ(text_of(refused.body), "payload reached size limit");
  EXPECT_EQ(calls, 1);
}

TEST_F(HttpServerTest, TurnsAnExceptionIntoA500WithoutDetails) {
  server_->route("GET", "/", [](const ServerRequest&) -> ServerResponse { throw std::runtime_error("secret"); });
  ASSERT_TRUE(server_->start());
  const auto response = send("GET", "/");
  EXPECT_EQ(response.status, 500);
  EXPECT_TRUE(response.body.empty());
  for (const auto& [name, value] : response.headers) EXPECT_EQ(value.find("secret"), std::string::npos) << name;
}

TEST_F(HttpServerTest, ServesSeveralRequestsAtOnce) {
  std::atomic<int> inside = 0;
  server_->route("GET", "/", [&](const ServerRequest&) {
    ++inside;
    // Only a second request, running beside the first, lets both go on.
    while (inside < 2) std::this_thread::yield();
    return ServerResponse{};
  });
  ASSERT_TRUE(server_->start());
  std::vector<std::jthread> callers;
  for (int i = 0; i < 2; ++i) callers.emplace_back([&] { EXPECT_EQ(send("GET", "/").status, 200); });
}

TEST_F(HttpServerTest, StopsWhileAPeerHoldsARequestHalfSent) {
  ASSERT_TRUE(server_->start());
  const UniqueFd peer(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(server_->port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(peer.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::send(peer.get(), "POST / HTTP/1.1\r\n", 17, MSG_NOSIGNAL), 17);
  const auto before = std::chrono::steady_clock::now();
  server_->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(20));
}

TEST_F(HttpServerTest, ReportsAnAddressInUse) {
  ASSERT_TRUE(server_->start());
  HttpServerOptions options;
  options.port = server_->port();
  auto second = make_http_server(options);
  ASSERT_TRUE(second);
  const auto status = (*second)->start();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::network_failed);
}

TEST(HttpServer, SpeaksTlsWithTheFilesGiven) {
  std::string folder = (std::filesystem::temp_directory_path() / "proplet-tls-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const auto key = folder + "/key.pem";
  const auto certificate = folder + "/cert.pem";
  const auto command =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost "
      "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout " +
      key + " -out " + certificate + " 2>/dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
  {
    auto server = *make_http_server({.tls_certificate_file = certificate, .tls_key_file = key});
    server->route("GET", "/", [](const ServerRequest&) { return ServerResponse{.body = "private"}; });
    ASSERT_TRUE(server->start());
    const HttpRequest request{.url = *Url::parse("https://127.0.0.1:" + std::to_string(server->port()))};
    HttpClientOptions options;
    const auto stranger = *make_http_client(options);
    EXPECT_EQ(stranger->send(request).error().code(), Code::network_failed);
    options.tls.ca_pem = *read_text_file(certificate, 1 << 20);
    const auto client = *make_http_client(options);
    const auto response = client->send(request);
    ASSERT_TRUE(response) << response.error().text();
    EXPECT_EQ(text_of(response->body), "private");
  }
  std::filesystem::remove_all(folder);
}

TEST(HttpServer, RefusesUnusableTlsFiles) {
  EXPECT_EQ(make_http_server({.tls_certificate_file = "/nowhere.pem"}).error().code(), Code::config_invalid);
  auto server = make_http_server({.tls_certificate_file = "/nowhere.pem", .tls_key_file = "/nowhere.key"});
  ASSERT_TRUE(server);
  EXPECT_EQ((*server)->start().error().code(), Code::config_invalid);
}

}  // namespace
}  // namespace proplet::net
