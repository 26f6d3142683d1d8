#include "propeller/messages.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "base/json.h"

namespace proplet::propeller {
namespace {

constexpr std::size_t kMaxListElements = 4096;
constexpr std::size_t kMaxDepth = 32;
constexpr double kFirstEndedState = 3;  // completed; before it pending, scheduled and running

// Reads the members of a command leniently and keeps the first fault, so that what is readable is read regardless.
class Reader {
 public:
  explicit Reader(const json::object& object) : object_(object) {}

  std::string text(std::string_view name) {
    const json::value* member = present(name);
    if (member == nullptr) return {};
    if (const auto* string = member->if_string()) return std::string(*string);
    complain(name, "is not a string");
    return {};
  }

  bool flag(std::string_view name) {
    const json::value* member = present(name);
    if (member == nullptr) return false;
    if (const auto* flag = member->if_bool()) return *flag;
    complain(name, "is not a boolean");
    return false;
  }

  // Strings; numbers count as their text and null as the empty string, as the Manager's own interface has it.
  std::vector<std::string> texts(std::string_view name) {
    const json::value* member = present(name);
    if (member == nullptr) return {};
    const auto* array = member->if_array();
    if (array == nullptr || array->size() > kMaxListElements) {
      complain(name, "is not an array of at most 4096 strings");
      return {};
    }
    std::vector<std::string> texts;
    for (const json::value& element : *array) {
      if (const auto* string = element.if_string()) {
        texts.emplace_back(*string);
      } else if (element.is_null()) {
        texts.emplace_back();
      } else if (element.is_number()) {
        texts.push_back(number_text(element));
      } else {
        complain(name, "has an element that is not a string");
      }
    }
    return texts;
  }

  std::map<std::string, std::string> pairs(std::string_view name) {
    const json::value* member = present(name);
    if (member == nullptr) return {};
    const auto* object = member->if_object();
    if (object == nullptr || object->size() > kMaxListElements) {
      complain(name, "is not an object of at most 4096 strings");
      return {};
    }
    std::map<std::string, std::string> pairs;
    for (const auto& [key, value] : *object) {
      const auto* string = value.if_string();
      if (string == nullptr) {
        complain(name, "has a value that is not a string");
      } else {
        pairs.emplace(std::string(key), std::string(*string));
      }
    }
    return pairs;
  }

  // The id, or nothing to answer under.
  std::string id(std::string_view name) {
    std::string id = text(name);
    if (id.size() <= kMaxIdBytes) return id;
    complain(name, "is longer than 4096 bytes");
    return {};
  }

  std::optional<Target> target() {
    Reader own(object_);
    Target target{.broadcast = own.flag("broadcast"), .proplet_id = own.text("proplet_id")};
    if (!own.error_) return target;
    if (!error_) error_ = std::move(own.error_);
    return std::nullopt;
  }

  void complain(std::string_view name, std::string_view what) {
    if (!error_) error_ = Error(Code::message_invalid, fmt::format("{} {}", name, what));
  }
  void require(bool condition, std::string_view text) {
    if (!error_ && !condition) error_ = Error(Code::message_invalid, std::string(text));
  }
  void refuse(Error error) {
    if (!error_) error_ = std::move(error);
  }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 private:
  [[nodiscard]] const json::value* present(std::string_view name) const {
    const json::value* member = object_.if_contains(name);
    return member == nullptr || member->is_null() ? nullptr : member;
  }

  static std::string number_text(const json::value& number) {
    if (const auto* integer = number.if_int64()) return fmt::to_string(*integer);
    if (const auto* integer = number.if_uint64()) return fmt::to_string(*integer);
    return fmt::to_string(number.get_double());
  }

  const json::object& object_;
  std::optional<Error> error_;
};

tl::unexpected<MalformedCommand> unreadable(Error error) {
  return tl::unexpected(MalformedCommand{
      .error = std::move(error).because("command"), .id = {}, .invocation_id = {}, .target = std::nullopt});
}

Result<json::object> read_object(ByteView payload, std::size_t limit) {
  auto object = json::parse_object(text_of(payload), {.bytes = limit, .depth = kMaxDepth});
  if (!object) return fail(Error(Code::message_invalid, object.error().message()));
  return object;
}

// A policy that this worker does not enforce must not be ignored.
void refuse_policies(Reader& reader, const json::object& object) {
  const json::value* metadata = object.if_contains("metadata");
  if (metadata == nullptr || !metadata->is_object()) return;
  const json::value* elastic = metadata->get_object().if_contains("elastic");
  if (elastic == nullptr || !elastic->is_object()) return;
  for (const std::string_view policy : {"wasi_security", "wasi_pep"}) {
    const json::value* demand = elastic->get_object().if_contains(policy);
    if (demand != nullptr && !demand->is_null()) {
      reader.refuse(Error(Code::policy_unsupported,
                          fmt::format("metadata.elastic.{}: this worker cannot enforce WASI policies", policy)));
    }
  }
}

// The Manager's state of the task before this start; 0, pending, for what is no number.
double state_of(const json::object& object) {
  const json::value* state = object.if_contains("state");
  if (state == nullptr || !state->is_number()) return 0;
  return state->to_number<double>();
}

void read_image(Reader& reader, StartCommand& command) {
  command.image_url = reader.text("image_url");
  const std::string reference = reader.text("oci_reference");
  if (reference.empty()) return;
  reader.require(command.image_url.empty() || command.image_url == reference,
                 "image_url and oci_reference name different images");
  command.image_url = reference;
}

MonitoringProfile read_monitoring(const json::object& object, bool daemon) {
  const json::value* profile = object.if_contains("monitoring_profile");
  if (profile == nullptr || !profile->is_object()) return MonitoringProfile::standard(daemon);
  return read_monitoring_profile(profile->get_object(), daemon);
}

void validate(Reader& reader, const StartCommand& command) {
  const bool has_image = !command.image_url.empty();
  const bool has_file = !command.file_base64.empty();
  reader.require(!command.id.empty(), "id is required");
  reader.require(!command.name.empty(), "name is required");
  reader.require(!command.encrypted || has_image, "image_url is required for encrypted workloads");
  reader.require(!command.encrypted || !has_file, "encrypted workloads should only use image_url, not file");
  reader.require(has_image || has_file, "either file or image_url must be provided");
}

// Text of any bytes as JSON string content; what is not UTF-8 becomes U+FFFD.
std::string utf8(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xC2 ? 0
                               : lead < 0xE0 ? 2
                               : lead < 0xF0 ? 3
                               : lead < 0xF5 ? 4
                                             : 0;
    // Second bytes of overlong forms, surrogates and values beyond U+10FFFF (RFC 3629 section 4).
    const unsigned lowest = lead == 0xE0 ? 0xA0U : lead == 0xF0 ? 0x90U : 0x80U;
    const unsigned highest = lead == 0xED ? 0x9FU : lead == 0xF4 ? 0x8FU : 0xBFU;
    std::size_t valid = length == 0 ? 0 : 1;
    while (valid > 0 && valid < length && at + valid < text.size()) {
      const auto next = static_cast<unsigned char>(text[at + valid]);
      if (next < (valid == 1 ? lowest : 0x80U) || next > (valid == 1 ? highest : 0xBFU)) break;
      ++valid;
    }
    if (length != 0 && valid == length) {
      clean.append(text.substr(at, length));
      at += length;
    } else {
      clean.append("\xEF\xBF\xBD");
      at += valid == 0 ? 1 : valid;
    }
  }
  return clean;
}

json::value text_or_null(const std::optional<std::string>& text) {
  if (!text) return nullptr;
  return json::value(utf8(*text));
}

json::object federated_results(const ResultMessage& message, const FederatedResult& federated) {
  json::object object;
  object["task_id"] = message.task_id;
  object["round_id"] = federated.round_id;
  object["proplet_id"] = message.proplet_id;
  object["num_samples"] = federated.num_samples;
  object["update_b64"] = base64_encode(bytes_of(message.results));
  object["format"] = federated.format;
  object["metrics"] = json::object();
  return object;
}

json::array array_of(const std::vector<std::string>& texts) {
  json::array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

void add_unless_empty(json::object& object, std::string_view name, const std::string& text) {
  if (!text.empty()) object[name] = text;
}

void add_target(json::object& object, const Target& target) {
  object["broadcast"] = target.broadcast;
  add_unless_empty(object, "proplet_id", target.proplet_id);
}

}  // namespace

Parsed<StartCommand> parse_start(ByteView payload, std::size_t limit) {
  const auto object = read_object(payload, limit);
  if (!object) return unreadable(object.error());

  Reader reader(*object);
  StartCommand command;
  command.id = reader.id("id");
  const auto target = reader.target();
  command.name = reader.text("name");
  read_image(reader, command);
  command.file_base64 = reader.text("file");
  command.inputs = reader.texts("inputs");
  command.cli_args = reader.texts("cli_args");
  command.env = reader.pairs("env");
  command.daemon = reader.flag("daemon");
  command.latent = reader.flag("latent");
  command.encrypted = reader.flag("encrypted");
  command.kbs_resource_path = reader.text("kbs_resource_path");
  command.monitoring = read_monitoring(*object, command.daemon);
  command.answered_before = state_of(*object) >= kFirstEndedState;
  const json::value* report = object->if_contains("report");
  command.report_stages = report != nullptr && report->is_string() && report->get_string() == "stages";
  validate(reader, command);
  refuse_policies(reader, *object);
  if (reader.error()) return tl::unexpected(MalformedCommand{*reader.error(), command.id, {}, target});
  command.target = *target;
  return command;
}

Parsed<StopCommand> parse_stop(ByteView payload) {
  const auto object = read_object(payload, kMaxMessageBytes);
  if (!object) return unreadable(object.error());

  Reader reader(*object);
  StopCommand command;
  command.id = reader.id("id");
  reader.require(!command.id.empty(), "id is required");
  const auto target = reader.target();
  if (reader.error()) return tl::unexpected(MalformedCommand{*reader.error(), command.id, {}, target});
  command.target = *target;
  return command;
}

Parsed<InvokeCommand> parse_invoke(ByteView payload, std::size_t limit) {
  const auto object = read_object(payload, limit);
  if (!object) return unreadable(object.error());

  Reader reader(*object);
  InvokeCommand command;
  command.id = reader.id("id");
  reader.require(!command.id.empty(), "id is required");
  command.invocation_id = reader.id("invocation_id");
  const auto target = reader.target();
  command.inputs = reader.texts("inputs");
  command.env = reader.pairs("env");
  if (reader.error()) {
    return tl::unexpected(MalformedCommand{*reader.error(), command.id, command.invocation_id, target});
  }
  command.target = *target;
  return command;
}

std::string encode(const StartCommand& command) {
  json::object object;
  object["id"] = command.id;
  object["name"] = command.name;
  object["state"] = 0;
  add_unless_empty(object, "image_url", command.image_url);
  add_unless_empty(object, "file", command.file_base64);
  if (!command.inputs.empty()) object["inputs"] = array_of(command.inputs);
  object["cli_args"] = command.cli_args.empty() ? json::value(nullptr) : json::value(array_of(command.cli_args));
  object["daemon"] = command.daemon;
  object["latent"] = command.latent;
  if (!command.env.empty()) {
    json::object env;
    for (const auto& [name, value] : command.env) env[name] = value;
    object["env"] = std::move(env);
  }
  object["encrypted"] = command.encrypted;
  add_unless_empty(object, "kbs_resource_path", command.kbs_resource_path);
  add_target(object, command.target);
  if (command.report_stages) object["report"] = "stages";
  return json::serialize(object);
}

std::string encode(const StopCommand& command) {
  json::object object;
  object["id"] = command.id;
  add_target(object, command.target);
  return json::serialize(object);
}

std::string encode(const Discovery& discovery) {
  json::object metadata;
  add_unless_empty(metadata, "description", discovery.description);
  if (!discovery.tags.empty()) metadata["tags"] = array_of(discovery.tags);
  add_unless_empty(metadata, "location", discovery.location);
  add_unless_empty(metadata, "ip", discovery.ip);
  metadata["environment"] = discovery.environment;
  metadata["os"] = discovery.os;
  add_unless_empty(metadata, "hostname", discovery.hostname);
  metadata["cpu_arch"] = discovery.cpu_arch;
  metadata["total_memory_bytes"] = discovery.total_memory_bytes;
  metadata["proplet_version"] = discovery.proplet_version;
  metadata["wasm_runtime"] = discovery.wasm_runtime;

  json::object object;
  object["proplet_id"] = discovery.proplet_id;
  object["namespace"] = discovery.namespace_name;
  object["metadata"] = std::move(metadata);
  return json::serialize(object);
}

std::string encode(const Heartbeat& heartbeat) {
  json::object object;
  object["proplet_id"] = heartbeat.proplet_id;
  object["status"] = "alive";
  object["namespace"] = heartbeat.namespace_name;
  return json::serialize(object);
}

std::string encode(const ResultMessage& message) {
  json::object object;
  object["task_id"] = message.task_id;
  if (message.federated) {
    object["results"] = federated_results(message, *message.federated);
  } else {
    object["proplet_id"] = message.proplet_id;
    object["results"] = utf8(message.results);
  }
  object["error"] = text_or_null(message.error);
  if (message.timing) {
    json::object stages;
    for (const auto& [name, milliseconds] : message.timing->stages_ms) stages[name] = milliseconds;
    object["stages"] = std::move(stages);
    object["worker_ms"] = message.timing->worker_ms;
  }
  return json::serialize(object);
}

Result<ResultMessage> parse_result(ByteView payload, std::size_t limit) {
  TRY_ASSIGN(const auto object, read_object(payload, limit));
  Reader reader(object);
  ResultMessage message;
  message.task_id = reader.id("task_id");
  reader.require(!message.task_id.empty(), "task_id is required");
  message.proplet_id = reader.text("proplet_id");
  if (const std::string error = reader.text("error"); !error.empty()) message.error = error;
  if (reader.error()) return fail(*reader.error());

  if (const json::value* results = object.if_contains("results"); results != nullptr && !results->is_null()) {
    message.results = results->is_string() ? std::string(results->get_string()) : json::serialize(*results);
  }
  const json::value* stages = object.if_contains("stages");
  if (stages == nullptr || !stages->is_object()) return message;
  ResultMessage::Timing timing;
  for (const auto& [name, milliseconds] : stages->get_object()) {
    if (milliseconds.is_number()) timing.stages_ms.emplace_back(std::string(name), milliseconds.to_number<double>());
  }
  const json::value* worker_ms = object.if_contains("worker_ms");
  if (worker_ms != nullptr && worker_ms->is_number()) timing.worker_ms = worker_ms->to_number<double>();
  message.timing = std::move(timing);
  return message;
}

std::string encode(const InvokeResultMessage& message) {
  json::object object;
  object["task_id"] = message.task_id;
  object["invocation_id"] = message.invocation_id;
  object["proplet_id"] = message.proplet_id;
  object["results"] = utf8(message.results);
  object["error"] = text_or_null(message.error);
  return json::serialize(object);
}

}  // namespace proplet::propeller
