#include "telemetry/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http_client.h"

namespace proplet::telemetry {
namespace {

using testing::HasSubstr;

class EndpointTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened =
        Endpoint::open({.address = "127.0.0.1", .port = 0}, metrics_, [] { return Load{.running = 3, .queued = 2}; });
    ASSERT_TRUE(opened) << opened.error().text();
    endpoint_ = *std::move(opened);
  }

  net::HttpResponse send(const std::string& path, const std::string& method = "GET") {
    const auto client = net::make_http_client({}).value();
    const auto url = net::Url::parse("http://127.0.0.1:" + std::to_string(endpoint_->port()) + path).value();
    auto response = client->send({.method = method, .url = url, .timeout = std::chrono::seconds(30)});
    EXPECT_TRUE(response) << response.error().text();
    return response.value();
  }

  Metrics metrics_{""};
  std::unique_ptr<Endpoint> endpoint_;
};

TEST_F(EndpointTest, ShowsHealthAndWhetherTheBrokerIsThere) {
  const auto away = send("/health");
  EXPECT_EQ(away.status, 200);
  EXPECT_EQ(away.header("content-type"), "application/json");
  EXPECT_EQ(text_of(away.body), R"({"status":"ok","running_tasks":3,"queued_tasks":2,"broker_connected":false})");
  metrics_.connected();
  EXPECT_THAT(std::string(text_of(send("/health").body)), HasSubstr(R"("broker_connected":true)"));
}

TEST_F(EndpointTest, ShowsMetrics) {
  const auto response = send("/metrics");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(std::string(response.header("content-type").value_or("")), HasSubstr("version=0.0.4"));
  EXPECT_THAT(std::string(text_of(response.body)), HasSubstr("\nproplet_tasks_running 3\n"));
}

TEST_F(EndpointTest, KnowsNothingElse) {
  for (const auto* path : {"/", "/metrics/", "/healthz", "/health/x"}) {
    EXPECT_EQ(send(path).status, 404) << path;
    EXPECT_EQ(text_of(send(path).body), "not found") << path;
  }
  EXPECT_EQ(send("/metrics", "POST").status, 404);
}

TEST_F(EndpointTest, APortThatIsTakenIsAnError) {
  const auto second =
      Endpoint::open({.address = "127.0.0.1", .port = endpoint_->port()}, metrics_, [] { return Load(); });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::network_failed);
}

}  // namespace
}  // namespace proplet::telemetry
