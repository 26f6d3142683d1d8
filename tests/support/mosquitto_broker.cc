#include "support/mosquitto_broker.h"

#include <cstdlib>
#include <fstream>
#include <iostream>

namespace proplet::test_support {

MosquittoBroker::MosquittoBroker(const Options& options) : port_(free_port()) {
  const std::string& folder = folder_.path();
  std::string text = "listener " + std::to_string(port_) + " 127.0.0.1\n";
  if (options.tls) {
    make_certificates();
    text += "cafile " + ca_cert() + "\ncertfile " + folder + "/server.pem\nkeyfile " + folder + "/server.key\n";
  }
  if (options.user.empty()) {
    text += "allow_anonymous true\n";
  } else {
    run({"mosquitto_passwd", "-b", "-c", folder + "/passwords", options.user, options.password},
        folder + "/passwd.log");
    text += "allow_anonymous false\npassword_file " + folder + "/passwords\n";
  }
  // As root the broker would change to a user that may not read this folder.
  text += "user root\nset_tcp_nodelay true\nmax_queued_messages 0\nlog_dest stdout\n";
  write_text(folder + "/mosquitto.conf", text);
}

bool MosquittoBroker::start() {
  const std::string log = folder_.path() + "/mosquitto.log";
  process_ = std::make_unique<ChildProcess>(
      std::vector<std::string>{"/usr/sbin/mosquitto", "-c", folder_.path() + "/mosquitto.conf"}, log);
  if (wait_for_port(port_, *process_)) return true;
  std::cerr << std::ifstream(log).rdbuf();
  return false;
}

void MosquittoBroker::kill() { process_->kill(); }

void MosquittoBroker::make_certificates() const {
  const std::string& folder = folder_.path();
  const std::string log = folder + "/openssl.log";
  write_text(folder + "/names", "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
  const std::vector<std::vector<std::string>> steps = {
      {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
       "-subj", "/CN=test-ca", "-keyout", folder + "/ca.key", "-out", ca_cert()},
      {"openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
       "-keyout", folder + "/server.key", "-out", folder + "/server.csr"},
      {"openssl", "x509", "-req", "-in", folder + "/server.csr", "-CA", ca_cert(), "-CAkey", folder + "/ca.key",
       "-CAcreateserial", "-days", "2", "-extfile", folder + "/names", "-out", folder + "/server.pem"},
  };
  for (const auto& step : steps) {
    if (run(step, log) == 0) continue;
    std::cerr << std::ifstream(log).rdbuf();
    std::abort();
  }
}

}  // namespace proplet::test_support
