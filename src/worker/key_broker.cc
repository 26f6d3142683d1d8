#include "worker/key_broker.h"

#include <optional>

#include "base/fd.h"
#include "kbs/aa_config.h"

namespace proplet::worker {
namespace {

constexpr std::size_t kMaxPemBytes = 1U << 20;

}  // namespace

Result<KeyBroker> key_broker(const WorkerConfig& config) {
  std::optional<kbs::AaConfig> agent;
  if (!config.aa_config_path.empty()) {
    auto read = kbs::read_aa_config(config.aa_config_path);
    if (!read) return fail(std::move(read).error().because("PROPLET_AA_CONFIG_PATH"));
    agent = *std::move(read);
  }
  if (config.kbs_uri.empty() && !agent) {
    return fail(Code::kbs_not_configured, "neither PROPLET_KBS_URI nor PROPLET_AA_CONFIG_PATH names a key broker");
  }
  auto url = config.kbs_uri.empty() ? Result<net::Url>(agent->url) : net::Url::parse(config.kbs_uri);
  if (!url) return fail(Error(Code::kbs_not_configured, "PROPLET_KBS_URI").caused_by(url.error()));
  KeyBroker broker{.url = *std::move(url), .ca_pem = agent ? agent->certificate_pem : ""};
  if (!config.kbs_ca_cert.empty()) {
    TRY_ASSIGN(broker.ca_pem, read_text_file(config.kbs_ca_cert, kMaxPemBytes));
  }
  return broker;
}

}  // namespace proplet::worker
