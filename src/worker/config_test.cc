#include "worker/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/fd.h"

namespace proplet::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Environment complete() {
  return {{"PROPLET_TENANT_ID", "tenant"},
          {"PROPLET_CHANNEL_ID", "channel"},
          {"PROPLET_ENTITY_ID", "entity"},
          {"PROPLET_API_KEY", "the-key"}};
}

LoadedConfig load_with(std::string_view name, std::string_view value) {
  Environment environment = complete();
  environment[std::string(name)] = value;
  return load_config(environment);
}

class ConfigFile : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "proplet-config-" + testing::UnitTest::GetInstance()->current_test_info()->name() +
            ".toml";
  }
  void TearDown() override { std::filesystem::remove(path_); }

  void write(std::string_view text) { ASSERT_TRUE(write_file_atomically(path_, bytes_of(text), 0600)); }

  std::string path_;
};

TEST(Config, HasTheDefaultsOfTheProtocol) {
  const auto [config, problems, warnings, origins, values] = load_config(complete());
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_THAT(warnings, IsEmpty());
  EXPECT_EQ(config.tenant_id, "tenant");
  EXPECT_TRUE(config.api_key.equals(bytes_of("the-key")));
  EXPECT_EQ(config.mqtt_address, "tcp://localhost:1883");
  EXPECT_EQ(config.mqtt_qos, 2);
  EXPECT_EQ(config.mqtt_max_packet_bytes, 10485760U);
  EXPECT_EQ(config.liveliness_interval.count(), 4);
  EXPECT_EQ(config.namespace_name, "default");
  EXPECT_EQ(config.tee, "auto");
  EXPECT_EQ(config.result_floor.count(), 10);
  EXPECT_EQ(config.layer_store_path, "");
  EXPECT_TRUE(config.collect_system_info);
  EXPECT_EQ(origins.at("PROPLET_TENANT_ID"), "environment");
  EXPECT_EQ(origins.at("PROPLET_MQTT_QOS"), "default");
}

TEST(Config, IntegersThatDoNotParseKeepTheDefaultAndAreNamed) {
  for (const std::string_view value : {"10s", "-1", "1.5", "abc", "99999999999999999999"}) {
    const auto loaded = load_with("PROPLET_MQTT_KEEP_ALIVE", value);
    EXPECT_EQ(loaded.config.mqtt_keep_alive.count(), 30) << value;
    EXPECT_THAT(loaded.problems, IsEmpty());
    EXPECT_THAT(loaded.warnings, ElementsAre(HasSubstr("PROPLET_MQTT_KEEP_ALIVE"))) << value;
  }
  EXPECT_THAT(load_with("PROPLET_MQTT_KEEP_ALIVE", "").warnings, IsEmpty());
  EXPECT_EQ(load_with("PROPLET_MQTT_KEEP_ALIVE", "60").config.mqtt_keep_alive.count(), 60);
}

TEST(Config, NoHeartbeatIntervalStopsTheHeartbeat) {
  EXPECT_EQ(load_with("PROPLET_LIVELINESS_INTERVAL", "0").config.liveliness_interval.count(), 4);
  EXPECT_EQ(load_with("PROPLET_LIVELINESS_INTERVAL", "7").config.liveliness_interval.count(), 7);
}

TEST(Config, QosIsZeroOneOrTwo) {
  const std::pair<std::string_view, int> cases[] = {{"0", 0}, {"1", 1}, {"2", 2}, {"3", 2}, {"200", 2}, {"x", 2}};
  for (const auto& [text, qos] : cases) {
    const auto loaded = load_with("PROPLET_MQTT_QOS", text);
    EXPECT_EQ(loaded.config.mqtt_qos, qos) << text;
    EXPECT_EQ(loaded.warnings.empty(), std::to_string(qos) == text) << text;
  }
}

TEST(Config, AnUnknownLogLevelIsNamedAndTheDefaultStays) {
  const auto loaded = load_with("PROPLET_LOG_LEVEL", "loud");
  EXPECT_EQ(loaded.config.log_level, LogLevel::info);
  EXPECT_EQ(loaded.origins.at("PROPLET_LOG_LEVEL"), "default");
  EXPECT_THAT(loaded.warnings, ElementsAre(HasSubstr("PROPLET_LOG_LEVEL")));
  EXPECT_EQ(load_with("PROPLET_LOG_LEVEL", "WARN").config.log_level, LogLevel::warn);
  EXPECT_THAT(load_with("PROPLET_LOG_LEVEL", "").warnings, IsEmpty());
}

TEST(Config, FlagsAreTrueForFourWordsOnly) {
  for (const std::string_view text : {"1", "true", "TRUE", "yes", "On"}) {
    EXPECT_TRUE(load_with("PROPLET_MQTT_TLS_INSECURE_SKIP_VERIFY", text).config.mqtt_skip_verify) << text;
  }
  for (const std::string_view text : {"", "0", "2", "y", "enabled", " true"}) {
    EXPECT_FALSE(load_with("PROPLET_ENABLE_MONITORING", text).config.enable_monitoring) << text;
  }
  for (const std::string_view text : {"0", "False", "no", "off"}) {
    EXPECT_FALSE(load_with("PROPLET_COLLECT_SYSTEM_INFO", text).config.collect_system_info) << text;
  }
  EXPECT_TRUE(load_with("PROPLET_COLLECT_SYSTEM_INFO", "maybe").config.collect_system_info);
}

TEST(Config, ListsAreSplitAndTrimmed) {
  EXPECT_THAT(load_with("PROPLET_TAGS", " gpu, lab ,,").config.tags, ElementsAre("gpu", "lab"));
  EXPECT_THAT(load_with("PROPLET_DIRS", "/a::/b c:").config.dirs,
              ElementsAre(SharedDirectory{"/a"}, SharedDirectory{"/b c"}));
  EXPECT_THAT(load_with("PROPLET_INSECURE_REGISTRIES", "r:5000,s").config.insecure_registries,
              ElementsAre("r:5000", "s"));
}

TEST(Config, AddressesOfFederatedRoundsAreChecked) {
  EXPECT_EQ(load_with("MODEL_REGISTRY_URL", "http://models:81/v1/").config.model_registry_url, "http://models:81/v1/");
  EXPECT_EQ(load_with("DATA_STORE_URL", "https://data").config.data_store_url, "https://data");
  EXPECT_EQ(load_with("MANAGER_COORDINATOR_URL", "").config.coordinator_url, "");
  for (const char* bad : {"models:81", "ftp://models", "http://models/?x=", "http://user@models"}) {
    EXPECT_THAT(load_with("MANAGER_COORDINATOR_URL", bad).problems, ElementsAre(HasSubstr("MANAGER_COORDINATOR_URL")))
        << bad;
  }
}

TEST(Config, DirectoriesThatCouldBeMeantInTwoWaysAreAProblem) {
  EXPECT_THAT(load_with("PROPLET_DIRS", "ro:/a").problems,
              ElementsAre(HasSubstr("PROPLET_DIRS: 'ro' follows no path")));
}

TEST(Config, TellsWhatCountsAndWhereItIsFrom) {
  struct Case {
    const char* name;
    const char* given;
    const char* value;
    const char* origin;
  };
  const Case cases[] = {
      {"PROPLET_MQTT_QOS", "1", "1", "environment"},
      {"PROPLET_MQTT_KEEP_ALIVE", "10s", "30", "default"},
      {"PROPLET_MQTT_ADDRESS", "", "tcp://localhost:1883", "default"},
      {"PROPLET_METRICS_ENABLED", "", "false", "environment"},
      {"PROPLET_COLLECT_SYSTEM_INFO", "", "true", "environment"},
      {"PROPLET_TAGS", "a,b", "a,b", "environment"},
  };
  for (const auto& [name, given, value, origin] : cases) {
    const auto loaded = load_with(name, given);
    EXPECT_EQ(loaded.values.at(name), value) << name;
    EXPECT_EQ(loaded.origins.at(name), origin) << name;
  }
  EXPECT_FALSE(load_with("PROPLET_API_KEY", "secret").values.contains("PROPLET_API_KEY"));
}

TEST(Config, NamesVariablesThatAreNoSetting) {
  const Environment environment = {
      {"PROPLET_TGAS", "x"}, {"PROPLET_TAGS", "x"}, {"PROPLETS", "x"}, {"HOME", "x"}, {"PROPLET_", ""}};
  EXPECT_THAT(unknown_settings(environment), ElementsAre("PROPLET_", "PROPLET_TGAS"));
}

TEST(Config, TeeEnabledIsKeptAsItWas) {
  EXPECT_EQ(load_with("PROPLET_TEE_ENABLED", "false").config.tee, "off");
  EXPECT_TRUE(load_with("PROPLET_TEE_ENABLED", "true").config.tee_expected);
  EXPECT_EQ(load_with("PROPLET_TEE", "Sample").config.tee, "sample");
  Environment environment = complete();
  environment["PROPLET_TEE_ENABLED"] = "false";
  environment["PROPLET_TEE"] = "tdx";
  EXPECT_THAT(load_config(environment).problems, ElementsAre(HasSubstr("PROPLET_TEE: contradicts")));
}

TEST(Config, TheShareOfTracedTasksIsBounded) {
  const std::pair<std::string_view, double> cases[] = {{"0.25", 0.25}, {"1", 1}, {"7", 1}, {"-0.5", 0}, {"", 0}};
  for (const auto& [text, ratio] : cases) {
    const auto loaded = load_with("PROPLET_TRACE_RATIO", text);
    EXPECT_EQ(loaded.config.trace_ratio, ratio) << text;
    EXPECT_THAT(loaded.warnings, IsEmpty());
  }
  for (const std::string_view text : {"nan", "half", "0.5x", "50%"}) {
    const auto loaded = load_with("PROPLET_TRACE_RATIO", text);
    EXPECT_EQ(loaded.config.trace_ratio, 0) << text;
    EXPECT_THAT(loaded.warnings, ElementsAre(HasSubstr("PROPLET_TRACE_RATIO"))) << text;
  }
}

TEST(Config, ACollectorThatIsNoUrlIsAProblem) {
  EXPECT_EQ(load_with("PROPLET_OTEL_URL", "http://c:4318/v1/traces").config.otel_url, "http://c:4318/v1/traces");
  EXPECT_THAT(load_with("PROPLET_OTEL_URL", "c:4318").problems, ElementsAre(HasSubstr("PROPLET_OTEL_URL")));
}

TEST(Config, EveryProblemIsReportedAtOnce) {
  Environment environment = complete();
  environment["PROPLET_MQTT_ADDRESS"] = "host:port";
  environment["PROPLET_LOG_FORMAT"] = "xml";
  environment["PROPLET_OCI_PULL"] = "maybe";
  environment["PROPLET_CHANNEL_ID"] = "a/#";
  EXPECT_THAT(load_config(environment).problems,
              ElementsAre(HasSubstr("PROPLET_MQTT_ADDRESS"), HasSubstr("PROPLET_LOG_FORMAT"),
                          HasSubstr("PROPLET_OCI_PULL"), HasSubstr("PROPLET_CHANNEL_ID")));
}

TEST(Config, AWrongKeyBrokerIsNoProblemForPlainTasks) {
  const auto loaded = load_with("PROPLET_KBS_URI", "not a url");
  EXPECT_THAT(loaded.problems, IsEmpty());
  EXPECT_EQ(loaded.config.kbs_uri, "not a url");
}

TEST_F(ConfigFile, FillsInWhatTheEnvironmentLeavesEmpty) {
  write(R"(
[proplet]
tenant_id = "file-tenant"
channel_id = "file-channel"
entity_id = "file-entity"
api_key = "file-key"
mqtt_qos = 1
description = "from the file"
something_else = 5
)");
  Environment environment = {{"PROPLET_CONFIG_FILE", path_}, {"PROPLET_TENANT_ID", "own"}, {"PROPLET_ENTITY_ID", ""}};
  environment["PROPLET_DESCRIPTION"] = "from the environment";
  const auto loaded = load_config(environment);
  EXPECT_THAT(loaded.problems, IsEmpty());
  EXPECT_EQ(loaded.config.tenant_id, "own");
  EXPECT_EQ(loaded.config.entity_id, "file-entity");
  EXPECT_TRUE(loaded.config.api_key.equals(bytes_of("file-key")));
  EXPECT_EQ(loaded.config.mqtt_qos, 1);
  EXPECT_EQ(loaded.config.description, "from the environment");
  EXPECT_EQ(loaded.origins.at("PROPLET_MQTT_QOS"), "file");
}

TEST_F(ConfigFile, MustHaveAllFourKeysWhenItIsNeeded) {
  write("[proplet2]\ntenant_id = \"t\"\nchannel_id = \"c\"\nentity_id = \"e\"\n");
  const auto loaded = load_config({{"PROPLET_CONFIG_FILE", path_}, {"PROPLET_CONFIG_SECTION", "proplet2"}});
  EXPECT_THAT(loaded.problems, ElementsAre("config section 'proplet2': api_key is missing",
                                           "missing required proplet configuration: api_key/PROPLET_API_KEY"));
}

TEST_F(ConfigFile, MissingValuesAreListedInOrder) {
  write("[other]\n");
  const auto loaded = load_config({{"PROPLET_CONFIG_FILE", path_}});
  EXPECT_THAT(loaded.problems,
              ElementsAre("config section 'proplet' not found in TOML file",
                          "missing required proplet configuration: tenant_id/PROPLET_TENANT_ID, "
                          "channel_id/PROPLET_CHANNEL_ID, entity_id/PROPLET_ENTITY_ID, api_key/PROPLET_API_KEY"));
}

TEST_F(ConfigFile, IsNamedWhenItIsNeededAndNotThere) {
  const auto loaded = load_config({{"PROPLET_CONFIG_FILE", path_}});
  ASSERT_EQ(loaded.problems.size(), 2U);
  EXPECT_THAT(loaded.problems[0], testing::StartsWith("config file '" + path_ + "' not accessible: "));
  Environment environment = complete();
  environment["PROPLET_CONFIG_FILE"] = path_;
  EXPECT_THAT(load_config(environment).problems, IsEmpty());
}

TEST_F(ConfigFile, AMalformedOneIsNamedWithoutItsText) {
  write("[proplet]\napi_key = \"canary\n");
  const auto loaded = load_config({{"PROPLET_CONFIG_FILE", path_}});
  EXPECT_THAT(loaded.problems.front(), HasSubstr("malformed TOML in line 2"));
  for (const std::string& problem : loaded.problems) EXPECT_THAT(problem, testing::Not(HasSubstr("canary")));
}

TEST(Settings, AreNamedOnceAndTheKeyIsSecret) {
  std::set<std::string_view> names;
  for (const SettingInfo& setting : settings()) {
    EXPECT_TRUE(names.insert(setting.name).second) << setting.name;
    EXPECT_TRUE(setting.description.ends_with('.')) << setting.name;
    EXPECT_EQ(setting.secret, setting.name == "PROPLET_API_KEY") << setting.name;
  }
}

// What the table says is the default is what an unset variable gives.
TEST(Settings, SayTheDefaultsThatHold) {
  Environment spelled_out = complete();
  for (const SettingInfo& setting : settings()) {
    if (!setting.default_value.empty() && setting.name != "PROPLET_CONFIG_FILE") {
      spelled_out.emplace(setting.name, setting.default_value);
    }
  }
  const auto explicit_config = load_config(spelled_out);
  EXPECT_THAT(explicit_config.problems, IsEmpty());
  EXPECT_THAT(explicit_config.warnings, IsEmpty());
  const WorkerConfig& a = explicit_config.config;
  const WorkerConfig b = load_config(complete()).config;
  EXPECT_EQ(a.namespace_name, b.namespace_name);
  EXPECT_EQ(a.mqtt_address, b.mqtt_address);
  EXPECT_EQ(a.mqtt_qos, b.mqtt_qos);
  EXPECT_EQ(a.mqtt_keep_alive, b.mqtt_keep_alive);
  EXPECT_EQ(a.mqtt_max_packet_bytes, b.mqtt_max_packet_bytes);
  EXPECT_EQ(a.mqtt_in_flight, b.mqtt_in_flight);
  EXPECT_EQ(a.mqtt_skip_verify, b.mqtt_skip_verify);
  EXPECT_EQ(a.liveliness_interval, b.liveliness_interval);
  EXPECT_EQ(a.metrics_interval, b.metrics_interval);
  EXPECT_EQ(a.enable_monitoring, b.enable_monitoring);
  EXPECT_EQ(a.metrics_enabled, b.metrics_enabled);
  EXPECT_EQ(a.metrics_port, b.metrics_port);
  EXPECT_EQ(a.collect_system_info, b.collect_system_info);
  EXPECT_EQ(a.log_level, b.log_level);
  EXPECT_EQ(a.log_format, b.log_format);
  EXPECT_EQ(a.max_tasks, b.max_tasks);
  EXPECT_EQ(a.max_queue, b.max_queue);
  EXPECT_EQ(a.task_timeout, b.task_timeout);
  EXPECT_EQ(a.task_memory_bytes, b.task_memory_bytes);
  EXPECT_EQ(a.max_output_bytes, b.max_output_bytes);
  EXPECT_EQ(a.result_floor, b.result_floor);
  EXPECT_EQ(a.drain, b.drain);
  EXPECT_EQ(a.max_module_bytes, b.max_module_bytes);
  EXPECT_EQ(a.oci_pull, b.oci_pull);
  EXPECT_EQ(a.pull_concurrent_limit, b.pull_concurrent_limit);
  EXPECT_EQ(a.registry_mirrors, b.registry_mirrors);
  EXPECT_EQ(a.key_file, b.key_file);
  EXPECT_EQ(a.key_file_in_tee, b.key_file_in_tee);
  EXPECT_EQ(a.tee, b.tee);
}

}  // namespace
}  // namespace proplet::worker
