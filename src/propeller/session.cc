#include "propeller/session.h"

#include <mosquitto.h>

#include <algorithm>
#include <utility>

#include "base/fd.h"

namespace proplet::propeller {
namespace {

using std::chrono::steady_clock;

// A connection that is not usable by then is given up.
constexpr std::chrono::seconds kConnectTimeout{15};
// How long DISCONNECT may take to leave.
constexpr std::chrono::milliseconds kDisconnectTimeout{80};
constexpr std::chrono::milliseconds kPollWhileConnecting{20};
constexpr std::chrono::milliseconds kPollWhileConnected{1000};
constexpr std::size_t kMaxTlsFileBytes = std::size_t{1} << 20;

struct Handle {
  void operator()(mosquitto* client) const { mosquitto_destroy(client); }
};

struct Event {
  enum class Kind : std::uint8_t { ready, message, acknowledged };
  Kind kind;
  std::uint64_t ticket = 0;
  std::string topic;
  Bytes payload;
};

// The library's global state: set up before the first client, and left to the end of the process.
void initialise_library() {
  static const int result = mosquitto_lib_init();
  static_cast<void>(result);
}

Status check(int code, std::string_view what) {
  if (code == MOSQ_ERR_SUCCESS) return {};
  return fail(Code::mqtt_failed, "{}: {}", what, mosquitto_strerror(code));
}

// The library does not say which file it cannot read.
Status check_tls_files(const TlsFiles& tls) {
  for (const std::string& path : {tls.ca_cert, tls.client_cert, tls.client_key}) {
    if (path.empty()) continue;
    if (auto file = read_file(path, kMaxTlsFileBytes); !file) {
      return fail(Error(Code::config_invalid, "MQTT TLS file").caused_by(file.error()));
    } else {
      wipe(MutableByteView(*file));
    }
  }
  return {};
}

const char* text_or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

}  // namespace

// Callbacks run inside mosquitto_loop on the session's thread, with locks of the library held; so they only record
// what happened, and the session hands it over once the library has let go.
class MqttSession::Connection {
 public:
  Connection(const SessionOptions& options, Log& log, std::uint32_t generation)
      : options_(options), log_(log), generation_(generation) {}

  Status prepare() {
    initialise_library();
    client_.reset(mosquitto_new(options_.client_id.c_str(), true, this));
    if (!client_) return fail(Code::mqtt_failed, "no MQTT client for the id {}", options_.client_id);
    TRY(check(mosquitto_threaded_set(client_.get(), true), "threads"));
    TRY(check(mosquitto_int_option(client_.get(), MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V311), "protocol"));
    TRY(check(mosquitto_int_option(client_.get(), MOSQ_OPT_TCP_NODELAY, 1), "TCP_NODELAY"));
    TRY(check(mosquitto_max_inflight_messages_set(client_.get(), options_.in_flight), "in-flight limit"));
    TRY(set_credentials());
    if (options_.address.tls) TRY(set_tls());
    mosquitto_connect_callback_set(client_.get(), on_connect);
    mosquitto_subscribe_callback_set(client_.get(), on_subscribe);
    mosquitto_message_callback_set(client_.get(), on_message);
    mosquitto_publish_callback_set(client_.get(), on_publish);
    return {};
  }

  Status connect() {
    const auto keep_alive = static_cast<int>(options_.keep_alive.count());
    return check(
        mosquitto_connect_async(client_.get(), options_.address.host.c_str(), options_.address.port, keep_alive),
        "connect");
  }

  // MQTT_FAILED when the connection has ended.
  Status loop(std::chrono::milliseconds timeout) {
    const int code = mosquitto_loop(client_.get(), static_cast<int>(timeout.count()), 1);
    if (refusal_) return fail(*std::exchange(refusal_, std::nullopt));
    return check(code, "connection");
  }

  void disconnect() { mosquitto_disconnect(client_.get()); }

  Result<std::uint64_t> publish(std::string_view topic, std::string_view payload) {
    int id = 0;
    TRY(check(mosquitto_publish(client_.get(), &id, std::string(topic).c_str(), static_cast<int>(payload.size()),
                                payload.data(), options_.qos, false),
              "publish"));
    return ticket(id);
  }

  std::vector<Event> take_events() { return std::exchange(events_, {}); }

 private:
  Status set_credentials() {
    if (options_.user.empty()) return {};
    std::string password(text_of(options_.password.view()));
    const int code = mosquitto_username_pw_set(client_.get(), options_.user.c_str(), password.c_str());
    wipe(password);
    return check(code, "credentials");
  }

  Status set_tls() {
    const TlsFiles& tls = options_.tls;
    const bool own_ca = !tls.ca_cert.empty();
    if (!own_ca) TRY(check(mosquitto_int_option(client_.get(), MOSQ_OPT_TLS_USE_OS_CERTS, 1), "system roots"));
    TRY(check(mosquitto_tls_set(client_.get(), text_or_null(tls.ca_cert), own_ca ? nullptr : "/etc/ssl/certs",
                                text_or_null(tls.client_cert), text_or_null(tls.client_key), nullptr),
              "TLS files"));
    if (!tls.skip_verify) return check(mosquitto_tls_opts_set(client_.get(), 1, "tlsv1.2", nullptr), "TLS");
    TRY(check(mosquitto_tls_opts_set(client_.get(), 0, "tlsv1.2", nullptr), "TLS"));
    return check(mosquitto_tls_insecure_set(client_.get(), true), "TLS");
  }

  // Unique over all connections of this process's session.
  [[nodiscard]] std::uint64_t ticket(int id) const {
    return (std::uint64_t{generation_} << 32U) | static_cast<std::uint32_t>(id);
  }

  void refuse(std::string message) {
    if (!refusal_) refusal_ = Error(Code::mqtt_failed, std::move(message));
  }

  void subscribe_next() {
    if (granted_ == options_.subscriptions.size()) {
      events_.push_back({Event::Kind::ready, 0, {}, {}});
      return;
    }
    const std::string& topic = options_.subscriptions[granted_];
    const int code = mosquitto_subscribe(client_.get(), nullptr, topic.c_str(), options_.qos);
    if (code != MOSQ_ERR_SUCCESS) refuse("subscription to " + topic + ": " + mosquitto_strerror(code));
  }

  static void on_connect(mosquitto* /*client*/, void* self, int code) {
    auto& connection = *static_cast<Connection*>(self);
    if (code != 0) return connection.refuse(std::string("the broker refuses: ") + mosquitto_connack_string(code));
    connection.subscribe_next();
  }

  static void on_subscribe(mosquitto* /*client*/, void* self, int /*id*/, int count, const int* granted) {
    auto& connection = *static_cast<Connection*>(self);
    if (count < 1 || granted[0] > 2 || connection.granted_ >= connection.options_.subscriptions.size()) {
      return connection.refuse("the broker refuses a subscription");
    }
    ++connection.granted_;
    connection.subscribe_next();
  }

  static void on_message(mosquitto* /*client*/, void* self, const mosquitto_message* message) {
    auto& connection = *static_cast<Connection*>(self);
    const auto size = static_cast<std::size_t>(std::max(message->payloadlen, 0));
    if (size > connection.options_.max_packet_bytes) {
      connection.log_.warn("message dropped: too large", {{"topic", message->topic}, {"bytes", size}});
      return;
    }
    const auto* bytes = static_cast<const std::uint8_t*>(message->payload);
    connection.events_.push_back({Event::Kind::message, 0, message->topic, Bytes(bytes, bytes + size)});
  }

  static void on_publish(mosquitto* /*client*/, void* self, int id) {
    auto& connection = *static_cast<Connection*>(self);
    connection.events_.push_back({Event::Kind::acknowledged, connection.ticket(id), {}, {}});
  }

  const SessionOptions& options_;
  Log& log_;
  std::uint32_t generation_;
  std::unique_ptr<mosquitto, Handle> client_;
  std::size_t granted_ = 0;  // of the subscriptions, in order
  std::optional<Error> refusal_;
  std::vector<Event> events_;
};

MqttSession::MqttSession(SessionOptions options, SessionHandler& handler, Log& log, Random& random)
    : options_(std::move(options)), handler_(handler), log_(log), random_(random) {}

MqttSession::~MqttSession() { stop(); }

Status MqttSession::probe(const SessionOptions& options, std::chrono::milliseconds timeout, Log& log,
                          const std::stop_token& stop) {
  if (options.address.tls) TRY(check_tls_files(options.tls));
  Connection connection(options, log, 1);
  TRY(connection.prepare());
  TRY(connection.connect());
  const auto deadline = steady_clock::now() + timeout;
  while (!stop.stop_requested() && steady_clock::now() < deadline) {
    TRY(connection.loop(kPollWhileConnecting));
    for (const Event& event : connection.take_events()) {
      if (event.kind != Event::Kind::ready) continue;
      connection.disconnect();
      static_cast<void>(connection.loop(kDisconnectTimeout));  // it ends with the connection, or in time
      return {};
    }
  }
  return fail(Code::mqtt_failed, "no answer within {} ms", timeout.count());
}

Result<std::unique_ptr<MqttSession>> MqttSession::make(SessionOptions options, SessionHandler& handler, Log& log,
                                                       Random& random) {
  TlsFiles& tls = options.tls;
  if (tls.client_cert.empty() != tls.client_key.empty()) {
    log.warn("client certificate and key work only together; neither is used");
    tls.client_cert.clear();
    tls.client_key.clear();
  }
  if (options.address.tls) {
    TRY(check_tls_files(tls));
    if (tls.skip_verify)
      log.warn("the broker's certificate is not verified: anybody in between can pose as the broker");
  }
  auto session = std::unique_ptr<MqttSession>(new MqttSession(std::move(options), handler, log, random));
  TRY(session->new_connection());  // settings that the library refuses are found before anything starts
  return session;
}

void MqttSession::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

Status MqttSession::reconnect() {
  if (options_.address.tls) TRY(check_tls_files(options_.tls));
  {
    const std::lock_guard lock(wait_mutex_);
    renewing_ = true;
  }
  wait_.notify_all();
  const std::lock_guard lock(mutex_);
  if (connection_) connection_->disconnect();
  return {};
}

void MqttSession::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

Result<std::uint64_t> MqttSession::publish(std::string_view topic, std::string_view payload) {
  // 64 bytes are more than the fixed header, the topic's length and the packet id need.
  if (payload.size() + topic.size() + 64 > options_.max_packet_bytes) {
    return fail(Code::size_limit, "a message of {} bytes exceeds the packet limit of {}", payload.size(),
                options_.max_packet_bytes);
  }
  const std::lock_guard lock(mutex_);
  if (!connection_ || !connected_) return fail(Code::mqtt_failed, "not connected");
  return connection_->publish(topic, payload);
}

Result<std::unique_ptr<MqttSession::Connection>> MqttSession::new_connection() {
  auto connection = std::make_unique<Connection>(options_, log_, ++generation_);
  TRY(connection->prepare());
  return connection;
}

void MqttSession::run(const std::stop_token& stop) {
  std::chrono::milliseconds longest = options_.first_back_off;
  while (!stop.stop_requested()) {
    auto made = new_connection();
    if (!made) {
      log_.error("no connection", {{"error", made.error().text()}});
    } else {
      Connection* connection = made->get();
      {
        const std::lock_guard lock(mutex_);
        connection_ = std::move(*made);
      }
      if (serve(*connection, stop)) longest = options_.first_back_off;
      const std::lock_guard lock(mutex_);
      connection_.reset();
    }
    pause(longest, stop);
    longest = renewing_.exchange(false) ? options_.first_back_off : std::min(longest * 2, options_.max_back_off);
  }
}

// One connection from beginning to end; says whether it ever was usable.
bool MqttSession::serve(Connection& connection, const std::stop_token& stop) {
  if (const auto status = connection.connect(); !status) {
    log_.warn("broker unreachable",
              {{"host", options_.address.host}, {"port", options_.address.port}, {"error", status.error().text()}});
    return false;
  }
  const std::stop_callback wake(stop, [&connection] { connection.disconnect(); });
  auto deadline = steady_clock::now() + kConnectTimeout;
  bool ready = false;
  bool leaving = false;
  Status status;
  while (true) {
    status = connection.loop(ready && !leaving ? kPollWhileConnected : kPollWhileConnecting);
    if (!leaving && deliver(connection)) ready = true;
    if (!status) break;
    if (!leaving && stop.stop_requested()) {
      leaving = true;
      deadline = steady_clock::now() + kDisconnectTimeout;
    }
    if ((leaving || !ready) && steady_clock::now() > deadline) break;
  }
  if (connected_.exchange(false)) handler_.disconnected();
  if (renewing_) {
    log_.info("connection renewed");
  } else if (!leaving && !stop.stop_requested()) {
    log_.warn("connection lost", {{"host", options_.address.host},
                                  {"port", options_.address.port},
                                  {"error", status ? std::string("no answer in time") : status.error().text()}});
  }
  return ready;
}

// Hands over what happened; says whether the connection has just become usable.
bool MqttSession::deliver(Connection& connection) {
  bool ready = false;
  for (const Event& event : connection.take_events()) {
    switch (event.kind) {
      case Event::Kind::ready:
        ready = true;
        connected_ = true;
        log_.info("connected", {{"host", options_.address.host}, {"port", options_.address.port}});
        handler_.connected();
        break;
      case Event::Kind::message:
        handler_.message(event.topic, event.payload);
        break;
      case Event::Kind::acknowledged:
        handler_.acknowledged(event.ticket);
        break;
    }
  }
  return ready;
}

// Full jitter: any time between nothing and `longest`, so that workers do not come back in step. Ends early when a
// reconnection is asked for.
void MqttSession::pause(std::chrono::milliseconds longest, const std::stop_token& stop) {
  const auto ceiling = static_cast<std::uint64_t>(std::max<std::int64_t>(longest.count(), 1));
  const std::chrono::milliseconds time(random_.next() % (ceiling + 1));
  std::unique_lock lock(wait_mutex_);
  wait_.wait_for(lock, stop, time, [this] { return renewing_.load(); });
}

}  // namespace proplet::propeller
