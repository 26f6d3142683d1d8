#include "oci/session.h"

#include <algorithm>

#include "base/json.h"

namespace proplet::oci {
namespace {

// Printable ASCII of a stranger's text, at most `limit` characters.
std::string printable(std::string_view text, std::size_t limit) {
  std::string result(text.substr(0, limit));
  std::replace_if(result.begin(), result.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return result;
}

// "MANIFEST_UNKNOWN: manifest unknown"; empty when the body is not of the form the specification gives errors.
std::string own_words(const net::HttpResponse& response) {
  const auto document = json::parse_object(text_of(response.body), {.bytes = net::kMaxErrorBytes});
  if (!document) return {};
  const auto errors = json::optional_array(*document, "errors");
  if (!errors || *errors == nullptr || (*errors)->empty()) return {};
  const auto* const first = (*errors)->front().if_object();
  if (first == nullptr) return {};
  const auto code = json::optional_string(*first, "code");
  const auto message = json::optional_string(*first, "message");
  std::string words;
  if (code && *code) words = printable(**code, 64);
  if (message && *message) words += ": " + printable(**message, 200);
  return words;
}

Code code_of(long status) {
  if (status == 401 || status == 403) return Code::registry_unauthorized;
  if (status == 404) return Code::image_not_found;
  return Code::registry_failed;
}

Result<net::HttpResponse> unreachable(Result<net::HttpResponse> answer) {
  if (answer || answer.error().code() != Code::network_failed) return answer;
  return fail(Code::registry_unreachable, "{}", answer.error().message());
}

}  // namespace

Error error_of(const net::HttpResponse& response, std::string_view what) {
  auto message = fmt::format("{}: status {}", what, response.status);
  if (const auto words = own_words(response); !words.empty()) message += ": " + words;
  return Error(code_of(response.status), std::move(message));
}

Registry::Session::Session(net::HttpClient& http, const Clock& clock, Random& random, RegistryOptions options)
    : http_(http),
      clock_(clock),
      random_(random),
      insecure_hosts_(std::move(options.insecure_hosts)),
      tls_loopback_hosts_(std::move(options.tls_loopback_hosts)),
      retry_{options.attempts, options.first_pause, options.longest_pause},
      login_(http, clock, random, retry_, std::move(options.credentials)) {}

Result<Purpose> Registry::Session::purpose(const Reference& reference, Access access) const {
  const auto host = reference.api_host();
  auto url = net::Url::parse("https://" + host);
  if (!url) return fail(Code::reference_invalid, "registry {}: {}", host, url.error().message());
  const bool plain = (url->is_loopback() && !tls_loopback_hosts_.contains(host)) || insecure_hosts_.contains(host) ||
                     insecure_hosts_.contains(url->host());
  if (plain) {
    TRY_ASSIGN(*url, net::Url::parse("http://" + host));
  }
  return Purpose{std::move(*url), reference, access};
}

Result<net::HttpResponse> Registry::Session::send(const Purpose& purpose, const MakeRequest& make_request,
                                                  const std::stop_token& stop) {
  return repeat([&] { return send_once(purpose, make_request, stop); }, stop);
}

Result<net::HttpResponse> Registry::Session::repeat(const std::function<Result<net::HttpResponse>()>& step,
                                                    const std::stop_token& stop) {
  return unreachable(net::with_retries(retry_, clock_, random_, stop, step));
}

Result<net::HttpResponse> Registry::Session::send_once(const Purpose& purpose, const MakeRequest& make_request,
                                                       const std::stop_token& stop) {
  auto request = make_request();
  // Upload locations may lead elsewhere; our credentials do not go with them (GHSA-jxpm-75mh-9fp7).
  if (!request.url.same_origin(purpose.registry)) return http_.send(request, stop);
  auto response = send_as(purpose, std::move(request), login_.known(purpose), stop);
  // A 401 from where a redirect led says nothing about this registry.
  if (!response || response->status != 401 || !response->url.same_origin(purpose.registry)) return response;
  TRY_ASSIGN(const auto authorization, login_.renew(purpose, *response, stop));
  return send_as(purpose, make_request(), authorization, stop);
}

Result<net::HttpResponse> Registry::Session::send_as(const Purpose& purpose, net::HttpRequest request,
                                                     const SecretBytes& authorization, const std::stop_token& stop) {
  if (authorization.empty() || !request.url.same_origin(purpose.registry)) return http_.send(request, stop);
  request.headers.emplace_back("Authorization", std::string(text_of(authorization.view())));
  auto response = http_.send(request, stop);
  wipe(request.headers.back().second);
  return response;
}

}  // namespace proplet::oci
