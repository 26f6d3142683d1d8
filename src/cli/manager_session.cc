#include "cli/manager_session.h"

#include "propeller/topics.h"
#include "worker/config.h"

namespace proplet::cli {
namespace {

constexpr std::chrono::milliseconds kBrokerPatience{10000};

std::string or_else(const std::string& first, const std::string& otherwise) {
  return first.empty() ? otherwise : first;
}

}  // namespace

void BrokerFlags::add_to(CLI::App& command) {
  command.add_option("--mqtt", address, "Broker, for example tcp://localhost:1883; default: PROPLET_MQTT_ADDRESS");
  command.add_option("--tenant", tenant, "Tenant id; default: PROPLET_TENANT_ID");
  command.add_option("--channel", channel, "Channel id; default: PROPLET_CHANNEL_ID");
  command.add_option("--user", user,
                     "User at the broker, with PROPLET_API_KEY as password; default: PROPLET_ENTITY_ID");
}

Result<std::unique_ptr<ManagerSession>> ManagerSession::connect(Cli& cli, const BrokerFlags& flags) {
  auto loaded = worker::load_config(worker::process_environment());
  worker::WorkerConfig& config = loaded.config;
  const std::string tenant = or_else(flags.tenant, config.tenant_id);
  const std::string channel = or_else(flags.channel, config.channel_id);
  if (tenant.empty() || channel.empty()) {
    return fail(Code::config_invalid, "give --tenant and --channel, or PROPLET_TENANT_ID and PROPLET_CHANNEL_ID");
  }
  std::unique_ptr<ManagerSession> manager(new ManagerSession(cli, propeller::base_topic(tenant, channel)));
  propeller::SessionOptions options;
  TRY_ASSIGN(options.address, propeller::BrokerAddress::parse(or_else(flags.address, config.mqtt_address)));
  options.client_id = "propctl-" + cli.random.uuid();
  options.user = or_else(flags.user, config.entity_id);
  options.password = std::move(config.api_key);
  options.qos = config.mqtt_qos;
  options.tls = {.ca_cert = config.mqtt_ca_cert,
                 .client_cert = config.mqtt_client_cert,
                 .client_key = config.mqtt_client_key,
                 .skip_verify = config.mqtt_skip_verify};
  options.subscriptions = {manager->base_topic_ + "/control/proplet/#"};
  TRY_ASSIGN(manager->session_, propeller::MqttSession::make(std::move(options), *manager, cli.log, cli.random));
  manager->session_->start();
  if (!manager->wait_for(kBrokerPatience, [&] { return manager->online_; })) {
    return fail(Code::mqtt_failed, "no connection to the broker {}", or_else(flags.address, config.mqtt_address));
  }
  return manager;
}

ManagerSession::~ManagerSession() {
  if (session_) session_->stop();
}

template <class Condition>
bool ManagerSession::wait_for(std::chrono::milliseconds timeout, Condition condition) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, cli_.stop, timeout, condition);
}

Status ManagerSession::publish(std::string_view topic, const std::string& payload) {
  TRY_ASSIGN(const std::uint64_t ticket, session_->publish(base_topic_ + "/" + std::string(topic), payload));
  if (!wait_for(kBrokerPatience, [&] { return last_acknowledged_ >= ticket; })) {
    return fail(Code::mqtt_failed, "the broker does not acknowledge the command");
  }
  return {};
}

std::optional<ManagerSession::Message> ManagerSession::next(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_until(lock, cli_.stop, deadline, [&] { return !messages_.empty(); })) return std::nullopt;
  Message message = std::move(messages_.front());
  messages_.pop_front();
  return message;
}

void ManagerSession::connected() {
  const std::lock_guard lock(mutex_);
  online_ = true;
  changed_.notify_all();
}

void ManagerSession::disconnected() {
  const std::lock_guard lock(mutex_);
  online_ = false;
}

void ManagerSession::message(std::string_view topic, ByteView payload) {
  if (!topic.starts_with(base_topic_ + "/")) return;
  const std::lock_guard lock(mutex_);
  messages_.push_back({std::string(topic.substr(base_topic_.size() + 1)), Bytes(payload.begin(), payload.end()),
                       std::chrono::steady_clock::now()});
  changed_.notify_all();
}

void ManagerSession::acknowledged(std::uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  last_acknowledged_ = std::max(last_acknowledged_, ticket);
  changed_.notify_all();
}

}  // namespace proplet::cli
