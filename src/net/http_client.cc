#include "net/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <mutex>
#include <optional>

#include "net/transfer.h"

namespace proplet::net {
namespace {

constexpr std::size_t kMaxIdleChannels = 16;

// libcurl counts its users; this is one.
class CurlLibrary {
 public:
  CurlLibrary() : code_(curl_global_init(CURL_GLOBAL_DEFAULT)) {}
  ~CurlLibrary() {
    if (code_ == CURLE_OK) curl_global_cleanup();
  }
  CurlLibrary(const CurlLibrary&) = delete;
  CurlLibrary& operator=(const CurlLibrary&) = delete;
  [[nodiscard]] CURLcode code() const { return code_; }

 private:
  CURLcode code_;
};

// Idle channels. A channel whose latest exchange went to the same origin is preferred: its connection is open. The
// library is set up for the first one: that takes 2.4 MB, which a worker without downloads need not have.
class ChannelPool {
 public:
  Result<std::unique_ptr<Channel>> take(const std::string& origin) {
    const std::lock_guard lock(mutex_);
    if (!library_) library_.emplace();
    if (library_->code() != CURLE_OK) {
      return fail(Code::internal, "libcurl: {}", curl_easy_strerror(library_->code()));
    }
    if (idle_.empty()) return Channel::make();
    const auto match =
        std::find_if(idle_.rbegin(), idle_.rend(), [&](const auto& channel) { return channel->origin == origin; });
    const auto chosen = match == idle_.rend() ? idle_.end() - 1 : match.base() - 1;
    auto channel = std::move(*chosen);
    idle_.erase(chosen);
    return channel;
  }

  void give_back(std::unique_ptr<Channel> channel) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kMaxIdleChannels) idle_.push_back(std::move(channel));
  }

 private:
  std::mutex mutex_;
  std::optional<CurlLibrary> library_;  // outlives the channels
  std::vector<std::unique_ptr<Channel>> idle_;
};

bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool is_credential(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower == "authorization" || lower == "cookie" || lower == "proxy-authorization";
}

// The headers of a request on its way through redirects; a copy that may hold credentials, hence wiped.
struct TravellingHeaders {
  HttpHeaders list;

  void drop_credentials() {
    wipe_credentials();
    std::erase_if(list, [](const auto& header) { return is_credential(header.first); });
  }
  void wipe_credentials() {
    for (auto& [name, value] : list) {
      if (is_credential(name)) wipe(value);
    }
  }
  explicit TravellingHeaders(HttpHeaders headers) : list(std::move(headers)) {}
  ~TravellingHeaders() { wipe_credentials(); }
  TravellingHeaders(const TravellingHeaders&) = delete;
  TravellingHeaders& operator=(const TravellingHeaders&) = delete;
};

class CurlHttpClient final : public HttpClient {
 public:
  explicit CurlHttpClient(HttpClientOptions options) : options_(std::move(options)) {}

  Result<HttpResponse> send(const HttpRequest& request, std::stop_token stop) override {
    std::optional<std::chrono::steady_clock::time_point> deadline;
    if (request.timeout) deadline = std::chrono::steady_clock::now() + *request.timeout;
    TravellingHeaders headers(request.headers);
    Url url = request.url;
    TRY(check_transport(url));
    for (int hops = 0;; ++hops) {
      const Exchange exchange{options_, request, headers.list, url, deadline};
      TRY_ASSIGN(auto response, perform_once(exchange, stop));
      TRY_ASSIGN(auto target, redirect_target(request, response, hops));
      if (!target) return response;
      if (!target->same_origin(url)) headers.drop_credentials();
      url = std::move(*target);
    }
  }

 private:
  Result<HttpResponse> perform_once(const Exchange& exchange, const std::stop_token& stop) {
    const auto origin = exchange.url.host_and_port();
    TRY_ASSIGN(auto channel, channels_.take(origin));
    auto response = perform(*channel, exchange, stop);
    channel->origin = origin;
    channels_.give_back(std::move(channel));
    return response;
  }

  [[nodiscard]] Status check_transport(const Url& url) const {
    if (options_.refuse_link_local && url.is_link_local_address()) {
      return fail(Code::destination_refused, "{} is a link-local address", url.host());
    }
    if (url.is_https() || url.is_loopback() || options_.allow_plain_http) return {};
    if (options_.insecure_hosts.contains(url.host()) || options_.insecure_hosts.contains(url.host_and_port()))
      return {};
    return fail(Code::insecure_transport, "plain HTTP to {} is not allowed", url.host_and_port());
  }

  // Where to go next; nothing when `response` is the answer.
  [[nodiscard]] Result<std::optional<Url>> redirect_target(const HttpRequest& request, const HttpResponse& response,
                                                           int hops) const {
    const bool repeatable = request.method == "GET" || request.method == "HEAD";
    const auto location = response.header("location");
    if (request.redirects == 0 || !repeatable || !is_redirect(response.status) || !location) {
      return std::optional<Url>();
    }
    const auto from = response.url.for_messages();
    if (hops >= request.redirects) return fail(Code::redirect_refused, "more than {} redirects, last {}", hops, from);
    auto target = response.url.resolve(*location);
    if (!target) return fail(std::move(target).error().because("redirect from " + from));
    if (response.url.is_https() && !target->is_https()) {
      return fail(Code::insecure_transport, "{} redirects from https to plain HTTP at {}", from,
                  target->host_and_port());
    }
    // A stranger does not choose which of this machine's own services are called.
    if (target->is_this_machine() && !response.url.is_this_machine()) {
      return fail(Code::redirect_refused, "{} redirects to this machine", from);
    }
    TRY(check_transport(*target));
    return std::optional<Url>(std::move(*target));
  }

  const HttpClientOptions options_;
  ChannelPool channels_;
};

}  // namespace

std::optional<std::string_view> HttpResponse::header(std::string_view name) const {
  for (const auto& [header_name, value] : headers) {
    if (header_name == name) return value;
  }
  return std::nullopt;
}

Result<std::unique_ptr<HttpClient>> make_http_client(HttpClientOptions options) {
  return std::make_unique<CurlHttpClient>(std::move(options));
}

}  // namespace proplet::net
