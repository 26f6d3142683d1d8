// ManagerSession speaks the Manager's side of the Propeller protocol: it sends commands and hears what workers say.
//
// One connection, one thread of commands; messages that arrive are queued until they are asked for. It uses the
// settings of a worker (PROPLET_MQTT_ADDRESS, PROPLET_TENANT_ID, ...), with flags that override them.
#pragma once

#include <CLI/App.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/cli.h"
#include "propeller/session.h"

namespace proplet::cli {

struct BrokerFlags {
  std::string address;
  std::string tenant;
  std::string channel;
  std::string user;

  void add_to(CLI::App& command);
};

class ManagerSession final : public propeller::SessionHandler {
 public:
  struct Message {
    std::string topic;  // below the base topic
    Bytes payload;
    std::chrono::steady_clock::time_point arrived;
  };

  // Connects and subscribes to what workers publish, within 10 s. MQTT_FAILED, CONFIG_INVALID.
  static Result<std::unique_ptr<ManagerSession>> connect(Cli& cli, const BrokerFlags& flags);
  ~ManagerSession() override;
  ManagerSession(const ManagerSession&) = delete;
  ManagerSession& operator=(const ManagerSession&) = delete;

  // Publishes below the base topic and waits until the broker has it.
  Status publish(std::string_view topic, const std::string& payload);
  // The next message, or nothing when the time is over or the user has had enough.
  std::optional<Message> next(std::chrono::steady_clock::time_point deadline);

  void connected() override;
  void disconnected() override;
  void message(std::string_view topic, ByteView payload) override;
  void acknowledged(std::uint64_t ticket) override;

 private:
  ManagerSession(Cli& cli, std::string base_topic) : cli_(cli), base_topic_(std::move(base_topic)) {}
  template <class Condition>
  bool wait_for(std::chrono::milliseconds timeout, Condition condition);

  Cli& cli_;
  std::string base_topic_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool online_ = false;
  std::uint64_t last_acknowledged_ = 0;
  std::deque<Message> messages_;
  std::unique_ptr<propeller::MqttSession> session_;
};

}  // namespace proplet::cli
