#include "worker/config.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include "base/fd.h"
#include "net/url.h"
#include "propeller/session.h"
#include "runtime/external_arguments.h"
#include "worker/federated_round.h"

namespace proplet::worker {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;
constexpr std::uint64_t kMaxSeconds = 10 * 365 * 86400ULL;

// What a setter is told, and where it reports.
struct Input {
  std::string_view name;
  const std::string& value;
  LoadedConfig& loaded;

  void warn(std::string_view why) const {
    loaded.warnings.push_back(fmt::format("{}: {}; the default stays", name, why));
  }
  void reject(std::string_view why) const { loaded.problems.push_back(fmt::format("{}: {}", name, why)); }
};

using Setter = void (*)(WorkerConfig&, const Input&);

struct Setting {
  SettingInfo info;
  Setter set;
};

std::string lower(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return lower;
}

bool is_truthy(std::string_view text) {
  const std::string word = lower(text);
  return word == "1" || word == "true" || word == "yes" || word == "on";
}

bool is_falsy(std::string_view text) {
  const std::string word = lower(text);
  return word == "0" || word == "false" || word == "no" || word == "off";
}

std::vector<std::string> split(std::string_view text, char separator, bool trim) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto end = std::min(text.find(separator), text.size());
    std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (trim && part.starts_with(' ')) part.remove_prefix(1);
    while (trim && part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

std::optional<std::uint64_t> number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return number;
}

template <auto Member>
void text(WorkerConfig& config, const Input& input) {
  if (!input.value.empty()) config.*Member = input.value;
}

template <auto Member>
void flag(WorkerConfig& config, const Input& input) {
  config.*Member = is_truthy(input.value);
}

template <auto Member, char Separator, bool Trim>
void list(WorkerConfig& config, const Input& input) {
  config.*Member = split(input.value, Separator, Trim);
}

template <auto Member, std::uint64_t Least, std::uint64_t Most>
void integer(WorkerConfig& config, const Input& input) {
  if (input.value.empty()) return;
  using Value = std::remove_reference_t<decltype(config.*Member)>;
  const auto value = number(input.value);
  if (!value) return input.warn("not a whole number");
  if (*value < Least || *value > Most) return input.warn(fmt::format("not from {} to {}", Least, Most));
  if constexpr (std::is_integral_v<Value>) {
    config.*Member = static_cast<Value>(*value);
  } else {
    config.*Member = Value(static_cast<std::int64_t>(*value));
  }
}

void api_key(WorkerConfig& config, const Input& input) {
  if (!input.value.empty()) config.api_key = SecretBytes::copy_of(bytes_of(input.value));
}

void log_level(WorkerConfig& config, const Input& input) {
  if (input.value.empty()) return;
  const auto level = log_level_from_name(lower(input.value));
  if (!level) return input.warn("not trace, debug, info, warn or error");
  config.log_level = *level;
}

void log_format(WorkerConfig& config, const Input& input) {
  const std::string name = lower(input.value);
  if (name.empty() || name == "json") return;
  if (name != "text") return input.reject("json or text");
  config.log_format = LogFormat::text;
}

void mqtt_address(WorkerConfig& config, const Input& input) {
  if (input.value.empty()) return;
  if (const auto address = propeller::BrokerAddress::parse(input.value); !address) {
    return input.reject(address.error().message());
  }
  config.mqtt_address = input.value;
}

void qos(WorkerConfig& config, const Input& input) {
  if (input.value.empty()) return;
  const auto value = number(input.value);
  if (!value) return input.warn("not a whole number");
  if (*value > 2) return input.warn("not 0, 1 or 2");
  config.mqtt_qos = static_cast<int>(*value);
}

void collect_system_info(WorkerConfig& config, const Input& input) {
  config.collect_system_info = !is_falsy(input.value);
}

void external_allowed_args(WorkerConfig& config, const Input& input) {
  config.external_allowed_args = split(input.value, ',', true);
  const auto checked = runtime::AllowedArguments::make(config.external_allowed_args, {});
  if (!checked) input.reject(checked.error().message());
}

void sandbox(WorkerConfig& config, const Input& input) { config.sandbox = !is_falsy(input.value); }

void directories(WorkerConfig& config, const Input& input) {
  auto parsed = parse_directories(input.value);
  if (!parsed) return input.reject(parsed.error().message());
  config.dirs = *std::move(parsed);
}

// Paths are appended to it, so that it ends in none and has no query.
template <auto Member>
void base_url(WorkerConfig& config, const Input& input) {
  if (input.value.empty()) return;
  if (const auto url = parse_base_url(input.value); !url) return input.reject(url.error().message());
  config.*Member = input.value;
}

void layer_store(WorkerConfig& config, const Input& input) { config.layer_store_path = input.value; }

void otel_url(WorkerConfig& config, const Input& input) {
  if (input.value.empty()) return;
  if (const auto url = net::Url::parse(input.value); !url) return input.reject(url.error().message());
  config.otel_url = input.value;
}

void trace_ratio(WorkerConfig& config, const Input& input) {
  if (input.value.empty()) return;
  double ratio = 0;
  const char* end = input.value.data() + input.value.size();
  const auto parsed = std::from_chars(input.value.data(), end, ratio);
  if (parsed.ec != std::errc() || parsed.ptr != end || std::isnan(ratio)) return input.warn("not a number");
  config.trace_ratio = std::clamp(ratio, 0.0, 1.0);
}

void oci_pull(WorkerConfig& config, const Input& input) {
  const std::string mode = lower(input.value);
  if (mode.empty() || mode == "auto") return;
  if (mode != "always" && mode != "never") return input.reject("auto, always or never");
  config.oci_pull = mode == "always" ? PullMode::always : PullMode::never;
}

void tee_enabled(WorkerConfig& config, const Input& input) {
  if (input.value.empty()) return;
  config.tee_expected = is_truthy(input.value);
  if (!config.tee_expected) config.tee = "off";
}

void tee(WorkerConfig& config, const Input& input) {
  if (input.value.empty()) return;
  const std::string kind = lower(input.value);
  if (config.tee == "off" && kind != "off") return input.reject("contradicts PROPLET_TEE_ENABLED, which says no");
  if (config.tee_expected && kind == "off") return input.reject("contradicts PROPLET_TEE_ENABLED, which says yes");
  config.tee = kind;
}

// Names that deployments set and that have no effect in this version.
void unused(WorkerConfig& /*config*/, const Input& /*input*/) {}

using C = WorkerConfig;
constexpr std::uint64_t kMax16 = std::numeric_limits<std::uint16_t>::max();
constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 40;
constexpr std::uint64_t kMaxPacket = 268435455;  // MQTT 3.1.1 section 2.2.3

constexpr auto kSettings = std::to_array<Setting>({
    {{"PROPLET_TENANT_ID", "", "Tenant; required.", false}, text<&C::tenant_id>},
    {{"PROPLET_CHANNEL_ID", "", "Channel; required.", false}, text<&C::channel_id>},
    {{"PROPLET_ENTITY_ID", "", "Id of this worker, a UUID: MQTT client id, user name and proplet_id; required.", false},
     text<&C::entity_id>},
    {{"PROPLET_API_KEY", "", "Password at the broker; required.", true}, api_key},
    {{"PROPLET_CONFIG_FILE", "config.toml", "TOML file that fills in what the environment leaves empty.", false},
     text<&C::config_file>},
    {{"PROPLET_CONFIG_SECTION", "proplet", "Section of that file.", false}, unused},
    {{"PROPLET_MANAGER_K8S_NAMESPACE", "default", "Namespace told to the Manager.", false}, text<&C::namespace_name>},

    {{"PROPLET_MQTT_ADDRESS", "tcp://localhost:1883",
      "Broker: tcp://, mqtt://, or with TLS ssl://, tls://, mqtts://; host:port and any other scheme are without TLS.",
      false},
     mqtt_address},
    {{"PROPLET_MQTT_QOS", "2", "Quality of service of everything sent and subscribed to.", false}, qos},
    {{"PROPLET_MQTT_KEEP_ALIVE", "30", "Seconds between signs of life on an idle connection.", false},
     integer<&C::mqtt_keep_alive, 5, kMax16>},
    {{"PROPLET_MQTT_MAX_PACKET_SIZE", "10485760", "Largest message in bytes, in both directions.", false},
     integer<&C::mqtt_max_packet_bytes, 1024, kMaxPacket>},
    {{"PROPLET_MQTT_INFLIGHT", "10", "Messages on their way to the broker at a time.", false},
     integer<&C::mqtt_in_flight, 1, kMax16>},
    {{"PROPLET_MQTT_TIMEOUT", "30", "Accepted; no effect.", false}, unused},
    {{"PROPLET_MQTT_REQUEST_CHANNEL_CAPACITY", "128", "Accepted; no effect.", false}, unused},
    {{"PROPLET_MQTT_TLS_CA_CERT", "", "PEM file; only this CA is trusted then.", false}, text<&C::mqtt_ca_cert>},
    {{"PROPLET_MQTT_TLS_CLIENT_CERT", "", "PEM file of the client certificate; needs the key as well.", false},
     text<&C::mqtt_client_cert>},
    {{"PROPLET_MQTT_TLS_CLIENT_KEY", "", "PEM file of the client key.", false}, text<&C::mqtt_client_key>},
    {{"PROPLET_MQTT_TLS_INSECURE_SKIP_VERIFY", "false", "Do not verify the broker's certificate; for tests.", false},
     flag<&C::mqtt_skip_verify>},

    {{"PROPLET_LIVELINESS_INTERVAL", "4", "Seconds between heartbeats; a Manager gives up after 10.", false},
     integer<&C::liveliness_interval, 1, kMaxSeconds>},
    {{"PROPLET_METRICS_INTERVAL", "10", "Seconds between messages to the Manager about this worker; 0: none.", false},
     integer<&C::metrics_interval, 0, kMaxSeconds>},
    {{"PROPLET_ENABLE_MONITORING", "true", "Tell the Manager what this worker and its tasks use.", false},
     flag<&C::enable_monitoring>},
    {{"PROPLET_METRICS_ENABLED", "true", "Serve /metrics and /health over HTTP.", false}, flag<&C::metrics_enabled>},
    {{"PROPLET_METRICS_PORT", "9092", "Port of /metrics and /health.", false}, integer<&C::metrics_port, 1, kMax16>},
    {{"PROPLET_METRICS_ADDRESS", "0.0.0.0", "Address to serve them on; 127.0.0.1 keeps them on this machine.", false},
     text<&C::metrics_address>},
    {{"PROPLET_OTEL_URL", "", "OpenTelemetry collector for traces, such as http://host:4318/v1/traces; empty: none.",
      false},
     otel_url},
    {{"PROPLET_TRACE_RATIO", "0.0", "Share of tasks that are traced, from 0 to 1.", false}, trace_ratio},
    {{"PROPLET_SANDBOX", "true",
      "Confine the worker to the files and system calls it needs, as far as the kernel can (docs/sandbox.md).", false},
     sandbox},
    {{"PROPLET_DESCRIPTION", "", "Told to the Manager.", false}, text<&C::description>},
    {{"PROPLET_LOCATION", "", "Told to the Manager.", false}, text<&C::location>},
    {{"PROPLET_TAGS", "", "Comma-separated tags told to the Manager.", false}, list<&C::tags, ',', true>},
    {{"PROPLET_COLLECT_SYSTEM_INFO", "true", "Tell the Manager address, host name, memory and architecture.", false},
     collect_system_info},
    {{"PROPLET_LOG_LEVEL", "info", "trace, debug, info, warn or error.", false}, log_level},
    {{"PROPLET_LOG_FORMAT", "json", "json or text.", false}, log_format},

    {{"PROPLET_MAX_TASKS", "64", "Tasks that run at a time.", false}, integer<&C::max_tasks, 1, 4096>},
    {{"PROPLET_MAX_QUEUE", "1024", "Tasks that wait for their turn; more are refused.", false},
     integer<&C::max_queue, 0, 1048576>},
    {{"PROPLET_TASK_TIMEOUT", "0", "Seconds a task may run; 0: as long as it likes.", false},
     integer<&C::task_timeout, 0, kMaxSeconds>},
    {{"PROPLET_TASK_MEMORY_BYTES", "268435456", "Linear memory of one guest.", false},
     integer<&C::task_memory_bytes, 65536, kMaxBytes>},
    {{"PROPLET_MAX_OUTPUT_BYTES", "1048576", "Kept of each of a guest's stdout and stderr.", false},
     integer<&C::max_output_bytes, 0, kMaxPacket>},
    {{"PROPLET_RESULT_FLOOR_MS", "10",
      "Least milliseconds between start and result: a Manager loses results that come too soon; 0 for one that does "
      "not.",
      false},
     integer<&C::result_floor, 0, 60000>},
    {{"PROPLET_DRAIN_SECONDS", "10", "At the end, seconds that running tasks are given to finish.", false},
     integer<&C::drain, 0, 3600>},
    {{"PROPLET_STATE_PATH", "",
      "Folder of the worker's own, for what it owes the Manager if it dies: results on their way and the ids of its "
      "tasks; empty: memory only.",
      false},
     text<&C::state_path>},
    {{"PROPLET_DIRS", "",
      "Colon-separated directories that every guest gets under the same path; PATH:ro is read-only, PATH:private a "
      "fresh empty folder below PATH for each task. Relative folders of these names are written ./ro and ./private.",
      false},
     directories},
    {{"PROPLET_EXTERNAL_WASM_RUNTIME", "",
      "Program that plain tasks run in, such as wasmtime: a path, or a name looked up in PATH; see "
      "docs/external-runtimes.md.",
      false},
     text<&C::external_runtime>},
    {{"PROPLET_EXTERNAL_ALLOWED_ARGS", "",
      "Comma-separated flags that tasks may give it besides the harmless ones: FLAG, FLAG= for any value, FLAG=VALUE.",
      false},
     external_allowed_args},

    {{"PROPLET_MAX_MODULE_BYTES", "104857600", "Largest module.", false},
     integer<&C::max_module_bytes, 1, std::uint64_t{1} << 32>},
    {{"PROPLET_OCI_PULL", "auto",
      "auto: images come straight from their registry, or plain ones in chunks from the proxy when it cannot be "
      "reached; "
      "always: straight only; never: from the proxy only, which means no encrypted ones.",
      false},
     oci_pull},
    {{"PROPLET_INSECURE_REGISTRIES", "", "Comma-separated host[:port] that may be spoken to over plain HTTP.", false},
     list<&C::insecure_registries, ',', true>},
    {{"PROPLET_REGISTRY_AUTH_FILE", "", "Docker config.json with registry credentials.", false},
     text<&C::registry_auth_file>},
    {{"PROPLET_REGISTRY_CA_CERT", "", "PEM file of the CA that registries are verified with.", false},
     text<&C::registry_ca_cert>},
    {{"PROPLET_HTTP_TLS_CA_CERT", "",
      "PEM file of a CA that servers of http(s):// modules may have, besides the system's.", false},
     text<&C::http_ca_cert>},
    {{"PROPLET_HTTP_TLS_INSECURE_SKIP_VERIFY", "false",
      "Do not verify the certificates of servers of http(s):// modules; for tests.", false},
     flag<&C::http_skip_verify>},
    {{"PROPLET_LAYER_STORE_PATH", "",
      "Folder of the worker's own for blobs as registries serve them, ciphertext of encrypted images; empty: none is "
      "kept.",
      false},
     layer_store},
    {{"PROPLET_LAYER_STORE_BYTES", "1073741824", "Size of that folder; the least recently used blobs go first.", false},
     integer<&C::layer_store_bytes, 0, kMaxBytes>},
    {{"PROPLET_PULL_CONCURRENT_LIMIT", "4", "Blobs of one image that are pulled at a time.", false},
     integer<&C::pull_concurrent_limit, 1, 64>},
    {{"PROPLET_REGISTRY_MIRRORS", "",
      "Comma-separated REGISTRY=HOST[:PORT][/PREFIX]: where images of a registry are looked for first.", false},
     list<&C::registry_mirrors, ',', true>},

    {{"PROPLET_TEE_ENABLED", "", "false: as PROPLET_TEE=off; true: a missing TEE is an error in the log.", false},
     tee_enabled},
    {{"PROPLET_TEE", "auto", "auto, off, or the kind of TEE: sample (for tests), tdx, snp ...", false}, tee},
    {{"PROPLET_ATTESTER_PROGRAM", "",
      "Absolute path of a program that produces the evidence of the TEE named by PROPLET_TEE; see docs/tee.md.", false},
     text<&C::attester_program>},
    {{"PROPLET_INIT_DATA_FILE", "", "Init-data (TOML) that this machine was launched with; sent to the key broker.",
      false},
     text<&C::init_data_file>},
    {{"PROPLET_KBS_URI", "", "Key broker.", false}, text<&C::kbs_uri>},
    {{"PROPLET_AA_CONFIG_PATH", "", "Attestation agent's file; its key broker is used if none is set.", false},
     text<&C::aa_config_path>},
    {{"PROPLET_KBS_RESOURCE_PATH", "", "Key for images that name none, in tasks that name none.", false},
     text<&C::kbs_resource_path>},
    {{"PROPLET_KBS_ALLOW_HTTP", "", "Comma-separated key broker hosts that plain HTTP is allowed to.", false},
     list<&C::kbs_allow_http, ',', true>},
    {{"PROPLET_KBS_CA_CERT", "", "PEM file of the CA that the key broker is verified with.", false},
     text<&C::kbs_ca_cert>},
    {{"PROPLET_KEY_FILE", "",
      "Key that opens encrypted images instead of a key broker, without any attestation; for development.", false},
     text<&C::key_file>},
    {{"PROPLET_KEY_FILE_IN_TEE", "false", "Use that file even in a TEE, whose point it defeats.", false},
     flag<&C::key_file_in_tee>},

    {{"MODEL_REGISTRY_URL", "", "Where the models of federated rounds come from, if the task does not say.", false},
     base_url<&C::model_registry_url>},
    {{"DATA_STORE_URL", "",
      "Where every task's data set comes from, if the task does not say: GET DATA_STORE_URL/datasets/PROPLET_ID.",
      false},
     base_url<&C::data_store_url>},
    {{"MANAGER_COORDINATOR_URL", "", "Where the updates of federated rounds go, if the task does not say.", false},
     base_url<&C::coordinator_url>},

    {{"PROPLET_HAL_ENABLED", "true", "Accepted; no effect in this version.", false}, unused},
    {{"PROPLET_HTTP_ENABLED", "false", "Accepted; no effect in this version.", false}, unused},
    {{"PROPLET_HTTP_PROXY_PORT", "8222", "Accepted; no effect in this version.", false}, unused},
    {{"PROPLET_USB_ENABLED", "false", "Accepted; no effect in this version.", false}, unused},
    {{"PROPLET_PLUGIN_DIR", "", "Accepted; no effect in this version.", false}, unused},
});

constexpr auto kInfos = [] {
  std::array<SettingInfo, kSettings.size()> infos;
  for (std::size_t i = 0; i < infos.size(); ++i) infos[i] = kSettings[i].info;
  return infos;
}();

constexpr std::string_view kPrefix = "PROPLET_";
constexpr std::array<std::string_view, 4> kIds = {"PROPLET_TENANT_ID", "PROPLET_CHANNEL_ID", "PROPLET_ENTITY_ID",
                                                  "PROPLET_API_KEY"};

// "tenant_id"
std::string key_of(std::string_view name) {
  return lower(name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name);
}

std::string_view value_or_empty(const Environment& values, std::string_view name) {
  const auto found = values.find(name);
  return found == values.end() ? std::string_view() : std::string_view(found->second);
}

bool ids_complete(const Environment& values) {
  return std::ranges::none_of(kIds, [&](std::string_view id) { return value_or_empty(values, id).empty(); });
}

std::optional<std::string> text_of_node(const toml::node& node) {
  if (const auto* string = node.as_string()) return string->get();
  if (const auto* integer = node.as_integer()) return fmt::to_string(integer->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  return std::nullopt;
}

// The settings of the file's section, by name.
Environment read_section(const toml::table& file, const std::string& name, bool ids_needed, LoadedConfig& loaded) {
  Environment values;
  const toml::table* section = file[name].as_table();
  if (section == nullptr) {
    loaded.problems.push_back(fmt::format("config section '{}' not found in TOML file", name));
    return values;
  }
  for (const Setting& setting : kSettings) {
    const toml::node* node = section->get(key_of(setting.info.name));
    if (node == nullptr) continue;
    if (auto text = text_of_node(*node)) {
      values.emplace(setting.info.name, std::move(*text));
    } else {
      loaded.problems.push_back(
          fmt::format("config section '{}': {} is not a string, integer or boolean", name, key_of(setting.info.name)));
    }
  }
  for (const std::string_view id : kIds) {
    if (!ids_needed || section->contains(key_of(id))) continue;
    loaded.problems.push_back(fmt::format("config section '{}': {} is missing", name, key_of(id)));
  }
  return values;
}

// The file is needed when an id is missing, and read when it is named.
Environment read_config_file(const Environment& environment, LoadedConfig& loaded) {
  const bool ids_needed = !ids_complete(environment);
  std::string path(value_or_empty(environment, "PROPLET_CONFIG_FILE"));
  if (path.empty() && !ids_needed) return {};
  if (path.empty()) path = "config.toml";
  std::string section(value_or_empty(environment, "PROPLET_CONFIG_SECTION"));
  if (section.empty()) section = "proplet";

  auto text = read_text_file(path, kMaxFileBytes);
  if (!text) {
    if (!ids_needed) return {};
    loaded.problems.push_back(fmt::format("config file '{}' not accessible: {}", path, text.error().message()));
    return {};
  }
  Environment values;
  try {
    values = read_section(toml::parse(*text), section, ids_needed, loaded);
  } catch (const toml::parse_error& error) {
    // Only the place: the text near it may be a secret.
    loaded.problems.push_back(
        fmt::format("config file '{}': malformed TOML in line {}", path, error.source().begin.line));
  }
  wipe(*text);
  return values;
}

// Sets what was given, and notes what counts in the end and where it is from.
void apply(const Setting& setting, const std::string* given, std::string origin, LoadedConfig& loaded) {
  const std::string_view name = setting.info.name;
  const std::size_t warnings = loaded.warnings.size();
  if (given != nullptr) setting.set(loaded.config, {name, *given, loaded});
  std::string value(setting.info.default_value);
  const bool is_flag = value == "true" || value == "false";
  const bool understood = given != nullptr && loaded.warnings.size() == warnings;
  if (!understood || (given->empty() && !is_flag)) {
    origin = "default";
  } else if (!given->empty()) {
    value = *given;
  } else {
    value = setting.set == collect_system_info ? "true" : "false";
  }
  loaded.origins.emplace(name, std::move(origin));
  if (!setting.info.secret) loaded.values.emplace(name, std::move(value));
}

void check_ids(const Environment& environment, const Environment& file, LoadedConfig& loaded) {
  std::string missing;
  for (const std::string_view id : kIds) {
    if (!value_or_empty(environment, id).empty() || !value_or_empty(file, id).empty()) continue;
    missing += fmt::format("{}{}/{}", missing.empty() ? "" : ", ", key_of(id), id);
  }
  if (!missing.empty()) loaded.problems.push_back("missing required proplet configuration: " + missing);

  // They become parts of topics (MQTT 3.1.1 section 4.7).
  for (const auto& [name, value] : {std::pair(kIds[0], std::string_view(loaded.config.tenant_id)),
                                    std::pair(kIds[1], std::string_view(loaded.config.channel_id))}) {
    if (value.find_first_of("/+#") != std::string_view::npos) {
      loaded.problems.push_back(fmt::format("{}: must not contain '/', '+' or '#'", name));
    }
  }
}

}  // namespace

std::span<const SettingInfo> settings() { return kInfos; }

Environment process_environment() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

std::vector<std::string> unknown_settings(const Environment& environment) {
  std::vector<std::string> unknown;
  for (auto entry = environment.lower_bound(kPrefix); entry != environment.end(); ++entry) {
    if (!entry->first.starts_with(kPrefix)) break;
    if (std::ranges::find(kInfos, entry->first, &SettingInfo::name) == kInfos.end()) unknown.push_back(entry->first);
  }
  return unknown;
}

LoadedConfig load_config(const Environment& environment) {
  LoadedConfig loaded;
  Environment file = read_config_file(environment, loaded);
  for (const Setting& setting : kSettings) {
    const std::string_view name = setting.info.name;
    const auto in_environment = environment.find(name);
    const auto in_file = file.find(name);
    if (in_environment != environment.end() && (!in_environment->second.empty() || in_file == file.end())) {
      apply(setting, &in_environment->second, "environment", loaded);
    } else if (in_file != file.end()) {
      apply(setting, &in_file->second, "file", loaded);
    } else {
      apply(setting, nullptr, "default", loaded);
    }
  }
  check_ids(environment, file, loaded);
  for (auto& [name, value] : file) wipe(value);
  return loaded;
}

}  // namespace proplet::worker
