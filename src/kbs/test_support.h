// For the tests of this layer: a clock that stands still until told, recordings, a folder, a broker, a scripted server.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "kbs/admin_client.h"
#include "kbs/server/server.h"
#include "net/http_client.h"
#include "net/http_server.h"

namespace proplet::kbs {

class TestClock final : public Clock {
 public:
  [[nodiscard]] std::chrono::system_clock::time_point now() const override {
    return std::chrono::system_clock::time_point(std::chrono::seconds(seconds_.load()));
  }
  [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override {
    return std::chrono::steady_clock::time_point(std::chrono::seconds(seconds_.load()));
  }
  void advance(std::chrono::seconds by) { seconds_ += by.count(); }
  void set(std::int64_t unix_time) { seconds_ = unix_time; }

 private:
  std::atomic<std::int64_t> seconds_ = 1800000000;
};

class TestFolder {
 public:
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "proplet-kbs-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline json::object recording(const std::string& name) {
  const auto text = read_text_file(std::string(PROPLET_VECTORS) + "/kbs/" + name + ".json", 1 << 20);
  EXPECT_TRUE(text);
  auto object = json::parse_object(*text);
  EXPECT_TRUE(object) << name;
  return *object;
}

inline std::string text_member(const json::value& object, std::string_view name) {
  return std::string(object.at(name).as_string());
}

inline net::Url loopback(std::uint16_t port, const std::string& path = "") {
  return *net::Url::parse("http://127.0.0.1:" + std::to_string(port) + path);
}

// A broker on loopback with an administrator, and counters of what reached it.
class TestBroker {
 public:
  explicit TestBroker(ServerOptions options = {.folder = {}, .allow_sample = true}) : options_(std::move(options)) {
    options_.folder = folder_.path() + "/state";
    options_.admin_key = admin_key_.public_key();
    start();
  }

  void start() {
    auto server = make_server(options_, clock_, random_, log_);
    ASSERT_TRUE(server) << server.error().text();
    server_ = std::move(*server);
    ASSERT_TRUE(server_->start());
  }
  // A new server over the same folder, on the same port.
  void restart() {
    options_.port = server_->port();
    server_.reset();
    start();
  }

  [[nodiscard]] net::Url url(const std::string& path = "") const { return loopback(server_->port(), path); }
  [[nodiscard]] const crypto::PrivateKey& admin_key() const { return admin_key_; }
  [[nodiscard]] std::string admin_token() { return *make_admin_token(admin_key_, clock_); }
  void upload(net::HttpClient& http, const std::string& path, std::string_view bytes) {
    const auto done = upload_resource(http, url(), admin_token(), *ResourceUri::parse(path), bytes_of(bytes));
    ASSERT_TRUE(done) << done.error().text();
  }

  TestClock& clock() { return clock_; }
  ServerOptions& options() { return options_; }
  [[nodiscard]] const std::string& folder() const { return options_.folder; }

 private:
  TestFolder folder_;
  TestClock clock_;
  SystemRandom random_;
  Log log_{LogLevel::error, LogFormat::text};
  crypto::PrivateKey admin_key_ = *crypto::PrivateKey::generate(crypto::KeyKind::ed25519);
  ServerOptions options_;
  std::unique_ptr<Server> server_;
};

// An HTTP server that gives prepared answers in order and remembers what it was asked.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::deque<net::ServerResponse> answers) : answers_(std::move(answers)) {
    server_ = *net::make_http_server({});
    server_->route("*", "/*", [this](const net::ServerRequest& request) {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
      if (answers_.empty()) return net::ServerResponse{.status = 418};
      auto answer = std::move(answers_.front());
      answers_.pop_front();
      return answer;
    });
    EXPECT_TRUE(server_->start());
  }

  [[nodiscard]] net::Url url() const { return loopback(server_->port()); }
  [[nodiscard]] std::vector<net::ServerRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  mutable std::mutex mutex_;
  std::deque<net::ServerResponse> answers_;
  std::vector<net::ServerRequest> requests_;
  std::unique_ptr<net::HttpServer> server_;
};

// Counts the requests to each path on their way to the real client.
class CountingHttp final : public net::HttpClient {
 public:
  explicit CountingHttp(net::HttpClient& inner) : inner_(inner) {}
  Result<net::HttpResponse> send(const net::HttpRequest& request, std::stop_token stop) override {
    const auto& path = request.url.path_and_query();
    if (path.ends_with("/auth")) ++handshakes;
    if (path.find("/resource/") != std::string::npos) ++resources;
    return inner_.send(request, std::move(stop));
  }

  std::atomic<int> handshakes = 0;
  std::atomic<int> resources = 0;

 private:
  net::HttpClient& inner_;
};

}  // namespace proplet::kbs
