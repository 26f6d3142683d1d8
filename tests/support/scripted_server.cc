#include "support/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace proplet::test_support {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return result;
}

std::size_t content_length(std::string_view head) {
  constexpr std::string_view kName = "\r\ncontent-length:";
  const auto text = lower(head);
  const auto position = text.find(kName);
  return position == std::string::npos ? 0 : std::strtoul(text.c_str() + position + kName.size(), nullptr, 10);
}

}  // namespace

bool RecordedRequest::has_header(std::string_view name) const {
  return lower(head).find("\r\n" + lower(name) + ":") != std::string::npos;
}

bool Connection::write(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void Connection::wait_until_closed() const {
  std::array<char, 4096> ignored{};
  while (::recv(fd_, ignored.data(), ignored.size(), 0) > 0) {
  }
}

bool Connection::read(RecordedRequest& request) {
  const auto receive_until = [this](auto&& complete) {
    while (!complete()) {
      std::array<char, 65536> chunk{};
      const ssize_t count = ::recv(fd_, chunk.data(), chunk.size(), 0);
      if (count <= 0) return false;
      buffer_.append(chunk.data(), static_cast<std::size_t>(count));
    }
    return true;
  };
  std::size_t end = 0;
  if (!receive_until([&] { return (end = buffer_.find("\r\n\r\n")) != std::string::npos; })) return false;
  request.head = buffer_.substr(0, end + 2);
  const auto length = content_length(request.head);
  if (!receive_until([&] { return buffer_.size() >= end + 4 + length; })) return false;
  request.body = buffer_.substr(end + 4, length);
  request.connection = number_;
  buffer_.erase(0, end + 4 + length);
  return true;
}

ScriptedServer::ScriptedServer(Script script)
    : script_(std::move(script)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  require(listener_.valid() && ::bind(listener_.get(), generic, size) == 0);
  require(::listen(listener_.get(), 16) == 0 && ::getsockname(listener_.get(), generic, &size) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this] { accept_connections(); });
}

ScriptedServer::~ScriptedServer() {
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  connections_.clear();
}

void ScriptedServer::accept_connections() {
  for (int number = 0;; ++number) {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const std::lock_guard lock(mutex_);
    open_.push_back(fd);
    connections_.emplace_back([this, fd, number] { serve(fd, number); });
  }
}

void ScriptedServer::serve(int fd, int number) {
  const UniqueFd owner(fd);
  Connection connection(fd, number);
  RecordedRequest request;
  while (connection.read(request)) {
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    changed_.notify_all();
    if (!script_(connection, request)) break;
  }
  const std::lock_guard lock(mutex_);
  std::erase(open_, fd);
}

std::string ScriptedServer::host() const { return "127.0.0.1:" + std::to_string(port_); }
std::string ScriptedServer::origin() const { return "http://" + host(); }

net::Url ScriptedServer::url(std::string_view path) const {
  auto url = net::Url::parse(origin() + std::string(path));
  require(url.has_value());
  return *url;
}

std::vector<RecordedRequest> ScriptedServer::requests() {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void ScriptedServer::wait_for_requests(std::size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return requests_.size() >= count; });
}

std::string response(int status, std::string_view body, std::string_view headers) {
  return "HTTP/1.1 " + std::to_string(status) + " Scripted\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(headers) + "\r\n" + std::string(body);
}

}  // namespace proplet::test_support
