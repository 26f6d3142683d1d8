#include "confidential.h"

#include "attestation/choice.h"
#include "attestation/detect.h"
#include "kbs/given_key.h"
#include "kbs/init_data.h"
#include "worker/key_broker.h"

namespace proplet {

Confidential::Confidential(const worker::WorkerConfig& config, const Clock& clock, Log& log) {
  auto ready = set_up(config, clock);
  if (!ready) refused_ = std::move(ready).error();
  if (!refused_ && !config.key_file.empty()) {
    log.warn("encrypted images are opened with a key from a file: no TEE is proven and nothing is protected", {});
  }
  if (!refused_ && attester_ && attester_->tee() == attestation::tee_name(attestation::Tee::sample)) {
    log.warn("the sample TEE is in use: it proves nothing and protects nothing", {{"tee", tee()}});
  }
  if (refused_ && config.tee_expected) {
    log.error("PROPLET_TEE_ENABLED is true, but encrypted tasks cannot run", {{"reason", refused_->text()}});
  } else if (refused_) {
    // Without a TEE that is how things are; where the operator has named a TEE or a key, something is wrong.
    const bool asked_for = config.tee != "off" && (config.tee != "auto" || !config.key_file.empty());
    log.write(asked_for ? LogLevel::warn : LogLevel::info, "encrypted tasks are refused",
              {{"reason", refused_->text()}});
  }
}

Status Confidential::use_key_file(const worker::WorkerConfig& config) {
  if (config.tee != "auto" && !config.key_file_in_tee) {
    return fail(Code::config_invalid,
                "PROPLET_TEE={} demands a TEE, and with PROPLET_KEY_FILE none is proven; leave out one of them",
                config.tee);
  }
  if (const auto tee = attestation::detect("/"); tee && !config.key_file_in_tee) {
    return fail(
        Code::config_invalid,
        "PROPLET_KEY_FILE is for development, and this is a TEE ({}); keys belong into a key broker, which asks "
        "for evidence",
        attestation::tee_name(*tee));
  }
  TRY_ASSIGN(client_, kbs::GivenKey::from_private_file(config.key_file));
  default_key_ = kbs::GivenKey::name();
  return {};
}

Status Confidential::set_up(const worker::WorkerConfig& config, const Clock& clock) {
  if (!config.key_file.empty() && config.tee != "off") return use_key_file(config);
  kbs::InitData init_data;
  if (!config.init_data_file.empty()) {
    TRY_ASSIGN(init_data, kbs::read_init_data(config.init_data_file));
  }
  TRY_ASSIGN(const auto choice, attestation::TeeChoice::parse(config.tee, !config.attester_program.empty()));
  TRY_ASSIGN(attester_, attestation::make_attester(
                            choice, attestation::detect("/"),
                            {.program = config.attester_program, .init_data_digest = std::move(init_data.digest)}));
  TRY_ASSIGN(worker::KeyBroker broker, worker::key_broker(config));
  if (!config.kbs_resource_path.empty()) {
    auto key = kbs::ResourceUri::parse(config.kbs_resource_path);
    if (!key) return fail(Error(Code::kbs_not_configured, "PROPLET_KBS_RESOURCE_PATH").caused_by(key.error()));
    default_key_ = *std::move(key);
  }
  net::HttpClientOptions options;
  options.tls.ca_pem = std::move(broker.ca_pem);
  options.insecure_hosts = {config.kbs_allow_http.begin(), config.kbs_allow_http.end()};
  TRY_ASSIGN(http_, net::make_http_client(std::move(options)));
  broker_host_ = broker.url.authority();
  TRY_ASSIGN(client_, kbs::make_client({.url = std::move(broker.url), .init_data = std::move(init_data.text)}, *http_,
                                       *attester_, clock));
  return {};
}

std::string Confidential::tee() const { return attester_ ? std::string(attester_->tee()) : std::string(); }

std::vector<std::string> Confidential::tags() const {
  std::vector<std::string> tags;
  if (!refused_) tags.emplace_back("encrypted");
  if (attester_) {
    tags.emplace_back("tee");
    tags.push_back("tee:" + tee());
  }
  return tags;
}

Result<kbs::Client*> Confidential::broker() const {
  if (refused_) return fail(Error(*refused_));
  return client_.get();
}

module::ImageOpenerOptions Confidential::opener_options(const worker::WorkerConfig& config) const {
  return {.max_module_bytes = config.max_module_bytes,
          .parallel_pulls = config.pull_concurrent_limit,
          .broker_host = broker_host_,
          .default_key = default_key_};
}

}  // namespace proplet
