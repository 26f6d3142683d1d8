#include "net/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <latch>
#include <thread>

#include "support/scripted_server.h"

namespace proplet::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using test_support::Connection;
using test_support::RecordedRequest;
using test_support::response;
using test_support::ScriptedServer;
using ::testing::HasSubstr;
using ::testing::Not;

std::unique_ptr<HttpClient> client(HttpClientOptions options = {}) { return *make_http_client(std::move(options)); }

ScriptedServer::Script always(std::string bytes) {
  return [bytes](Connection& connection, const RecordedRequest&) { return connection.write(bytes); };
}

TEST(HttpClient, ReturnsStatusHeadersAndBody) {
  ScriptedServer server(always(response(418, "short and stout", "X-Pot:  Tea \r\nX-Pot: second\r\n")));
  const auto answer = client()->send({.url = server.url("/pot?a=b")});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->status, 418);
  EXPECT_EQ(answer->header("x-pot"), "Tea");
  EXPECT_EQ(text_of(answer->body), "short and stout");
  EXPECT_THAT(server.requests()[0].head, HasSubstr("GET /pot?a=b HTTP/1.1\r\n"));
}

TEST(HttpClient, SendsEachMethodWithItsBodyAndNothingElse) {
  ScriptedServer server(always(response(200, "")));
  const auto http = client();
  for (const auto* const method : {"POST", "PUT", "PATCH"}) {
    ASSERT_TRUE(http->send({.method = method, .url = server.url("/"), .body = bytes_of("abc")}));
    const auto request = server.requests().back();
    EXPECT_THAT(request.head, HasSubstr(std::string(method) + " / HTTP/1.1\r\n"));
    EXPECT_EQ(request.body, "abc");
    EXPECT_FALSE(request.has_header("content-type"));
    EXPECT_FALSE(request.has_header("expect"));
    EXPECT_FALSE(request.has_header("accept-encoding"));
  }
  ASSERT_TRUE(http->send({.method = "POST", .url = server.url("/")}));
  EXPECT_THAT(server.requests().back().head, HasSubstr("\r\nContent-Length: 0\r\n"));
  ASSERT_TRUE(http->send({.method = "DELETE", .url = server.url("/")}));
  EXPECT_THAT(server.requests().back().head, HasSubstr("DELETE / HTTP/1.1\r\n"));
}

TEST(HttpClient, AHeadRequestDoesNotWaitForABody) {
  ScriptedServer server(always("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"));
  const auto answer = client()->send({.method = "HEAD", .url = server.url("/")});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->header("content-length"), "1000");
}

TEST(HttpClient, UsesOneConnectionForRequestsInARow) {
  ScriptedServer server(always(response(200, "x")));
  const auto http = client();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(http->send({.url = server.url("/")}));
  for (const auto& request : server.requests()) EXPECT_EQ(request.connection, 0);
}

TEST(HttpClient, UsesSeparateConnectionsForConcurrentRequests) {
  std::latch both(2);
  ScriptedServer server([&](Connection& connection, const RecordedRequest&) {
    both.arrive_and_wait();  // ends only when two requests are under way at once
    return connection.write(response(200, "x"));
  });
  const auto http = client();
  std::jthread other([&] { EXPECT_TRUE(http->send({.url = server.url("/")})); });
  EXPECT_TRUE(http->send({.url = server.url("/")}));
}

TEST(HttpClient, RefusesHeadersThatWouldSmuggleAnother) {
  ScriptedServer server(always(response(200, "")));
  const std::pair<std::string, std::string> cases[] = {
      {"X", "a\r\nAuthorization: b"}, {"X\r\nY", "a"}, {"X: y", "a"}, {"", "a"}, {"X", std::string("a\0b", 3)}};
  for (const auto& header : cases) {
    const auto answer = client()->send({.url = server.url("/"), .headers = {header}});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), Code::format_invalid);
  }
  EXPECT_TRUE(server.requests().empty());
}

TEST(HttpClient, EndsAnEndlessBodyAtTheLimit) {
  ScriptedServer server([](Connection& connection, const RecordedRequest&) {
    connection.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    while (connection.write(std::string(65536, 'x'))) {
    }
    return false;
  });
  const auto answer = client()->send({.url = server.url("/"), .max_response_bytes = 1000000});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::size_limit);
}

TEST(HttpClient, EndsABodyThatIsAnnouncedTooLargeWithItsFirstByte) {
  ScriptedServer server([](Connection& connection, const RecordedRequest&) {
    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\nx");
    connection.wait_until_closed();
    return false;
  });
  const auto answer = client()->send({.url = server.url("/"), .max_response_bytes = 1000});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::size_limit);
}

TEST(HttpClient, EndsAnEndlessHeaderSection) {
  ScriptedServer server([](Connection& connection, const RecordedRequest&) {
    connection.write("HTTP/1.1 200 OK\r\n");
    while (connection.write("X-Filler: " + std::string(1000, 'x') + "\r\n")) {
    }
    return false;
  });
  const auto answer = client()->send({.url = server.url("/")});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::size_limit);
}

TEST(HttpClient, ABodyCutShortIsANetworkFailure) {
  ScriptedServer server([](Connection& connection, const RecordedRequest&) {
    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!");
    return false;
  });
  const auto answer = client()->send({.url = server.url("/")});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::network_failed);
}

TEST(HttpClient, RubbishIsANetworkFailure) {
  ScriptedServer server([](Connection& connection, const RecordedRequest&) {
    connection.write("220 mail.example.com ESMTP\r\n");
    return false;
  });
  const auto answer = client()->send({.url = server.url("/")});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::network_failed);
}

TEST(HttpClient, NobodyListeningIsANetworkFailureThatNamesThePlaceWithoutTheQuery) {
  std::optional<Url> url;
  {
    ScriptedServer server(always(""));
    url = server.url("/x?signature=abc");
  }
  const auto answer = client()->send({.url = *url});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::network_failed);
  EXPECT_THAT(answer.error().text(), HasSubstr(url->for_messages()));
  EXPECT_THAT(answer.error().text(), Not(HasSubstr("signature")));
}

// Runs a request against a server that behaves badly until the client closes, and stops it once it is under way.
void expect_quick_stop(ScriptedServer::Script script) {
  ScriptedServer server(std::move(script));
  std::stop_source stop;
  steady_clock::time_point stopped;
  std::jthread stopper([&] {
    server.wait_for_requests(1);
    stopped = steady_clock::now();
    stop.request_stop();
  });
  const auto answer = client()->send({.url = server.url("/")}, stop.get_token());
  stopper.join();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::cancelled);
  EXPECT_LT(steady_clock::now() - stopped, milliseconds(1000));  // 100 ms on a machine with nothing else to do
}

TEST(HttpClient, AStopEndsATransferThatSaysNothing) {
  expect_quick_stop([](Connection& connection, const RecordedRequest&) {
    connection.wait_until_closed();
    return false;
  });
}

TEST(HttpClient, AStopEndsATransferThatDrips) {
  expect_quick_stop([](Connection& connection, const RecordedRequest&) {
    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    while (connection.write("x")) std::this_thread::sleep_for(milliseconds(5));
    return false;
  });
}

TEST(HttpClient, DoesNotStartWhenAlreadyStopped) {
  ScriptedServer server(always(response(200, "")));
  std::stop_source stop;
  stop.request_stop();
  const auto answer = client()->send({.url = server.url("/")}, stop.get_token());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::cancelled);
  EXPECT_TRUE(server.requests().empty());
}

TEST(HttpClient, AStalledTransferFails) {
  ScriptedServer server([](Connection& connection, const RecordedRequest&) {
    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!");
    connection.wait_until_closed();
    return false;
  });
  HttpClientOptions options;
  options.stall_timeout = std::chrono::seconds(1);
  const auto answer = client(options)->send({.url = server.url("/")});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::network_failed);
}

TEST(HttpClient, TheTimeoutCoversRedirectsToo) {
  ScriptedServer server([](Connection& connection, const RecordedRequest&) {
    std::this_thread::sleep_for(milliseconds(20));
    return connection.write(response(302, "", "Location: /again\r\n"));
  });
  const auto answer = client()->send({.url = server.url("/"), .redirects = 1000, .timeout = milliseconds(200)});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::network_failed);
  EXPECT_THAT(answer.error().text(), HasSubstr("timed out"));
}

TEST(HttpClient, RefusesPlainHttpToStrangersAndNamesThem) {
  const auto answer = client()->send({.url = *Url::parse("http://registry.example:5000/v2/")});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::insecure_transport);
  EXPECT_THAT(answer.error().message(), HasSubstr("registry.example:5000"));
}

TEST(HttpClient, AllowsPlainHttpToNamedHosts) {
  for (const auto* const name : {"registry.invalid", "registry.invalid:5000"}) {
    HttpClientOptions options;
    options.insecure_hosts = {name};
    const auto answer = client(options)->send({.url = *Url::parse("http://registry.invalid:5000/v2/")});
    ASSERT_FALSE(answer);  // the name does not exist (RFC 6761)
    EXPECT_EQ(answer.error().code(), Code::network_failed) << name;
  }
  HttpClientOptions other_port;
  other_port.insecure_hosts = {"registry.invalid:5001"};
  const auto answer = client(other_port)->send({.url = *Url::parse("http://registry.invalid:5000/v2/")});
  EXPECT_EQ(answer.error().code(), Code::insecure_transport);
}

TEST(HttpClient, ReturnsARedirectUnlessToldToFollow) {
  ScriptedServer server(always(response(302, "", "Location: /elsewhere\r\n")));
  const auto answer = client()->send({.url = server.url("/")});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 302);
  EXPECT_EQ(server.requests().size(), 1U);
}

ScriptedServer::Script redirect_once(std::string status, std::string target) {
  return [=](Connection& connection, const RecordedRequest& request) {
    if (request.head.find(" /start ") == std::string::npos) return connection.write(response(200, "arrived"));
    return connection.write("HTTP/1.1 " + status + " Moved\r\nContent-Length: 0\r\nLocation: " + target + "\r\n\r\n");
  };
}

TEST(HttpClient, KeepsCredentialsWithinTheOrigin) {
  for (const auto* const status : {"301", "302", "303", "307", "308"}) {
    ScriptedServer server(redirect_once(status, "/target"));
    const auto answer = client()->send(
        {.url = server.url("/start"), .headers = {{"Authorization", "Bearer x"}, {"Cookie", "a=b"}}, .redirects = 1});
    ASSERT_TRUE(answer);
    EXPECT_EQ(text_of(answer->body), "arrived");
    EXPECT_EQ(answer->url.path_and_query(), "/target");
    EXPECT_TRUE(server.requests().at(1).has_header("authorization"));
    EXPECT_TRUE(server.requests().at(1).has_header("cookie"));
  }
}

TEST(HttpClient, DropsCredentialsWhenTheOriginChanges) {
  ScriptedServer other(always(response(200, "arrived")));
  ScriptedServer server(redirect_once("307", other.origin() + "/target"));  // same host name, another port
  const auto answer = client()->send({.url = server.url("/start"),
                                      .headers = {{"authorization", "Bearer x"}, {"COOKIE", "a=b"}, {"Accept", "z"}},
                                      .redirects = 1});
  ASSERT_TRUE(answer);
  EXPECT_TRUE(server.requests().at(0).has_header("authorization"));
  EXPECT_FALSE(other.requests().at(0).has_header("authorization"));
  EXPECT_FALSE(other.requests().at(0).has_header("cookie"));
  EXPECT_TRUE(other.requests().at(0).has_header("accept"));
}

TEST(HttpClient, DoesNotReturnCredentialsAfterADetour) {
  std::string home;
  ScriptedServer detour([&](Connection& connection, const RecordedRequest&) {
    return connection.write(response(302, "", "Location: " + home + "/end\r\n"));
  });
  ScriptedServer server(redirect_once("302", detour.origin() + "/"));
  home = server.origin();
  ASSERT_TRUE(client()->send({.url = server.url("/start"), .headers = {{"Authorization", "x"}}, .redirects = 2}));
  ASSERT_EQ(server.requests().size(), 2U);
  EXPECT_FALSE(server.requests()[1].has_header("authorization"));
}

TEST(HttpClient, ChecksEveryHopForPlainHttp) {
  ScriptedServer server(redirect_once("302", "http://registry.example/blob"));
  const auto answer = client()->send({.url = server.url("/start"), .redirects = 5});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::insecure_transport);
}

TEST(HttpClient, EndsARedirectLoop) {
  ScriptedServer server(always(response(302, "", "Location: /\r\n")));
  const auto answer = client()->send({.url = server.url("/"), .redirects = 3});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::redirect_refused);
  EXPECT_EQ(server.requests().size(), 4U);
}

TEST(HttpClient, RefusesRedirectsToOtherSchemes) {
  for (const auto* const target : {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/"}) {
    ScriptedServer server(redirect_once("302", target));
    EXPECT_FALSE(client()->send({.url = server.url("/start"), .redirects = 5})) << target;
  }
}

TEST(HttpClient, DoesNotRedirectRequestsWithABody) {
  ScriptedServer server(always(response(307, "", "Location: /elsewhere\r\n")));
  const auto answer =
      client()->send({.method = "POST", .url = server.url("/"), .body = bytes_of("secret"), .redirects = 5});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 307);
}

TEST(HttpClient, StreamsSuccessfulBodiesOnly) {
  ScriptedServer server([](Connection& connection, const RecordedRequest& request) {
    const bool good = request.head.starts_with("GET /good");
    return connection.write(good ? response(200, "content") : response(404, "no such thing"));
  });
  std::string streamed;
  const auto take = [&](ByteView piece) -> Status {
    streamed += text_of(piece);
    return {};
  };
  const auto good = client()->send({.url = server.url("/good"), .on_body = take});
  ASSERT_TRUE(good);
  EXPECT_EQ(streamed, "content");
  EXPECT_TRUE(good->body.empty());
  const auto bad = client()->send({.url = server.url("/bad"), .on_body = take});
  ASSERT_TRUE(bad);
  EXPECT_EQ(streamed, "content");
  EXPECT_EQ(text_of(bad->body), "no such thing");
}

TEST(HttpClient, AnErrorOfTheReceiverEndsTheTransferAndIsReturned) {
  ScriptedServer server([](Connection& connection, const RecordedRequest&) {
    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nfirst");
    connection.wait_until_closed();
    return false;
  });
  const auto answer = client()->send(
      {.url = server.url("/"), .on_body = [](ByteView) -> Status { return fail(Code::digest_mismatch, "wrong"); }});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Code::digest_mismatch);
}

TEST(HttpClient, AClientIsUsableAfterAFailure) {
  int count = 0;
  ScriptedServer server([&](Connection& connection, const RecordedRequest&) {
    if (count++ == 0) return false;
    return connection.write(response(200, "fine"));
  });
  const auto http = client();
  std::stop_source stopped;
  stopped.request_stop();
  EXPECT_FALSE(http->send({.url = server.url("/")}));
  EXPECT_FALSE(http->send({.url = server.url("/")}, stopped.get_token()));
  EXPECT_TRUE(http->send({.url = server.url("/")}));
}

}  // namespace
}  // namespace proplet::net
