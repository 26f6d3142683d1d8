// Confidential decides at start whether this worker runs encrypted tasks, and holds what they need.
//
// A worker without a TEE, or with a missing or wrong key broker configuration, runs plain tasks and refuses encrypted
// ones with the reason found here. Nothing weaker is ever chosen instead.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attestation/attester.h"
#include "base/clock.h"
#include "base/log.h"
#include "kbs/client.h"
#include "module/image_opener.h"
#include "net/http_client.h"
#include "worker/config.h"

namespace proplet {

class Confidential {
 public:
  // Logs what was found: loudly for the sample TEE, and for a TEE that was expected and is missing.
  Confidential(const worker::WorkerConfig& config, const Clock& clock, Log& log);

  // Why encrypted tasks are refused; nothing: they run.
  [[nodiscard]] std::optional<Error> refused() const { return refused_; }
  // "sample", "tdx", ...; empty without a TEE.
  [[nodiscard]] std::string tee() const;
  // For discovery: encrypted, tee, tee:<kind>.
  [[nodiscard]] std::vector<std::string> tags() const;
  [[nodiscard]] Result<kbs::Client*> broker() const;
  [[nodiscard]] module::ImageOpenerOptions opener_options(const worker::WorkerConfig& config) const;

 private:
  Status use_key_file(const worker::WorkerConfig& config);
  Status set_up(const worker::WorkerConfig& config, const Clock& clock);

  std::unique_ptr<attestation::Attester> attester_;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<kbs::Client> client_;
  std::string broker_host_;
  std::optional<kbs::ResourceUri> default_key_;
  std::optional<Error> refused_;
};

}  // namespace proplet
