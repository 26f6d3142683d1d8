// The HTTP client's TLS settings against a real TLS server (openssl s_server).
#include <gtest/gtest.h>

#include "base/fd.h"
#include "net/http_client.h"
#include "support/child_process.h"

namespace proplet::net {
namespace {

class TlsTest : public ::testing::Test {
 protected:
  // A self-signed authority and server certificate in one, for 127.0.0.1.
  std::string make_certificate(const std::string& name) {
    const auto base = folder_.path() + "/" + name;
    EXPECT_EQ(test_support::run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                                 "-nodes", "-days", "2", "-subj", "/CN=" + name, "-addext",
                                 "subjectAltName=IP:127.0.0.1", "-keyout", base + ".key", "-out", base + ".pem"},
                                folder_.path() + "/req.log"),
              0);
    return base;
  }

  void SetUp() override {
    const auto base = make_certificate("server");
    pem_ = *read_text_file(base + ".pem", 65536);
    stranger_pem_ = *read_text_file(make_certificate("stranger") + ".pem", 65536);
    port_ = test_support::free_port();
    server_ = std::make_unique<test_support::ChildProcess>(
        std::vector<std::string>{"openssl", "s_server", "-accept", std::to_string(port_), "-cert", base + ".pem",
                                 "-key", base + ".key", "-www"},
        folder_.path() + "/server.log");
    ASSERT_TRUE(test_support::wait_for_port(port_, *server_));
  }

  Result<HttpResponse> get(TlsOptions tls, const std::string& host = "127.0.0.1") {
    HttpClientOptions options;
    options.tls = std::move(tls);
    const auto url = Url::parse("https://" + host + ":" + std::to_string(port_) + "/");
    return (*make_http_client(std::move(options)))->send({.url = *url});
  }

  test_support::TemporaryFolder folder_;
  std::string pem_;
  std::string stranger_pem_;
  int port_ = 0;
  std::unique_ptr<test_support::ChildProcess> server_;
};

TEST_F(TlsTest, TrustsTheGivenAuthority) {
  const auto answer = get({.ca_pem = pem_});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->status, 200);
}

TEST_F(TlsTest, TrustsTheGivenAuthorityBesidesTheSystems) {
  EXPECT_TRUE(get({.ca_pem = pem_, .verify = true, .system_roots = true}));
  EXPECT_EQ(get({.ca_pem = stranger_pem_, .verify = true, .system_roots = true}).error().code(), Code::network_failed);
}

TEST_F(TlsTest, TrustsNobodyElse) {
  EXPECT_EQ(get({}).error().code(), Code::network_failed);
  EXPECT_EQ(get({.ca_pem = stranger_pem_}).error().code(), Code::network_failed);
  EXPECT_EQ(get({.ca_pem = "rubbish"}).error().code(), Code::network_failed);
}

TEST_F(TlsTest, ChecksTheName) { EXPECT_EQ(get({.ca_pem = pem_}, "localhost").error().code(), Code::network_failed); }

TEST_F(TlsTest, ChecksNothingWhenToldSo) { EXPECT_TRUE(get({.ca_pem = {}, .verify = false}, "localhost")); }

}  // namespace
}  // namespace proplet::net
