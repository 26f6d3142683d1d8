#include "module/http_source.h"

#include <gtest/gtest.h>

#include <thread>

#include "module/test_support.h"
#include "support/scripted_server.h"

namespace proplet::module {
namespace {

using test_support::Connection;
using test_support::RecordedRequest;
using test_support::response;
using test_support::ScriptedServer;
using testing::wasm;

std::string wasm_text() {
  const Bytes bytes = wasm();
  return std::string(text_of(bytes));
}

ScriptedServer::Script always(std::string answer) {
  return
      [answer = std::move(answer)](Connection& connection, const RecordedRequest&) { return connection.write(answer); };
}

class HttpSourceTest : public ::testing::Test {
 protected:
  Result<Module> fetch(const std::string& url, std::size_t limit = 1 << 20, std::stop_token stop = {}) {
    net::HttpClientOptions options;
    options.allow_plain_http = true;
    options.refuse_link_local = true;
    const auto http = net::make_http_client(std::move(options));
    const HttpSource source(**http, clock_, random_,
                            {.max_module_bytes = limit,
                             .longest = std::chrono::seconds(20),
                             .retry = {.attempts = 2,
                                       .first_pause = std::chrono::milliseconds(1),
                                       .longest_pause = std::chrono::milliseconds(1)}});
    return source.fetch(url, nullptr, std::move(stop));
  }

  SystemClock clock_;
  SystemRandom random_;
};

TEST_F(HttpSourceTest, DownloadsAModule) {
  ScriptedServer server(always(response(200, wasm_text(), "Content-Type: application/wasm\r\n")));
  const auto module = fetch(server.origin() + "/add.wasm?key=secret");
  ASSERT_TRUE(module) << module.error().text();
  EXPECT_TRUE(module->bytes.equals(wasm()));
  EXPECT_EQ(module->digest, oci::Digest::of(wasm()).text());
  EXPECT_EQ(module->source, server.origin() + "/add.wasm (" + module->digest + ")");
  EXPECT_FALSE(module->confidential);
}

TEST_F(HttpSourceTest, JudgesTheMediaTypeIfThereIsOne) {
  const std::vector<std::pair<std::string, bool>> cases = {
      {"", true},
      {"Content-Type: application/octet-stream\r\n", true},
      {"Content-Type: Application/WASM; charset=binary\r\n", true},
      {"Content-Type:\r\n", true},
      {"Content-Type: text/html; charset=utf-8\r\n", false},
      {"Content-Type: application/wasmer\r\n", true},  // "contains", as the Propeller worker has it
      {"Content-Type: application/json\r\n", false},
  };
  for (const auto& [header, accepted] : cases) {
    ScriptedServer server(always(response(200, wasm_text(), header)));
    const auto module = fetch(server.origin() + "/a");
    EXPECT_EQ(module.has_value(), accepted) << header;
    EXPECT_TRUE(module || module.error().code() == Code::download_failed) << header;
  }
}

TEST_F(HttpSourceTest, NamesTheStatusAndNoSecretOfTheUrl) {
  for (const int status : {400, 403, 404, 410, 501, 204, 304}) {
    ScriptedServer server(always(response(status, "")));
    const auto module = fetch(server.origin() + "/add.wasm?signature=s3cret");
    ASSERT_FALSE(module) << status;
    const std::string text = module.error().text();
    EXPECT_EQ(text, std::string(module.error().code_name()) + ": HTTP " + std::to_string(status) +
                        " fetching wasm from " + server.origin() + "/add.wasm");
  }
}

TEST_F(HttpSourceTest, TriesAgainWhenTheServerIsBusy) {
  std::atomic<int> count = 0;
  ScriptedServer server([&](Connection& connection, const RecordedRequest&) {
    return connection.write(++count == 1 ? response(503, "") : response(200, wasm_text()));
  });
  EXPECT_TRUE(fetch(server.origin() + "/a"));
  EXPECT_EQ(count, 2);
}

TEST_F(HttpSourceTest, BoundsTheModuleByHeaderAndByCount) {
  const std::string body(1000, 'x');
  ScriptedServer server(always(response(200, body)));
  EXPECT_TRUE(fetch(server.origin() + "/a", 1000));
  const auto counted = fetch(server.origin() + "/a", 999);
  ASSERT_FALSE(counted);
  EXPECT_EQ(counted.error().code(), Code::size_limit);

  // Says it is large and sends little: the header alone decides, before the rest is waited for.
  ScriptedServer boaster([](Connection& connection, const RecordedRequest&) {
    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx");
    connection.wait_until_closed();
    return false;
  });
  const auto announced = fetch(boaster.origin() + "/a", 1000);
  ASSERT_FALSE(announced);
  EXPECT_EQ(announced.error().code(), Code::size_limit);

  ScriptedServer endless([](Connection& connection, const RecordedRequest&) {
    connection.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    while (connection.write(std::string(4096, 'x'))) {
    }
    return false;
  });
  const auto unbounded = fetch(endless.origin() + "/a", 100000);
  ASSERT_FALSE(unbounded);
  EXPECT_EQ(unbounded.error().code(), Code::size_limit);
}

TEST_F(HttpSourceTest, HoldsTheModuleAgainstTheDigestBehindTheUrl) {
  ScriptedServer server(always(response(200, wasm_text())));
  const std::string url = server.origin() + "/add.wasm";
  EXPECT_TRUE(fetch(url + "#" + oci::Digest::of(wasm()).text()));
  EXPECT_TRUE(fetch(url + "#" + oci::Digest::of(wasm(), oci::Digest::Algorithm::sha512).text()));
  const auto other = fetch(url + "#" + oci::Digest::of(bytes_of("other")).text());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), Code::digest_mismatch);
  for (const auto* fragment : {"#", "#sha256:123", "#md5:abc", "#add"}) {
    const auto module = fetch(url + fragment);
    ASSERT_FALSE(module) << fragment;
    EXPECT_EQ(module.error().code(), Code::format_invalid);
  }
  for (const auto& request : server.requests()) EXPECT_EQ(request.head.find('#'), std::string::npos);
}

TEST_F(HttpSourceTest, FollowsRedirectsButNotForever) {
  ScriptedServer server([&](Connection& connection, const RecordedRequest& request) {
    if (request.head.starts_with("GET /loop")) return connection.write(response(302, "", "Location: /loop\r\n"));
    if (request.head.starts_with("GET /old")) return connection.write(response(301, "", "Location: /new\r\n"));
    return connection.write(response(200, wasm_text()));
  });
  EXPECT_TRUE(fetch(server.origin() + "/old"));
  const auto loop = fetch(server.origin() + "/loop");
  ASSERT_FALSE(loop);
  EXPECT_NE(loop.error().text().find("redirects"), std::string::npos);
}

TEST_F(HttpSourceTest, RefusesTheAddressesOfMetadataServices) {
  for (const auto* host : {"169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"}) {
    const auto module = fetch("http://" + std::string(host) + "/latest/meta-data");
    ASSERT_FALSE(module) << host;
    EXPECT_EQ(module.error().code(), Code::destination_refused) << host;
  }
}

TEST_F(HttpSourceTest, RefusesThemBehindRedirectsToo) {
  ScriptedServer server(always(response(302, "", "Location: http://169.254.169.254/latest/meta-data\r\n")));
  const auto module = fetch(server.origin() + "/a");
  ASSERT_FALSE(module);
  EXPECT_EQ(module.error().code(), Code::destination_refused);
}

TEST_F(HttpSourceTest, EndsSoonAfterAStop) {
  ScriptedServer server([](Connection& connection, const RecordedRequest&) {
    connection.wait_until_closed();
    return false;
  });
  std::stop_source stop;
  const std::jthread stopper([&] {
    server.wait_for_requests(1);
    stop.request_stop();
  });
  const auto module = fetch(server.origin() + "/a", 1000, stop.get_token());
  ASSERT_FALSE(module);
  EXPECT_EQ(module.error().code(), Code::cancelled);
}

}  // namespace
}  // namespace proplet::module
