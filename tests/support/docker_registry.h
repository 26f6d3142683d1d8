// DockerRegistry: a real registry (Debian's docker-registry) on a free loopback port, with its storage in a temporary
// folder. Plain HTTP. Ends with its owner.
#pragma once

#include <memory>
#include <string>

#include "support/child_process.h"

namespace proplet::test_support {

class DockerRegistry {
 public:
  struct Options {
    // Both set: HTTP basic authentication with this account (through htpasswd, bcrypt).
    std::string user{};
    std::string password{};
    // Both set: bearer tokens from that service, signed by the key of that certificate (PEM file); service "reg",
    // issuer "issuer".
    std::string token_realm{};
    std::string token_certificate{};
  };

  // Null when the program is missing or does not start; its log then goes to standard error.
  static std::unique_ptr<DockerRegistry> start(const Options& options);
  static std::unique_ptr<DockerRegistry> start() { return start(Options{}); }

  [[nodiscard]] std::string host() const { return "127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] const std::string& folder() const { return folder_.path(); }

 private:
  DockerRegistry() = default;
  TemporaryFolder folder_;
  int port_ = 0;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace proplet::test_support
