#include "ocicrypt/key_provider.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/encoding.h"
#include "base/json.h"
#include "crypto/secret_json.h"

namespace proplet::ocicrypt {
namespace {

constexpr std::string_view kSeparator = "::";
constexpr std::string_view kNoParameters = "Enabled";
constexpr std::size_t kMaxBytes = std::size_t{1} << 20;  // of options or a packet

tl::unexpected<Error> invalid(std::string_view what) {
  return fail(Code::message_invalid, "key provider request: {}", what);
}

// A member that is an object, or nothing when it is null or absent.
Result<const json::object*> object_member(const json::object& parent, std::string_view name) {
  const auto* member = parent.if_contains(name);
  if (member == nullptr || member->is_null()) return nullptr;
  const auto* object = member->if_object();
  if (object == nullptr) return invalid(fmt::format("{} is not an object", name));
  return object;
}

// Base64 or an array of integers. Options may also be their own text, which starts with a brace (ocicrypt-rs).
Result<SecretBytes> bytes_member(const json::object& parent, std::string_view name, bool may_be_text) {
  const auto* member = parent.if_contains(name);
  if (const auto* text = member == nullptr ? nullptr : member->if_string()) {
    const std::string_view view(*text);
    auto decoded = base64_decode_secret(view);
    if (decoded && !decoded->empty()) return decoded;
    if (may_be_text && view.starts_with('{')) return SecretBytes::copy_of(bytes_of(view));
    return invalid(fmt::format("{} is not base64", name));
  }
  const auto* integers = member == nullptr ? nullptr : member->if_array();
  if (integers == nullptr || integers->empty() || integers->size() > kMaxBytes) {
    return invalid(fmt::format("{} is missing", name));
  }
  SecretBytes bytes(integers->size());
  for (std::size_t i = 0; i < integers->size(); ++i) {
    const auto* number = (*integers)[i].if_int64();
    if (number == nullptr || *number < 0 || *number > 0xff) return invalid(fmt::format("{} holds no bytes", name));
    bytes.mutable_view()[i] = static_cast<std::uint8_t>(*number);
  }
  return bytes;
}

Status add_items(std::string_view text, KeyProviderRequest& request) {
  if (text == kNoParameters || text.empty()) return {};
  while (true) {
    const auto end = std::min(text.find(kSeparator), text.size());
    const auto item = text.substr(0, end);
    const auto equals = item.find('=');
    if (equals == 0 || equals == std::string_view::npos) return invalid("a parameter is not of the form key=value");
    if (!request.parameters.emplace(item.substr(0, equals), item.substr(equals + 1)).second) {
      return invalid("a parameter occurs twice");
    }
    if (end == text.size()) return {};
    text.remove_prefix(end + kSeparator.size());
  }
}

// {"Parameters":{"<provider>":["<base64>"]}}. Says whether there was an entry for the provider.
Result<bool> read_parameters(const json::object& config, std::string_view provider, KeyProviderRequest& request) {
  TRY_ASSIGN(const auto* parameters, object_member(config, "Parameters"));
  const auto* entry = parameters == nullptr ? nullptr : parameters->if_contains(provider);
  if (entry == nullptr || entry->is_null()) return false;
  const auto* values = entry->if_array();
  if (values == nullptr || values->size() != 1) return invalid("the provider's parameters are not a list of one text");
  const auto* value = values->front().if_string();
  const auto text = value == nullptr ? Result<Bytes>(invalid("")) : base64_decode(std::string_view(*value));
  if (!text) return invalid("the provider's parameters are not base64");
  TRY(add_items(text_of(*text), request));
  return true;
}

Result<KeyProviderRequest> parse_wrap(const json::object& parameters, std::string_view provider) {
  KeyProviderRequest request{.operation = KeyProviderRequest::Operation::wrap};
  TRY_ASSIGN(const auto* config, object_member(parameters, "ec"));
  bool meant = false;
  if (config != nullptr) {
    TRY_ASSIGN(meant, read_parameters(*config, provider, request));
  }
  if (!meant) return invalid(fmt::format("nothing for provider {}", provider));
  TRY_ASSIGN(request.options, bytes_member(parameters, "optsdata", true));
  return request;
}

Result<KeyProviderRequest> parse_unwrap(const json::object& parameters, std::string_view provider) {
  KeyProviderRequest request{.operation = KeyProviderRequest::Operation::unwrap};
  TRY_ASSIGN(const auto* config, object_member(parameters, "dc"));
  if (config != nullptr) TRY(read_parameters(*config, provider, request));
  TRY_ASSIGN(const auto packet, bytes_member(parameters, "annotation", false));
  request.packet.assign(packet.view().begin(), packet.view().end());
  return request;
}

void append(SecretBytes& text, std::size_t& size, std::string_view piece) {
  std::ranges::copy(bytes_of(piece), text.mutable_view().begin() + static_cast<std::ptrdiff_t>(size));
  size += piece.size();
}

// {"<outer>":{"<inner>":[1,2,3]}}
SecretBytes answer(std::string_view outer, std::string_view inner, ByteView bytes) {
  constexpr std::size_t kMaxNumber = 4;  // "255,"
  SecretBytes text(outer.size() + inner.size() + 16 + bytes.size() * kMaxNumber);
  std::size_t size = 0;
  append(text, size, "{\"");
  append(text, size, outer);
  append(text, size, "\":{\"");
  append(text, size, inner);
  append(text, size, "\":[");
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::array<char, 3> digits{};
    const auto* end = std::to_chars(digits.begin(), digits.end(), bytes[i]).ptr;
    if (i > 0) append(text, size, ",");
    append(text, size, {digits.data(), end});
  }
  append(text, size, "]}}");
  text.truncate(size);
  return text;
}

}  // namespace

Result<KeyProviderRequest> parse_key_provider_request(ByteView json_text, std::string_view provider) {
  const auto json = crypto::SecretJson::parse(json_text, {.bytes = kMaxKeyProviderMessage, .depth = 8});
  if (!json) return invalid("not a JSON object");
  const auto operation = crypto::string_member(json->object(), "op");
  if (!operation) return invalid("op is missing");
  const bool wrap = *operation == "keywrap";
  if (!wrap && *operation != "keyunwrap") return invalid("op is neither keywrap nor keyunwrap");
  TRY_ASSIGN(const auto* parameters, object_member(json->object(), wrap ? "keywrapparams" : "keyunwrapparams"));
  if (parameters == nullptr) return invalid("its parameters are missing");
  return wrap ? parse_wrap(*parameters, provider) : parse_unwrap(*parameters, provider);
}

SecretBytes wrap_answer(std::string_view packet) { return answer("keywrapresults", "annotation", bytes_of(packet)); }

SecretBytes unwrap_answer(ByteView private_options) { return answer("keyunwrapresults", "optsdata", private_options); }

}  // namespace proplet::ocicrypt
