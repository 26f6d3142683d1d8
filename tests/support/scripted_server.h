// ScriptedServer: a TCP server for tests that does to an HTTP client whatever the test says, rightly or wrongly.
//
// Listens on a free loopback port. Every request is read up to the end of its header section and its Content-Length,
// recorded, and handed to the script, which writes raw bytes. The script runs on the connection's own thread, may block
// in `Connection::wait_until_closed`, and returns false to close the connection. Destruction ends all threads.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "net/url.h"

namespace proplet::test_support {

struct RecordedRequest {
  std::string head;  // request line and headers, as sent
  std::string body;
  int connection = 0;  // counts from 0

  [[nodiscard]] bool has_header(std::string_view name) const;
};

class Connection {
 public:
  Connection(int fd, int number) : fd_(fd), number_(number) {}
  // False when the peer has gone.
  bool write(std::string_view bytes) const;
  // Blocks until the client closes the connection or the server is destroyed.
  void wait_until_closed() const;
  // The next whole request; false at the end of the connection.
  bool read(RecordedRequest& request);

 private:
  int fd_;
  int number_;
  std::string buffer_;
};

class ScriptedServer {
 public:
  using Script = std::function<bool(Connection& connection, const RecordedRequest& request)>;

  explicit ScriptedServer(Script script);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  [[nodiscard]] std::string origin() const;  // "http://127.0.0.1:12345"
  [[nodiscard]] std::string host() const;    // "127.0.0.1:12345"
  [[nodiscard]] net::Url url(std::string_view path) const;
  std::vector<RecordedRequest> requests();
  void wait_for_requests(std::size_t count);

 private:
  void accept_connections();
  void serve(int fd, int number);

  Script script_;
  UniqueFd listener_;
  int port_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<RecordedRequest> requests_;
  std::vector<int> open_;
  std::vector<std::jthread> connections_;
  std::jthread acceptor_;
};

// "HTTP/1.1 <status>" with Content-Length and the given further header lines ("Name: value\r\n").
std::string response(int status, std::string_view body, std::string_view headers = "");

}  // namespace proplet::test_support
