// MqttSession keeps one connection to an MQTT 3.1.1 broker alive and hands over what arrives.
//
// Clean session, no will (the Manager takes a will for a heartbeat), user name = entity id, TCP_NODELAY. The session
// has a thread of its own that connects, reconnects with full-jitter back-off from 1 to 60 s, subscribes anew after
// every connection, and calls the handler. The handler must not block: it parses, routes and queues.
//
// Every connection is a fresh client. What was in flight when a connection broke is forgotten here, because a broker
// that forgot the session acknowledges a repeated release of a message it never kept (MQTT 3.1.1 section 4.3.3);
// whoever needs certainty publishes again after `connected` (outbox.h). Messages beyond the size limit are dropped
// with a warning. The name of the broker is resolved by the system, which `stop` cannot interrupt.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "base/secret_bytes.h"

namespace proplet::propeller {

struct BrokerAddress {
  std::string host;  // IPv6 without brackets
  std::uint16_t port = 1883;
  bool tls = false;

  // "tcp://host:1883", "mqtt://host", "ssl://host" (also tls, mqtts: port 8883), "host:port", "[v6]:port", "host".
  // CONFIG_INVALID.
  static Result<BrokerAddress> parse(std::string_view text);
};

struct TlsFiles {
  std::string ca_cert;  // PEM; empty: the system's roots. When given, only this CA is trusted.
  std::string client_cert;
  std::string client_key;
  bool skip_verify = false;
};

struct SessionOptions {
  BrokerAddress address;
  std::string client_id;
  std::string user;
  SecretBytes password;  // empty together with `user`: anonymous
  int qos = 2;
  std::chrono::seconds keep_alive{30};
  std::size_t max_packet_bytes = std::size_t{10} << 20;
  std::uint16_t in_flight = 10;
  TlsFiles tls;
  std::vector<std::string> subscriptions;
  // Longest pause before the first retry; it doubles up to `max_back_off`.
  std::chrono::milliseconds first_back_off{1000};
  std::chrono::milliseconds max_back_off{60000};
};

// Called on the session's thread, outside all locks of the session.
class SessionHandler {
 public:
  virtual ~SessionHandler() = default;
  // All subscriptions are granted.
  virtual void connected() = 0;
  virtual void disconnected() = 0;
  virtual void message(std::string_view topic, ByteView payload) = 0;
  // The broker has taken responsibility for the publication `ticket` (PUBCOMP, PUBACK, or sent at QoS 0).
  virtual void acknowledged(std::uint64_t ticket) = 0;
};

// The part of a session that publishers need. Thread-safe; never blocks on the network.
class Publisher {
 public:
  virtual ~Publisher() = default;
  // Returns a ticket, unique in this process. MQTT_FAILED when not connected, SIZE_LIMIT when too large.
  virtual Result<std::uint64_t> publish(std::string_view topic, std::string_view payload) = 0;
};

class MqttSession final : public Publisher {
 public:
  // `handler`, `log` and `random` must outlive the session. CONFIG_INVALID for unreadable TLS files.
  static Result<std::unique_ptr<MqttSession>> make(SessionOptions options, SessionHandler& handler, Log& log,
                                                   Random& random);
  // One attempt to connect, log in and subscribe, on the calling thread, for those who want to know whether it works.
  // MQTT_FAILED says what does not; CONFIG_INVALID.
  static Status probe(const SessionOptions& options, std::chrono::milliseconds timeout, Log& log,
                      const std::stop_token& stop);
  // Stops.
  ~MqttSession() override;
  MqttSession(const MqttSession&) = delete;
  MqttSession& operator=(const MqttSession&) = delete;

  // Begins to connect. Call once.
  void start();
  // Sends DISCONNECT and connects again at once, with the TLS files as they are now. CONFIG_INVALID if they cannot be
  // read: the connection stays then. Any thread but the handler's.
  Status reconnect();
  // Sends DISCONNECT and ends the thread. May be called repeatedly; not from the handler.
  void stop();

  Result<std::uint64_t> publish(std::string_view topic, std::string_view payload) override;
  [[nodiscard]] bool is_connected() const { return connected_; }

 private:
  class Connection;  // one libmosquitto client for one TCP connection

  MqttSession(SessionOptions options, SessionHandler& handler, Log& log, Random& random);
  Result<std::unique_ptr<Connection>> new_connection();
  void run(const std::stop_token& stop);
  bool serve(Connection& connection, const std::stop_token& stop);
  bool deliver(Connection& connection);
  void pause(std::chrono::milliseconds longest, const std::stop_token& stop);

  SessionOptions options_;
  SessionHandler& handler_;
  Log& log_;
  Random& random_;
  std::mutex mutex_;  // guards connection_ against replacement while somebody publishes
  std::unique_ptr<Connection> connection_;
  std::uint32_t generation_ = 0;
  std::atomic<bool> connected_ = false;
  std::atomic<bool> renewing_ = false;
  std::mutex wait_mutex_;
  std::condition_variable_any wait_;
  std::jthread thread_;
};

}  // namespace proplet::propeller
