#include "crypto/jwe_message.h"

#include <array>

#include "base/encoding.h"

namespace proplet::crypto {
namespace {

constexpr std::size_t kMaxText = std::size_t{4} << 20;  // bytes: more than any resource a key broker serves
constexpr std::size_t kMaxHeader = std::size_t{16} << 10;
constexpr std::size_t kMaxRecipients = 64;
constexpr json::Limits kHeaderLimits = {.bytes = kMaxHeader, .depth = 8};

Error invalid(std::string_view reason) { return {Code::jwe_invalid, fmt::format("JWE {}", reason)}; }

Result<Bytes> decode(std::string_view text, std::string_view name) {
  auto bytes = base64url_decode(text);
  if (!bytes) return fail(invalid(fmt::format("{} is not base64url without padding", name)));
  return std::move(*bytes);
}

Result<json::object> decode_header(std::string_view text) {
  if (text.empty()) return json::object();
  if (text.size() > 2 * kMaxHeader) return fail(invalid("header is too large"));
  TRY_ASSIGN(const auto bytes, decode(text, "protected header"));
  auto header = json::parse_object(text_of(bytes), kHeaderLimits);
  if (!header) return fail(invalid("protected header is not a JSON object"));
  return std::move(*header);
}

// The three headers are one set of parameters; a name in two of them is an attack (RFC 7516 section 7.2.1).
Status merge(json::object& into, const json::object& from) {
  for (const auto& member : from) {
    if (!into.emplace(member.key(), member.value()).second) return fail(invalid("header name occurs twice"));
  }
  return {};
}

Status check_header(const json::object& header) {
  if (header.contains("crit")) return fail(invalid("with critical header parameters is not supported"));
  if (header.contains("zip")) return fail(invalid("with compression is not supported"));
  return {};
}

Status set_content(JweMessage& message, std::string_view iv, std::string_view ciphertext, std::string_view tag) {
  TRY_ASSIGN(message.iv, decode(iv, "iv"));
  TRY_ASSIGN(message.sealed, decode(ciphertext, "ciphertext"));
  TRY_ASSIGN(const auto tag_bytes, decode(tag, "tag"));
  message.tag_size = tag_bytes.size();
  message.sealed.insert(message.sealed.end(), tag_bytes.begin(), tag_bytes.end());
  return {};
}

Result<JweMessage> parse_compact(std::string_view text) {
  std::array<std::string_view, 5> parts;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto dot = text.find('.');
    const bool last = i + 1 == parts.size();
    if (last != (dot == std::string_view::npos)) return fail(invalid("does not consist of five parts"));
    parts[i] = text.substr(0, dot);
    if (!last) text.remove_prefix(dot + 1);
  }
  JweMessage message;
  message.additional_data = parts[0];
  JweRecipient recipient;
  TRY_ASSIGN(recipient.header, decode_header(parts[0]));
  TRY(check_header(recipient.header));
  TRY_ASSIGN(recipient.encrypted_key, decode(parts[1], "encrypted key"));
  TRY(set_content(message, parts[2], parts[3], parts[4]));
  message.recipients.push_back(std::move(recipient));
  return message;
}

// Missing members are empty; a header or text of the wrong type is an error.
Result<std::string> text_member(const json::object& object, std::string_view name) {
  const auto* member = object.if_contains(name);
  if (member == nullptr) return std::string();
  const auto* string = member->if_string();
  if (string == nullptr) return fail(invalid(fmt::format("member {} is not a string", name)));
  return std::string(string->data(), string->size());
}

Result<json::object> header_member(const json::object& object, std::string_view name) {
  const auto* member = object.if_contains(name);
  if (member == nullptr) return json::object();
  const auto* header = member->if_object();
  if (header == nullptr) return fail(invalid(fmt::format("member {} is not an object", name)));
  return *header;
}

Result<JweRecipient> parse_recipient(const json::object& entry, const json::object& shared) {
  JweRecipient recipient{.header = shared, .encrypted_key = {}};
  TRY_ASSIGN(const auto own, header_member(entry, "header"));
  TRY(merge(recipient.header, own));
  TRY(check_header(recipient.header));
  TRY_ASSIGN(const auto encrypted_key, text_member(entry, "encrypted_key"));
  TRY_ASSIGN(recipient.encrypted_key, decode(encrypted_key, "encrypted key"));
  return recipient;
}

// General form: go-jose repeats the first recipient's encrypted_key at the top, which is ignored.
Status add_recipients(JweMessage& message, const json::value& list, const json::object& shared) {
  const auto* entries = list.if_array();
  if (entries == nullptr || entries->empty()) return fail(invalid("recipients is not a list with an entry"));
  if (entries->size() > kMaxRecipients) return fail(invalid("has more than 64 recipients"));
  for (const auto& entry : *entries) {
    const auto* object = entry.if_object();
    if (object == nullptr) return fail(invalid("recipient is not an object"));
    TRY_ASSIGN(auto recipient, parse_recipient(*object, shared));
    message.recipients.push_back(std::move(recipient));
  }
  return {};
}

Result<JweMessage> parse_json(std::string_view text) {
  const auto object = json::parse_object(text, {.bytes = kMaxText, .depth = 8});
  if (!object) return fail(invalid("is not well-formed JSON"));
  TRY_ASSIGN(const auto protected_text, text_member(*object, "protected"));
  TRY_ASSIGN(auto shared, decode_header(protected_text));
  TRY_ASSIGN(const auto unprotected, header_member(*object, "unprotected"));
  TRY(merge(shared, unprotected));

  JweMessage message;
  message.additional_data = protected_text;
  if (object->contains("aad")) {
    TRY_ASSIGN(const auto additional, text_member(*object, "aad"));
    TRY(decode(additional, "aad"));
    message.additional_data += "." + additional;
  }
  TRY_ASSIGN(const auto iv, text_member(*object, "iv"));
  TRY_ASSIGN(const auto ciphertext, text_member(*object, "ciphertext"));
  TRY_ASSIGN(const auto tag, text_member(*object, "tag"));
  TRY(set_content(message, iv, ciphertext, tag));
  if (const auto* list = object->if_contains("recipients")) {
    if (object->contains("header")) return fail(invalid("has both a header and recipients"));
    TRY(add_recipients(message, *list, shared));
    return message;
  }
  TRY_ASSIGN(auto recipient, parse_recipient(*object, shared));
  message.recipients.push_back(std::move(recipient));
  return message;
}

}  // namespace

Result<JweMessage> parse_jwe(std::string_view text) {
  if (text.size() > kMaxText) return fail(invalid("is larger than 4 MiB"));
  const auto start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos) return fail(invalid("is empty"));
  return text[start] == '{' ? parse_json(text) : parse_compact(text);
}

}  // namespace proplet::crypto
