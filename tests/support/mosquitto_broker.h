// MosquittoBroker: a real broker (Debian's mosquitto) on a loopback port that stays the same when it is restarted.
#pragma once

#include <memory>
#include <string>

#include "support/child_process.h"

namespace proplet::test_support {

class MosquittoBroker {
 public:
  struct Options {
    // Both set: only this account may connect.
    std::string user;
    std::string password;
    // TLS with a certificate for localhost from a CA of its own.
    bool tls = false;
  };

  // Chooses a port and prepares the configuration; `start` runs the broker.
  explicit MosquittoBroker(const Options& options);
  MosquittoBroker() : MosquittoBroker(Options{}) {}

  // False when it does not come up; its log then goes to standard error.
  bool start();
  // Ends it as a crash would.
  void kill();

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string ca_cert() const { return folder_.path() + "/ca.pem"; }

 private:
  void make_certificates() const;

  TemporaryFolder folder_;
  int port_;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace proplet::test_support
