// The key broker client against a broker that answers whatever the input says: it never takes noise for a resource.
//
// The input is a sequence of answers, separated by the byte 0x1e. The first byte of an answer chooses its status, the
// text up to the next line break is its Set-Cookie header, the rest its body.
#include <array>
#include <string>

#include "attestation/fake_attester.h"
#include "base/json.h"
#include "fuzz.h"
#include "kbs/client.h"
#include "kbs/protocol.h"

namespace kbs = proplet::kbs;
namespace net = proplet::net;
using proplet::fuzz::check;

namespace {

class ScriptedHttp final : public net::HttpClient {
 public:
  explicit ScriptedHttp(std::string_view script) : script_(script) {}

  proplet::Result<net::HttpResponse> send(const net::HttpRequest& request, std::stop_token) override {
    // None that make clients wait and try again: that would only be slow.
    constexpr std::array kStatuses = {200L, 401L, 403L, 404L, 400L, 302L, 204L};
    const auto end = script_.find('\x1e');
    std::string_view answer = script_.substr(0, end);
    script_.remove_prefix(end == std::string_view::npos ? script_.size() : end + 1);
    net::HttpResponse response{.url = request.url};
    response.status = answer.empty() ? 404 : kStatuses[static_cast<unsigned char>(answer.front()) % kStatuses.size()];
    if (!answer.empty()) answer.remove_prefix(1);
    const auto line = answer.find('\n');
    if (line != std::string_view::npos) {
      response.headers.emplace_back("set-cookie", std::string(answer.substr(0, line)));
      answer.remove_prefix(line + 1);
    }
    const auto body = proplet::bytes_of(answer);
    response.body.assign(body.begin(), body.end());
    for (const auto& [name, value] : request.headers) {
      check(value.find_first_of("\r\n") == std::string::npos, "no header is split");
    }
    return response;
  }

 private:
  std::string_view script_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto broker = net::Url::parse("http://127.0.0.1:8080");
  static const auto uri = kbs::ResourceUri::parse("default/key/add");
  const std::string_view script = proplet::fuzz::text_input(data, size);

  const proplet::fuzz::FixedClock clock;
  ScriptedHttp http(script);
  proplet::attestation::FakeAttester attester;
  auto client = kbs::make_client({.url = *broker}, http, attester, clock);
  check(client.has_value(), "a client can be made");
  for (int attempt = 0; attempt < 2; ++attempt) {
    // Only who knows the client's public key can encrypt for it, and no script can.
    check(!(*client)->get_resource(*uri, nullptr, {}), "noise is no resource");
  }
  if (const auto error = kbs::parse_error_information({data, size})) {
    check(error->detail.size() <= 300, "details are bounded");
  }
  return 0;
}
