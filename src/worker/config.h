// WorkerConfig: the settings of the worker, from the environment and an optional TOML file.
//
// Names, defaults and parsing follow the Propeller worker, so that its deployments keep working: integers that do not
// parse keep the default, flags are true only for 1, true, yes and on. Unlike there, a value that is not understood
// is named in a warning. Environment first; the file (PROPLET_CONFIG_FILE, section PROPLET_CONFIG_SECTION) fills in
// what the environment leaves empty: the four ids by the Propeller rules, and any other setting under its name
// without "PROPLET_", in lower case. Every problem is found in one go. One table in config.cc describes all settings;
// documentation and `--origin` come from the same table.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/secret_bytes.h"
#include "module/pull_mode.h"
#include "worker/directories.h"

namespace proplet::worker {

struct SettingInfo {
  std::string_view name;  // "PROPLET_MQTT_ADDRESS"
  std::string_view default_value;
  std::string_view description;  // one sentence
  bool secret = false;
};

// All settings, in the order of the documentation.
std::span<const SettingInfo> settings();

using module::PullMode;

struct WorkerConfig {
  // Identity
  std::string tenant_id;
  std::string channel_id;
  std::string entity_id;
  SecretBytes api_key;
  std::string namespace_name = "default";
  std::string config_file = "config.toml";

  // Broker
  std::string mqtt_address = "tcp://localhost:1883";
  int mqtt_qos = 2;
  std::chrono::seconds mqtt_keep_alive{30};
  std::size_t mqtt_max_packet_bytes = 10485760;
  std::uint16_t mqtt_in_flight = 10;
  std::string mqtt_ca_cert;
  std::string mqtt_client_cert;
  std::string mqtt_client_key;
  bool mqtt_skip_verify = false;

  // What the worker tells about itself
  std::chrono::seconds liveliness_interval{4};
  std::chrono::seconds metrics_interval{10};
  std::string description;
  std::string location;
  std::vector<std::string> tags;
  bool collect_system_info = true;
  bool enable_monitoring = true;
  std::uint16_t metrics_port = 9092;
  std::string metrics_address = "0.0.0.0";
  bool metrics_enabled = true;
  std::string otel_url;
  double trace_ratio = 0;
  LogLevel log_level = LogLevel::info;
  LogFormat log_format = LogFormat::json;

  // Guests
  std::string external_runtime;
  std::vector<std::string> external_allowed_args;
  std::vector<SharedDirectory> dirs;
  std::size_t max_tasks = 64;
  std::size_t max_queue = 1024;
  std::chrono::seconds task_timeout{0};  // 0: none
  std::uint64_t task_memory_bytes = std::uint64_t{256} << 20;
  std::size_t max_output_bytes = std::size_t{1} << 20;
  std::chrono::milliseconds result_floor{10};
  std::chrono::seconds drain{10};
  std::string state_path;  // empty: memory only

  // Modules
  std::size_t max_module_bytes = std::size_t{100} << 20;
  PullMode oci_pull = PullMode::automatic;
  std::vector<std::string> insecure_registries;
  std::string registry_auth_file;
  std::string registry_ca_cert;
  std::string http_ca_cert;
  bool http_skip_verify = false;
  std::string layer_store_path;  // empty: no store
  std::uint64_t layer_store_bytes = std::uint64_t{1} << 30;
  std::size_t pull_concurrent_limit = 4;
  std::vector<std::string> registry_mirrors;

  // Trusted execution environment and key broker
  std::string tee = "auto";   // auto, off, or the kind asked for
  bool tee_expected = false;  // PROPLET_TEE_ENABLED is true: a missing TEE is worth an error
  std::string attester_program;
  std::string init_data_file;
  bool sandbox = true;
  std::string kbs_uri;
  std::string aa_config_path;
  std::string kbs_resource_path;
  std::vector<std::string> kbs_allow_http;
  std::string kbs_ca_cert;
  std::string key_file;
  bool key_file_in_tee = false;

  // Federated rounds: for tasks that name none of their own
  std::string model_registry_url;
  std::string data_store_url;
  std::string coordinator_url;
};

using Environment = std::map<std::string, std::string, std::less<>>;

// The process's variables.
Environment process_environment();

struct LoadedConfig {
  WorkerConfig config;
  std::vector<std::string> problems;  // not empty: the worker must not start
  std::vector<std::string> warnings;
  std::map<std::string, std::string> origins;  // setting name -> "environment", "file" or "default"
  std::map<std::string, std::string> values;   // setting name -> the text that counts; none of secret settings
};

LoadedConfig load_config(const Environment& environment);

// Variables of the environment that look like settings and are none: misspelt, probably.
std::vector<std::string> unknown_settings(const Environment& environment);

}  // namespace proplet::worker
