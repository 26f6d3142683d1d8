#include "net/transfer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <functional>

#include "net/address.h"

namespace proplet::net {
namespace {

constexpr std::size_t kMaxHeaderBytes = std::size_t{128} << 10;
constexpr long kReceiveBufferBytes = 128L << 10;
constexpr int kPollMilliseconds = 1000;  // an upper bound only: a stop request or data wakes the poll

char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string_view trim(std::string_view text) {
  const auto begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
}

// What the callbacks of libcurl, which run inside `perform`, collect.
struct Sink {
  const HttpRequest& request;
  HttpResponse response;
  std::size_t header_bytes = 0;
  std::size_t body_bytes = 0;
  std::optional<Error> error{};    // of a callback; ends the transfer
  std::optional<Error> refusal{};  // of an address; another of the same host may do

  void take_header_line(std::string_view line) {
    if (line.starts_with("HTTP/")) {  // a new header section: after a 1xx response or a proxy's answer
      response.headers.clear();
      const auto space = line.find(' ');
      response.status = 0;
      if (space != std::string_view::npos) {
        std::from_chars(line.data() + space + 1, line.data() + line.size(), response.status);
      }
      return;
    }
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), to_lower);
    response.headers.emplace_back(std::move(name), std::string(trim(line.substr(colon + 1))));
  }

  Status take_header(std::string_view line) {
    header_bytes += line.size();
    if (header_bytes > kMaxHeaderBytes) {
      return fail(Code::size_limit, "{}: header section is larger than {} bytes", response.url.for_messages(),
                  kMaxHeaderBytes);
    }
    take_header_line(line);
    return {};
  }

  // What the peer says it will send; 0 when it does not say.
  [[nodiscard]] std::uint64_t announced_bytes() const {
    std::uint64_t bytes = 0;
    if (const auto text = response.header("content-length")) {
      std::from_chars(text->data(), text->data() + text->size(), bytes);
    }
    return bytes;
  }

  Status take_body(ByteView bytes) {
    const bool success = response.status >= 200 && response.status < 300;
    const auto limit = request.on_body && !success ? kMaxErrorBytes : request.max_response_bytes;
    const bool first = body_bytes == 0;
    if (success && first && request.on_response) TRY(request.on_response(response));
    body_bytes += bytes.size();
    if (body_bytes > limit || (first && !request.on_body && announced_bytes() > limit)) {
      return fail(Code::size_limit, "{}: response is larger than {} bytes", response.url.for_messages(), limit);
    }
    if (success && request.on_body) return request.on_body(bytes);
    response.body.insert(response.body.end(), bytes.begin(), bytes.end());
    return {};
  }

  // Tells libcurl to go on (all bytes taken) or to end the transfer (none taken).
  std::size_t verdict(Status status, std::size_t size) {
    if (status) return size;
    error = std::move(status).error();
    return 0;
  }
};

std::size_t on_header(char* data, std::size_t unit, std::size_t count, void* sink_pointer) {
  auto& sink = *static_cast<Sink*>(sink_pointer);
  return sink.verdict(sink.take_header({data, unit * count}), unit * count);
}

std::size_t on_body(char* data, std::size_t unit, std::size_t count, void* sink_pointer) {
  auto& sink = *static_cast<Sink*>(sink_pointer);
  return sink.verdict(sink.take_body(bytes_of({data, unit * count})), unit * count);
}

// Between the look-up of a name and the connection: here every address is seen, whatever led to it.
curl_socket_t open_unless_link_local(void* sink_pointer, curlsocktype /*purpose*/, curl_sockaddr* address) {
  auto& sink = *static_cast<Sink*>(sink_pointer);
  if (is_link_local(&address->addr, address->addrlen)) {
    sink.refusal = Error(Code::destination_refused, sink.response.url.host() + " leads to the link-local address " +
                                                        text_of_address(&address->addr, address->addrlen));
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

using HeaderList = std::unique_ptr<curl_slist, CurlListFree>;

bool has_header(const HttpHeaders& headers, std::string_view name) {
  return std::any_of(headers.begin(), headers.end(), [&](const auto& header) {
    return std::equal(header.first.begin(), header.first.end(), name.begin(), name.end(),
                      [](char a, char b) { return to_lower(a) == to_lower(b); });
  });
}

bool is_safe(std::string_view text, std::string_view forbidden) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    const bool control = (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
    return !control && forbidden.find(c) == std::string_view::npos;
  });
}

Status append(HeaderList& list, std::string line) {
  auto* const longer = curl_slist_append(list.get(), line.c_str());
  wipe(line);
  if (longer == nullptr) return fail(Code::internal, "out of memory");
  static_cast<void>(list.release());
  list.reset(longer);
  return {};
}

Result<HeaderList> make_header_list(const HttpHeaders& headers) {
  HeaderList list;
  for (const auto& [name, value] : headers) {
    if (name.empty() || !is_safe(name, ": \t;") || !is_safe(value, "")) {
      return fail(Code::format_invalid, "a request header contains characters that cannot be sent");
    }
    // "Name;" is libcurl's spelling of a header without a value.
    TRY(append(list, value.empty() ? name + ";" : name + ": " + value));
  }
  // libcurl would add these by itself: a wait for permission to send, and a media type nobody stated.
  TRY(append(list, "Expect:"));
  if (!has_header(headers, "content-type")) TRY(append(list, "Content-Type:"));
  return list;
}

void set_method(CURL* easy, const HttpRequest& request) {
  const bool sends_body =
      !request.body.empty() || request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (sends_body) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.empty() ? nullptr : request.body.data());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    if (request.body.empty()) curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
  }
  if (request.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (request.method != "GET" || sends_body) {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
}

void set_tls(CURL* easy, const TlsOptions& tls) {
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, tls.verify ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, tls.verify ? 2L : 0L);
  if (tls.ca_pem.empty()) return;
  curl_blob blob{};
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): the interface of libcurl; it only reads.
  blob.data = const_cast<char*>(tls.ca_pem.data());
  blob.len = tls.ca_pem.size();
  blob.flags = CURL_BLOB_NOCOPY;
  curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
  // libcurl would trust the system's folder as well.
  if (!tls.system_roots) curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
}

void set_limits(CURL* easy, const Exchange& exchange) {
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(exchange.options.connect_timeout.count()));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(exchange.options.stall_timeout.count()));
  if (exchange.deadline) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(*exchange.deadline - std::chrono::steady_clock::now());
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(left.count(), 1)));
  }
}

void set_options(CURL* easy, const Exchange& exchange, Sink& sink, curl_slist* headers) {
  curl_easy_setopt(easy, CURLOPT_URL, exchange.url.text().c_str());
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // a stop does not wait for a name look-up to end
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, exchange.options.user_agent.c_str());
  if (exchange.url.is_loopback()) curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &sink);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &sink);
  if (exchange.options.refuse_link_local) {
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_unless_link_local);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &sink);
  }
  set_method(easy, exchange.request);
  set_tls(easy, exchange.options.tls);
  set_limits(easy, exchange);
}

// Attaches the easy handle for one exchange; detaching ends a transfer that is still under way.
class Attachment {
 public:
  explicit Attachment(Channel& channel) : channel_(channel) {
    code_ = curl_multi_add_handle(channel.multi.get(), channel.easy.get());
  }
  ~Attachment() {
    curl_multi_remove_handle(channel_.multi.get(), channel_.easy.get());
    // An idle handle must not point at what dies with the exchange. Connections and the DNS cache stay.
    curl_easy_reset(channel_.easy.get());
  }
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;
  [[nodiscard]] CURLMcode code() const { return code_; }

 private:
  Channel& channel_;
  CURLMcode code_;
};

// Runs the attached transfer to its end. Null result code: stopped.
Result<std::optional<CURLcode>> run(CURLM* multi, const std::stop_token& stop) {
  const std::stop_callback wake(stop, [multi] { curl_multi_wakeup(multi); });
  int running = 1;
  while (true) {
    if (stop.stop_requested()) return std::optional<CURLcode>();
    auto code = curl_multi_perform(multi, &running);
    if (code == CURLM_OK && running == 0) break;
    if (code == CURLM_OK) code = curl_multi_poll(multi, nullptr, 0, kPollMilliseconds, nullptr);
    if (code != CURLM_OK) return fail(Code::network_failed, "libcurl: {}", curl_multi_strerror(code));
  }
  int left = 0;
  const CURLMsg* const message = curl_multi_info_read(multi, &left);
  if (message == nullptr) return fail(Code::network_failed, "libcurl reported no result");
  return std::optional<CURLcode>(message->data.result);
}

}  // namespace

void CurlListFree::operator()(curl_slist* list) const {
  for (auto* item = list; item != nullptr; item = item->next) {
    wipe(MutableByteView(reinterpret_cast<std::uint8_t*>(item->data), std::strlen(item->data)));
  }
  curl_slist_free_all(list);
}

Result<std::unique_ptr<Channel>> Channel::make() {
  auto channel = std::make_unique<Channel>();
  channel->multi.reset(curl_multi_init());
  channel->easy.reset(curl_easy_init());
  if (!channel->multi || !channel->easy) return fail(Code::internal, "libcurl cannot make a handle");
  curl_multi_setopt(channel->multi.get(), CURLMOPT_MAXCONNECTS, 4L);
  return channel;
}

Result<HttpResponse> perform(Channel& channel, const Exchange& exchange, const std::stop_token& stop) {
  const auto what = exchange.request.method + " " + exchange.url.for_messages();
  TRY_ASSIGN(const auto headers, make_header_list(exchange.headers));
  Sink sink{.request = exchange.request, .response = {.url = exchange.url}};
  std::array<char, CURL_ERROR_SIZE> details{};
  set_options(channel.easy.get(), exchange, sink, headers.get());
  curl_easy_setopt(channel.easy.get(), CURLOPT_ERRORBUFFER, details.data());

  const Attachment attachment(channel);
  if (attachment.code() != CURLM_OK) {
    return fail(Code::internal, "{}: libcurl: {}", what, curl_multi_strerror(attachment.code()));
  }
  TRY_ASSIGN(const auto code, run(channel.multi.get(), stop));
  if (sink.error) return fail(std::move(*sink.error));
  if (!code) return fail(Code::cancelled, "{} was stopped", what);
  if (*code != CURLE_OK && sink.refusal) return fail(std::move(*sink.refusal));
  if (*code != CURLE_OK) {
    return fail(Code::network_failed, "{}: {}", what,
                details.front() != '\0' ? details.data() : curl_easy_strerror(*code));
  }
  return std::move(sink.response);
}

}  // namespace proplet::net
