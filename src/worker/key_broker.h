// Which key broker the settings name: PROPLET_KBS_URI and PROPLET_KBS_CA_CERT, else the attestation agent's file.
#pragma once

#include <string>

#include "base/result.h"
#include "net/url.h"
#include "worker/config.h"

namespace proplet::worker {

struct KeyBroker {
  net::Url url;
  std::string ca_pem;  // empty: the system's authorities
};

// KBS_NOT_CONFIGURED if there is none, or a wrong one; IO_FAILED, CONFIG_INVALID for a file that cannot be used.
Result<KeyBroker> key_broker(const WorkerConfig& config);

}  // namespace proplet::worker
