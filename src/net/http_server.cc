#include "net/http_server.h"

#include <httplib.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <thread>
#include <utility>

namespace proplet::net {
namespace {

constexpr int kIdleSeconds = 1;  // for the next request on an open connection; stop waits for it
constexpr auto kListenPoll = std::chrono::milliseconds(1);

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

struct Route {
  std::string method;
  std::string path;
  bool prefix;
  ServerHandler handler;

  [[nodiscard]] bool matches(const ServerRequest& request) const {
    const bool fits = method == "*" || method == request.method || (method == "GET" && request.method == "HEAD");
    return fits && (prefix ? request.path.starts_with(path) : request.path == path);
  }
};

class HttplibServer final : public HttpServer {
 public:
  HttplibServer(HttpServerOptions options, std::unique_ptr<httplib::Server> server)
      : options_(std::move(options)), server_(std::move(server)) {
    configure();
  }
  ~HttplibServer() override { stop(); }
  HttplibServer(const HttplibServer&) = delete;
  HttplibServer& operator=(const HttplibServer&) = delete;

  void route(std::string method, std::string path, ServerHandler handler) override {
    const bool prefix = path.ends_with('*');
    if (prefix) path.pop_back();
    routes_.push_back({std::move(method), std::move(path), prefix, std::move(handler)});
  }

  Status start() override;
  void stop() override;
  [[nodiscard]] std::uint16_t port() const override { return port_; }

 private:
  void configure();
  void add_dispatchers();
  void answer(const httplib::Request& in, Bytes body, httplib::Response& out) const;
  void receive(const httplib::Request& in, httplib::Response& out, const httplib::ContentReader& reader) const;

  HttpServerOptions options_;
  std::vector<Route> routes_;
  std::unique_ptr<httplib::Server> server_;
  std::uint16_t port_ = 0;
  std::thread listener_;
};

void too_large(httplib::Response& out) {
  out.status = 413;
  out.set_content("payload reached size limit", "text/plain; charset=utf-8");
}

void HttplibServer::configure() {
  const auto threads = options_.worker_threads;
  server_->new_task_queue = [threads] { return new httplib::ThreadPool(threads); };
  server_->set_payload_max_length(options_.max_body_bytes);
  server_->set_read_timeout(options_.read_timeout);
  server_->set_write_timeout(options_.read_timeout);
  server_->set_keep_alive_timeout(kIdleSeconds);
  server_->set_tcp_nodelay(true);
  // Not SO_REUSEPORT, the library's default: it would let a second process share the port.
  server_->set_socket_options([](socket_t socket) {
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  });
  server_->set_exception_handler([](const httplib::Request&, httplib::Response& out, const std::exception_ptr&) {
    out = httplib::Response();
    out.status = 500;
  });
  server_->set_error_handler([](const httplib::Request&, httplib::Response& out) {
    if (out.status == 413) too_large(out);
  });
  add_dispatchers();
}

void HttplibServer::add_dispatchers() {
  const std::string any = "[^]*";
  const httplib::Server::Handler plain = [this](const httplib::Request& in, httplib::Response& out) {
    answer(in, {}, out);
  };
  const httplib::Server::HandlerWithContentReader reading = [this](const httplib::Request& in, httplib::Response& out,
                                                                   const httplib::ContentReader& reader) {
    receive(in, out, reader);
  };
  server_->Get(any, plain).Options(any, plain);
  // The library asks the first kind when a request has a body, the second when it has none.
  server_->Post(any, reading).Put(any, reading).Patch(any, reading).Delete(any, reading);
  server_->Post(any, plain).Put(any, plain).Patch(any, plain).Delete(any, plain);
}

void HttplibServer::receive(const httplib::Request& in, httplib::Response& out,
                            const httplib::ContentReader& reader) const {
  if (in.is_multipart_form_data()) {
    out.status = 415;
    return;
  }
  Bytes body;
  // At once, so that growing leaves no copies behind.
  const auto announced = in.get_header_value<std::uint64_t>("Content-Length");
  body.reserve(std::min<std::uint64_t>(announced, options_.max_body_bytes));
  bool over = false;
  // Counted here too: the library's limit does not cover chunked and compressed bodies.
  const bool complete = reader([&](const char* data, std::size_t size) {
    over = size > options_.max_body_bytes - body.size();
    if (over) return false;
    const auto bytes = bytes_of({data, size});
    body.insert(body.end(), bytes.begin(), bytes.end());
    return true;
  });
  if (over) return too_large(out);
  if (!complete) {
    if (out.status < 400) out.status = 400;
    return;
  }
  answer(in, std::move(body), out);
}

void HttplibServer::answer(const httplib::Request& in, Bytes body, httplib::Response& out) const {
  ServerRequest request{.method = in.method, .path = in.path, .query = {}, .headers = {}, .body = std::move(body)};
  if (const auto mark = in.target.find('?'); mark != std::string::npos) request.query = in.target.substr(mark + 1);
  for (const auto& [name, value] : in.headers) request.headers.emplace_back(lower(name), value);

  const auto route = std::ranges::find_if(routes_, [&](const Route& r) { return r.matches(request); });
  if (route == routes_.end()) {
    out.status = 404;
    return;
  }
  auto response = route->handler(request);
  wipe(request.body);  // an upload may be a key
  out.status = response.status;
  for (const auto& [name, value] : response.headers) out.headers.emplace(name, value);
  out.body = std::move(response.body);
}

Status HttplibServer::start() {
  if (!server_->is_valid()) return fail(Code::config_invalid, "the TLS certificate or key file cannot be used");
  const int bound = options_.port == 0 ? server_->bind_to_any_port(options_.address)
                                       : (server_->bind_to_port(options_.address, options_.port) ? options_.port : -1);
  if (bound <= 0) return fail(Code::network_failed, "cannot listen on {} port {}", options_.address, options_.port);
  port_ = static_cast<std::uint16_t>(bound);
  listener_ = std::thread([this] { server_->listen_after_bind(); });
  // The library can only be stopped once its loop runs.
  while (!server_->is_running()) std::this_thread::sleep_for(kListenPoll);
  return {};
}

void HttplibServer::stop() {
  if (!listener_.joinable()) return;
  server_->stop();
  listener_.join();
}

}  // namespace

std::optional<std::string_view> ServerRequest::header(std::string_view name) const {
  for (const auto& [known, value] : headers) {
    if (known == name) return value;
  }
  return std::nullopt;
}

Result<std::unique_ptr<HttpServer>> make_http_server(HttpServerOptions options) {
  const bool tls = !options.tls_certificate_file.empty();
  if (tls != !options.tls_key_file.empty()) {
    return fail(Code::config_invalid, "TLS needs both a certificate file and a key file");
  }
  std::unique_ptr<httplib::Server> server;
  if (tls) {
    server = std::make_unique<httplib::SSLServer>(options.tls_certificate_file.c_str(), options.tls_key_file.c_str());
  } else {
    server = std::make_unique<httplib::Server>();
  }
  return std::make_unique<HttplibServer>(std::move(options), std::move(server));
}

}  // namespace proplet::net
