#include "net/transfer.h"

#include <gtest/gtest.h>

#include "support/scripted_server.h"

namespace proplet::net {
namespace {

Result<HttpResponse> exchange(const std::string& url, bool refuse_link_local) {
  HttpClientOptions options;
  options.refuse_link_local = refuse_link_local;
  options.connect_timeout = std::chrono::milliseconds(200);
  const auto parsed = Url::parse(url);
  const HttpRequest request{.url = *parsed};
  const auto channel = Channel::make();
  return perform(**channel, {options, request, request.headers, *parsed, std::nullopt}, {});
}

TEST(Transfer, ConnectsToNoLinkLocalAddressHoweverItWasFound) {
  // The URL is not looked at here: what counts is the address that the look-up gave.
  for (const auto* host : {"169.254.169.254", "[fe80::1]", "[::ffff:169.254.1.1]"}) {
    const auto answer = exchange("http://" + std::string(host) + "/", true);
    ASSERT_FALSE(answer) << host;
    EXPECT_EQ(answer.error().code(), Code::destination_refused) << answer.error().text();
    EXPECT_NE(answer.error().text().find("link-local address"), std::string::npos);
  }
  const auto unguarded = exchange("http://169.254.169.254/", false);
  EXPECT_TRUE(unguarded || unguarded.error().code() == Code::network_failed);
}

TEST(Transfer, ConnectsToOtherAddressesAsBefore) {
  test_support::ScriptedServer server([](test_support::Connection& connection, const test_support::RecordedRequest&) {
    return connection.write(test_support::response(200, "x"));
  });
  const auto answer = exchange(server.origin() + "/", true);
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(text_of(answer->body), "x");
}

}  // namespace
}  // namespace proplet::net
