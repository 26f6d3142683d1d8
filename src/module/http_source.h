// HttpSource downloads plain modules by http:// and https:// URLs.
//
// The URL may carry the module's digest as its fragment, "https://host/add.wasm#sha256:<hex>"; what arrives is then
// held against it. The client decides about transport and destinations: it is to allow plain HTTP, as these downloads
// always have been, and to refuse link-local addresses. Encrypted tasks never come this way. Errors: DOWNLOAD_FAILED
// (status, media type), NETWORK_FAILED, SIZE_LIMIT, DIGEST_MISMATCH, DESTINATION_REFUSED, INSECURE_TRANSPORT,
// FORMAT_INVALID, CANCELLED; none quotes the URL's query, which may be a secret. Thread-safe; `fetch` blocks and ends
// within 100 ms of a stop request.
#pragma once

#include <chrono>
#include <stop_token>
#include <string_view>

#include "base/clock.h"
#include "module/module.h"
#include "net/http_client.h"
#include "net/retry.h"

namespace proplet::module {

struct HttpSourceOptions {
  std::size_t max_module_bytes = std::size_t{100} << 20;
  // Of one attempt; a transfer that stalls ends sooner (net/http_client.h).
  std::chrono::milliseconds longest{std::chrono::minutes(10)};
  net::RetryPolicy retry{.attempts = 3};
};

class HttpSource {
 public:
  static bool is_for(std::string_view image_url);

  // The references must outlive the source.
  HttpSource(net::HttpClient& http, const Clock& clock, Random& random, HttpSourceOptions options)
      : http_(http), clock_(clock), random_(random), options_(options) {}

  Result<Module> fetch(std::string_view image_url, StageObserver* observer, std::stop_token stop) const;

 private:
  net::HttpClient& http_;
  const Clock& clock_;
  Random& random_;
  const HttpSourceOptions options_;
};

}  // namespace proplet::module
