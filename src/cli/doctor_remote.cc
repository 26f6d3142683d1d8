// proplet doctor: broker, registries, key broker and TEE, which have to be asked.
#include <algorithm>

#include "attestation/choice.h"
#include "attestation/detect.h"
#include "base/clock.h"
#include "base/fd.h"
#include "cli/doctor.h"
#include "net/http_client.h"
#include "oci/auth.h"
#include "propeller/session.h"
#include "propeller/topics.h"
#include "worker/key_broker.h"

namespace proplet::cli {
namespace {

using Level = Finding::Level;

constexpr std::chrono::milliseconds kPatience{5000};
constexpr std::size_t kMaxPemBytes = 1U << 20;

Result<long> status_of(net::HttpClientOptions options, const net::Url& url, const std::stop_token& stop) {
  options.connect_timeout = kPatience;
  TRY_ASSIGN(const auto http, net::make_http_client(std::move(options)));
  net::HttpRequest request{.url = url};
  request.timeout = kPatience;
  TRY_ASSIGN(const auto response, http->send(request, stop));
  return response.status;
}

propeller::SessionOptions session_options(const worker::WorkerConfig& config) {
  propeller::SessionOptions options;
  // Not the worker's own: a broker would end the connection of the worker that runs.
  options.client_id = "proplet-doctor-" + SystemRandom().uuid();
  options.user = config.entity_id;
  options.password = config.api_key.clone();
  options.qos = config.mqtt_qos;
  options.tls = {.ca_cert = config.mqtt_ca_cert,
                 .client_cert = config.mqtt_client_cert,
                 .client_key = config.mqtt_client_key,
                 .skip_verify = config.mqtt_skip_verify};
  const std::string base = propeller::base_topic(config.tenant_id, config.channel_id) + "/";
  options.subscriptions = {base + std::string(propeller::kStartTopic), base + std::string(propeller::kStopTopic)};
  return options;
}

Findings examine_broker(const Patient& patient, const std::stop_token& stop) {
  const worker::WorkerConfig& config = patient.config();
  auto address = propeller::BrokerAddress::parse(config.mqtt_address);
  if (!address) return {};  // a finding about the settings already
  propeller::SessionOptions options = session_options(config);
  options.address = *address;
  const std::string name = fmt::format("{}:{}{}", address->host, address->port, address->tls ? " with TLS" : "");
  Log log(LogLevel::error, LogFormat::text);
  if (const auto status = propeller::MqttSession::probe(options, kPatience, log, stop); !status) {
    return {{Level::fail, "broker", fmt::format("{}: {}", name, status.error().text()),
             "check PROPLET_MQTT_ADDRESS, the network, and what the broker allows this user"}};
  }
  Findings findings = {{Level::ok, "broker", name + ": credentials and subscriptions accepted", ""}};
  if (!address->tls && address->host != "localhost" && !address->host.starts_with("127.") && address->host != "::1") {
    findings.push_back({Level::warn, "broker", "the connection is not encrypted",
                        "use an address that begins with ssl:// if others share the network"});
  }
  if (address->tls && config.mqtt_skip_verify) {
    findings.push_back({Level::warn, "broker", "its certificate is not verified",
                        "set PROPLET_MQTT_TLS_CA_CERT instead of PROPLET_MQTT_TLS_INSECURE_SKIP_VERIFY"});
  }
  return findings;
}

std::vector<std::string> registry_hosts(const worker::WorkerConfig& config) {
  std::vector<std::string> hosts = config.insecure_registries;
  if (!config.registry_auth_file.empty()) {
    if (const auto file = oci::AuthFile::load(config.registry_auth_file)) {
      for (const std::string& host : file->hosts()) hosts.push_back(host);
    }
  }
  std::ranges::sort(hosts);
  hosts.erase(std::ranges::unique(hosts).begin(), hosts.end());
  return hosts;
}

Result<net::Url> registry_url(const worker::WorkerConfig& config, const std::string& host) {
  const bool plain = std::ranges::find(config.insecure_registries, host) != config.insecure_registries.end();
  const std::string server = host == "docker.io" ? "registry-1.docker.io" : host;
  TRY_ASSIGN(const auto url, net::Url::parse("https://" + server + "/v2/"));
  return plain || url.is_loopback() ? net::Url::parse("http://" + server + "/v2/") : Result<net::Url>(url);
}

Result<long> registry_status(const worker::WorkerConfig& config, const std::string& host, const std::stop_token& stop) {
  TRY_ASSIGN(const auto url, registry_url(config, host));
  net::HttpClientOptions options;
  options.insecure_hosts = {config.insecure_registries.begin(), config.insecure_registries.end()};
  if (!config.registry_ca_cert.empty()) {
    TRY_ASSIGN(options.tls.ca_pem, read_text_file(config.registry_ca_cert, kMaxPemBytes));
  }
  return status_of(std::move(options), url, stop);
}

Findings examine_registry(const Patient& patient, const std::string& host, const std::stop_token& stop) {
  const auto status = registry_status(patient.config(), host, stop);
  if (!status) {
    return {{Level::fail, "registry", fmt::format("{}: {}", host, status.error().text()),
             "check the name, the network and PROPLET_REGISTRY_CA_CERT"}};
  }
  if (*status == 200 || *status == 401) return {{Level::ok, "registry", host + ": answers", ""}};
  return {{Level::warn, "registry", fmt::format("{}: answers HTTP status {}", host, *status),
           "check that it is a registry of the OCI distribution specification"}};
}

bool opens_with_key_file(const worker::WorkerConfig& config) { return !config.key_file.empty() && config.tee != "off"; }

Findings examine_key_broker(const Patient& patient, const std::stop_token& stop) {
  const worker::WorkerConfig& config = patient.config();
  if (opens_with_key_file(config)) {
    return {{Level::ok, "key broker", "none is asked: PROPLET_KEY_FILE holds the key", ""}};
  }
  if (config.kbs_uri.empty() && config.aa_config_path.empty()) {
    const Level level = config.tee_expected ? Level::fail : Level::ok;
    return {{level, "key broker", "none; encrypted tasks are refused",
             level == Level::fail ? "set PROPLET_KBS_URI, since PROPLET_TEE_ENABLED is true" : ""}};
  }
  constexpr std::string_view kAdvice = "check PROPLET_KBS_URI, PROPLET_KBS_CA_CERT and the network";
  const auto broker = worker::key_broker(config);
  if (!broker) return {{Level::fail, "key broker", broker.error().text(), std::string(kAdvice)}};
  net::HttpClientOptions options;
  options.tls.ca_pem = broker->ca_pem;
  options.insecure_hosts = {config.kbs_allow_http.begin(), config.kbs_allow_http.end()};
  const std::string name = broker->url.for_messages();
  const auto status = status_of(std::move(options), broker->url, stop);
  if (!status) {
    return {{Level::fail, "key broker", fmt::format("{}: {}", name, status.error().text()), std::string(kAdvice)}};
  }
  return {{Level::ok, "key broker", name + ": answers", ""}};
}

// Evidence over random bytes, which belong to no session.
Findings examine_tee(const Patient& patient, const std::stop_token& stop) {
  const worker::WorkerConfig& config = patient.config();
  if (opens_with_key_file(config)) {
    const bool contradicts = config.tee != "auto" && !config.key_file_in_tee;
    return {{contradicts ? Level::fail : Level::warn, "tee", "none is proven: PROPLET_KEY_FILE opens encrypted images",
             contradicts ? "leave out PROPLET_TEE or PROPLET_KEY_FILE" : "use it for development only"}};
  }
  const auto choice = attestation::TeeChoice::parse(config.tee, !config.attester_program.empty());
  if (!choice) return {{Level::fail, "tee", choice.error().text(), "correct PROPLET_TEE"}};
  const auto detected = attestation::detect("/");
  const std::string found = detected ? std::string(attestation::tee_name(*detected)) : "none";
  const auto attester = attestation::make_attester(*choice, detected, {.program = config.attester_program});
  if (!attester) {
    const bool wanted = config.tee_expected || choice->mode == attestation::TeeChoice::Mode::named || detected;
    return {{wanted ? Level::fail : Level::ok, "tee",
             fmt::format("found {}; encrypted tasks are refused: {}", found, attester.error().text()),
             wanted ? "run in a TEE that proplet --version lists, or set PROPLET_TEE=off" : ""}};
  }
  const std::string used((*attester)->tee());
  const auto report_data = attestation::ReportData::for_guest("doctor", SystemRandom().bytes<48>());
  if (const auto evidence = (*attester)->evidence(report_data, stop); !evidence) {
    return {{Level::fail, "tee", fmt::format("{}: {}", used, evidence.error().text()),
             "give the worker access to the device or file that is named"}};
  }
  if (used == attestation::tee_name(attestation::Tee::sample)) {
    return {{Level::warn, "tee", "sample, which proves nothing and protects nothing",
             "use it for tests only, with keys that are worth nothing"}};
  }
  return {{Level::ok, "tee", used + ": gives evidence", ""}};
}

}  // namespace

std::vector<SlowCheck> slow_checks(const PatientPointer& patient) {
  std::vector<SlowCheck> checks;
  checks.push_back({"broker", [patient](const auto& stop) { return examine_broker(*patient, stop); }});
  if (patient->config().oci_pull != worker::PullMode::never) {
    for (const std::string& host : registry_hosts(patient->config())) {
      checks.push_back(
          {"registry", [patient, host](const auto& stop) { return examine_registry(*patient, host, stop); }});
    }
  }
  checks.push_back({"key broker", [patient](const auto& stop) { return examine_key_broker(*patient, stop); }});
  checks.push_back({"tee", [patient](const auto& stop) { return examine_tee(*patient, stop); }});
  return checks;
}

}  // namespace proplet::cli
