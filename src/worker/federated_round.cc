#include "worker/federated_round.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/json_check.h"

namespace proplet::worker {
namespace {

constexpr std::size_t kMaxJsonDepth = 64;
constexpr std::size_t kMaxFormatBytes = 256;
constexpr std::size_t kMaxAnswerBytes = std::size_t{64} << 10;  // of the coordinator; it is not looked at

const std::string* find(const std::map<std::string, std::string>& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? nullptr : &found->second;
}

std::string_view without_end_slashes(std::string_view url) {
  while (url.ends_with('/')) url.remove_suffix(1);
  return url;
}

// They come back in the result, which must not grow too large to be sent.
Status check_texts(const propeller::StartCommand& command) {
  const std::string* round = find(command.env, "ROUND_ID");
  if (round != nullptr && round->size() > propeller::kMaxIdBytes) {
    return fail(Code::message_invalid, "env ROUND_ID is longer than {} bytes", propeller::kMaxIdBytes);
  }
  const std::string* format = find(command.env, "FL_FORMAT");
  if (format != nullptr && format->size() > kMaxFormatBytes) {
    return fail(Code::message_invalid, "env FL_FORMAT is longer than {} bytes", kMaxFormatBytes);
  }
  return {};
}

bool is_success(long status) { return status >= 200 && status < 300; }

}  // namespace

Result<net::Url> parse_base_url(std::string_view text) {
  auto url = net::Url::parse(text);
  if (!url) return fail(Error(Code::config_invalid, "not a URL").caused_by(url.error()));
  if (text.find('?') != std::string_view::npos) return fail(Code::config_invalid, "the URL has a query");
  return url;
}

int model_version(std::string_view uri) {
  const std::string_view last = uri.substr(uri.rfind('/') + 1);
  const auto digits_at = last.find_last_not_of("0123456789") + 1;
  int version = 0;
  const auto parsed = std::from_chars(last.data() + digits_at, last.data() + last.size(), version);
  return parsed.ec == std::errc() ? version : 0;
}

std::optional<propeller::FederatedResult> federated_result(const propeller::StartCommand& command) {
  const std::string* round = find(command.env, "ROUND_ID");
  if (round == nullptr || !check_texts(command)) return std::nullopt;
  propeller::FederatedResult result;
  result.round_id = *round;
  if (const std::string* format = find(command.env, "FL_FORMAT")) result.format = *format;
  if (const std::string* samples = find(command.env, "FL_NUM_SAMPLES")) {
    std::uint64_t number = 0;
    const auto* const end = samples->data() + samples->size();
    const auto parsed = std::from_chars(samples->data(), end, number);
    if (parsed.ec == std::errc() && parsed.ptr == end) result.num_samples = number;
  }
  return result;
}

FederatedRounds::FederatedRounds(FederatedOptions options, ClientFor client_for, Publish publish, Log& log)
    : options_(std::move(options)), client_for_(std::move(client_for)), publish_(std::move(publish)), log_(log) {}

// Empty if neither the task nor the operator says; without slashes at its end.
Result<std::string> FederatedRounds::address(const propeller::StartCommand& command, const std::string& name,
                                             const std::string& otherwise) const {
  const std::string* own = find(command.env, name);
  if (own == nullptr || own->empty()) return std::string(without_end_slashes(otherwise));
  if (const auto url = parse_base_url(*own); !url) {
    return fail(Error(Code::message_invalid, "env " + name).caused_by(url.error()));
  }
  return std::string(without_end_slashes(*own));
}

Status FederatedRounds::check(const propeller::StartCommand& command) const {
  TRY(check_texts(command));
  TRY_ASSIGN(const auto registry, address(command, "MODEL_REGISTRY_URL", options_.model_registry_url));
  TRY_ASSIGN(const auto store, address(command, "DATA_STORE_URL", options_.data_store_url));
  TRY_ASSIGN(const auto coordinator, address(command, "MANAGER_COORDINATOR_URL", options_.coordinator_url));
  if (const std::string* id = find(command.env, "PROPLET_ID"); !store.empty() && id != nullptr) {
    // Such a part of a path means another folder.
    if (id->empty() || *id == "." || *id == "..") return fail(Code::message_invalid, "env PROPLET_ID is no id");
  }
  if (command.env.contains("MODEL_URI") && registry.empty()) {
    return fail(Code::config_invalid, "the task has a MODEL_URI, but neither it nor the worker has MODEL_REGISTRY_URL");
  }
  if (command.env.contains("ROUND_ID") && coordinator.empty()) {
    return fail(Code::config_invalid,
                "the task has a ROUND_ID, but neither it nor the worker has MANAGER_COORDINATOR_URL");
  }
  return {};
}

Status FederatedRounds::prepare(const propeller::StartCommand& command, Environment& environment,
                                const std::stop_token& stop) {
  TRY(check(command));
  const auto add = [&](const std::string& variable, const std::string& url) {
    auto data = fetch(url, stop);
    if (data) {
      environment[variable] = *std::move(data);
    } else {
      log_.warn("round data missing",
                {{"task_id", command.id}, {"variable", variable}, {"url", url}, {"error", data.error().text()}});
    }
  };
  if (const std::string* model = find(command.env, "MODEL_URI")) {
    TRY_ASSIGN(const auto registry, address(command, "MODEL_REGISTRY_URL", options_.model_registry_url));
    add("MODEL_DATA", fmt::format("{}/models/{}", registry, model_version(*model)));
  }
  TRY_ASSIGN(const auto store, address(command, "DATA_STORE_URL", options_.data_store_url));
  if (!store.empty()) {
    const std::string* id = find(command.env, "PROPLET_ID");
    add("DATASET_DATA",
        fmt::format("{}/datasets/{}", store, net::percent_encode(id != nullptr ? *id : options_.proplet_id)));
  }
  return {};
}

void FederatedRounds::hand_in(const propeller::StartCommand& command, const std::string& output,
                              const std::stop_token& stop) {
  const std::string* round = find(command.env, "ROUND_ID");
  if (round == nullptr) return;
  if (!json::check(output, {.bytes = output.size(), .depth = kMaxJsonDepth})) {
    log_.warn("update not handed in: the output is not JSON", {{"task_id", command.id}});
    return;
  }
  const auto posted = post(command, output, stop);
  if (posted) {
    log_.info("update handed in", {{"task_id", command.id}, {"round_id", *round}});
    return;
  }
  log_.warn("update goes over MQTT",
            {{"task_id", command.id}, {"round_id", *round}, {"reason", posted.error().text()}});
  // The ids are the task's, and topics give a meaning to some characters.
  publish_({.topic = fmt::format("fl/rounds/{}/updates/{}", net::percent_encode(*round),
                                 net::percent_encode(options_.proplet_id)),
            .payload = output,
            .task_id = command.id,
            .confidential = command.encrypted});
}

// The body as it came, which is JSON: guests parse it themselves.
Result<std::string> FederatedRounds::fetch(const std::string& url, const std::stop_token& stop) {
  TRY_ASSIGN(auto parsed, net::Url::parse(url));
  net::HttpRequest request{.url = std::move(parsed)};
  request.max_response_bytes = options_.max_body_bytes;
  request.timeout = options_.timeout;
  TRY_ASSIGN(const auto http, client_for_(request.url));
  TRY_ASSIGN(const auto response, http->send(request, stop));
  if (!is_success(response.status)) return fail(Code::network_failed, "HTTP status {}", response.status);
  std::string body(text_of(response.body));
  TRY(json::check(body, {.bytes = options_.max_body_bytes, .depth = kMaxJsonDepth}));
  return body;
}

Status FederatedRounds::post(const propeller::StartCommand& command, const std::string& output,
                             const std::stop_token& stop) {
  TRY_ASSIGN(const auto coordinator, address(command, "MANAGER_COORDINATOR_URL", options_.coordinator_url));
  TRY_ASSIGN(auto url, net::Url::parse(coordinator + "/update"));
  const bool named_by_operator = coordinator == without_end_slashes(options_.coordinator_url);
  const bool verified = url.is_https() && options_.verifies_servers;
  if (command.encrypted && !verified && !named_by_operator) {
    return fail(Code::insecure_transport, "the update of an encrypted task does not leave over {} to {}",
                url.is_https() ? "https without verification" : "plain HTTP", url.host_and_port());
  }
  net::HttpRequest request{.method = "POST", .url = std::move(url)};
  request.headers = {{"Content-Type", "application/json"}};
  request.body = bytes_of(output);
  request.max_response_bytes = kMaxAnswerBytes;
  request.timeout = options_.timeout;
  TRY_ASSIGN(const auto http, client_for_(request.url));
  TRY_ASSIGN(const auto response, http->send(request, stop));
  if (!is_success(response.status)) return fail(Code::network_failed, "HTTP status {}", response.status);
  return {};
}

}  // namespace proplet::worker
