// One HTTP exchange without redirects on one libcurl handle. Private to net/.
//
// A Channel is an easy handle with a multi handle of its own, which keeps the connections alive between exchanges. One
// thread at a time uses a Channel; HttpClient keeps the idle ones.
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "net/http_client.h"

namespace proplet::net {

struct CurlEasyFree {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct CurlMultiFree {
  void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
};
// Wipes the text first: headers may hold credentials.
struct CurlListFree {
  void operator()(curl_slist* list) const;
};

struct Channel {
  // Destroyed first to last in reverse: the easy handle goes before the multi handle it is attached to.
  std::unique_ptr<CURLM, CurlMultiFree> multi;
  std::unique_ptr<CURL, CurlEasyFree> easy;
  std::string origin;  // of the latest exchange, whose connection is probably still open

  static Result<std::unique_ptr<Channel>> make();
};

struct Exchange {
  const HttpClientOptions& options;
  const HttpRequest& request;
  const HttpHeaders& headers;  // instead of the request's own, which redirects may reduce
  const Url& url;              // instead of the request's own
  std::optional<std::chrono::steady_clock::time_point> deadline;
};

// Performs the exchange. After an error the channel may still be used: libcurl drops broken connections itself.
Result<HttpResponse> perform(Channel& channel, const Exchange& exchange, const std::stop_token& stop);

}  // namespace proplet::net
