#include "crypto/secret_json.h"

#include "base/secret_bytes.h"

namespace proplet::crypto {
namespace {

void wipe_strings(json::value& value) {
  if (auto* string = value.if_string()) {
    wipe({reinterpret_cast<std::uint8_t*>(string->data()), string->size()});
  } else if (auto* array = value.if_array()) {
    for (auto& element : *array) wipe_strings(element);
  } else if (auto* object = value.if_object()) {
    for (auto& member : *object) wipe_strings(member.value());
  }
}

}  // namespace

Result<SecretJson> SecretJson::parse(ByteView text, json::Limits limits) {
  TRY_ASSIGN(auto object, json::parse_object(text_of(text), limits));
  return SecretJson(std::move(object));
}

SecretJson::~SecretJson() {
  for (auto& member : object_) wipe_strings(member.value());
}

Result<std::string_view> string_member(const json::object& object, std::string_view name) {
  const auto* member = object.if_contains(name);
  if (member == nullptr) return fail(Code::format_invalid, "member {} is missing", name);
  const auto* string = member->if_string();
  if (string == nullptr) return fail(Code::format_invalid, "member {} is not a string", name);
  return std::string_view(string->data(), string->size());
}

}  // namespace proplet::crypto
