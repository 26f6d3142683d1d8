// The packet of the key provider "attestation-agent", and the key encryption keys that open it.
#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "base/json.h"
#include "crypto/cipher.h"
#include "crypto/secret_json.h"
#include "ocicrypt/key_wrap.h"

namespace proplet::ocicrypt {
namespace {

constexpr std::size_t kMaxPacket = std::size_t{64} << 10;      // bytes of a packet's JSON text
constexpr std::size_t kMaxKeyId = 1024;                        // characters
constexpr std::size_t kMaxKeyResource = std::size_t{4} << 10;  // bytes of a key encryption key in any form
constexpr std::size_t kKeySize = crypto::kAes256KeySize;
constexpr std::size_t kBase64Size = 44;          // characters for 32 bytes, padded
constexpr std::size_t kUnpaddedBase64Size = 43;  // the same without padding
constexpr std::size_t kHexSize = 64;
constexpr std::string_view kPacketVersion = "0.1.0";
constexpr std::string_view kPacketProvider = "kbs";

// Confidential Containers documents this key and id for demonstrations: whoever wraps with them protects nothing.
constexpr std::array<std::uint8_t, kKeySize> kPublishedSampleKey = {
    0xd9, 0x9b, 0x77, 0x05, 0xb0, 0xba, 0x7a, 0x16, 0x82, 0x95, 0xb3, 0xa3, 0x36, 0x72, 0x70, 0xb0,
    0xdd, 0x9b, 0x37, 0x1b, 0xf5, 0x14, 0xca, 0x8b, 0x9b, 0xa7, 0xf0, 0xa3, 0x37, 0x11, 0xda, 0xea};
constexpr std::string_view kPublishedSamplePath = "default/test-key/1";

tl::unexpected<Error> invalid(std::string_view what) { return fail(Code::annotation_invalid, "key packet: {}", what); }

// The same resource whatever scheme and host are written before it.
bool names_sample_key(std::string_view key_id) {
  if (!key_id.ends_with(kPublishedSamplePath)) return false;
  return key_id.size() == kPublishedSamplePath.size() || key_id[key_id.size() - kPublishedSamplePath.size() - 1] == '/';
}

Status check_key_id(std::string_view key_id) {
  if (key_id.empty() || key_id.size() > kMaxKeyId) return invalid("kid is empty or too long");
  const bool printable = std::ranges::all_of(key_id, [](char c) { return c > ' ' && c < 0x7f; });
  if (!printable) return invalid("kid has characters outside printable ASCII");
  if (key_id.find("://") != std::string_view::npos && !key_id.starts_with("kbs://")) {
    return invalid("kid is no resource of a key broker (kbs:///repository/type/tag)");
  }
  if (names_sample_key(key_id)) return invalid("kid is the published sample key, which protects nothing");
  return {};
}

// Members of the newer packet (version 2). Absent, they mean what version 1 meant.
Status check_fixed(const json::object& packet, std::string_view name, std::string_view expected) {
  if (!packet.contains(name)) return {};
  const auto text = crypto::string_member(packet, name);
  if (!text || *text != expected) return invalid(fmt::format("{} is not {}", name, expected));
  return {};
}

// Before 2023 packets held arrays of integers, and other names for the same algorithms.
bool is_historic(const json::object& packet) {
  const auto* member = packet.if_contains("wrapped_data");
  return member != nullptr && member->is_array();
}

Result<Bytes> integers_member(const json::object& packet, std::string_view name) {
  const auto* member = packet.if_contains(name);
  const auto* integers = member == nullptr ? nullptr : member->if_array();
  if (integers == nullptr) return invalid(fmt::format("{} is not an array of integers as the other member is", name));
  Bytes bytes;
  bytes.reserve(integers->size());
  for (const auto& integer : *integers) {
    const auto* number = integer.if_int64();
    if (number == nullptr || *number < 0 || *number > 0xff) return invalid(fmt::format("{} holds no bytes", name));
    bytes.push_back(static_cast<std::uint8_t>(*number));
  }
  return bytes;
}

Result<Bytes> base64_member(const json::object& packet, std::string_view name) {
  const auto text = crypto::string_member(packet, name);
  if (!text) return invalid(fmt::format("{} is missing or not a string", name));
  auto bytes = base64_decode(*text);
  if (!bytes) return invalid(fmt::format("{} is not base64", name));
  return std::move(*bytes);
}

Result<ProviderPacket::WrapType> wrap_type_of(const json::object& packet, bool historic) {
  const auto text = crypto::string_member(packet, "wrap_type");
  if (!text) return invalid("wrap_type is missing or not a string");
  if (historic) {
    if (*text == "aes-gcm" || *text == "aes-gcm-256") return ProviderPacket::WrapType::a256gcm;
    if (*text == "aes_256_ctr") return ProviderPacket::WrapType::a256ctr;
    return invalid("wrap_type is none that packets of integers had");
  }
  if (*text == "A256GCM") return ProviderPacket::WrapType::a256gcm;
  if (*text == "A256CTR") return ProviderPacket::WrapType::a256ctr;
  return invalid("wrap_type is neither A256GCM nor A256CTR");
}

Status check_sizes(const ProviderPacket& packet) {
  const bool gcm = packet.wrap_type == ProviderPacket::WrapType::a256gcm;
  const auto iv_size = gcm ? crypto::kGcmNonceSize : crypto::kCtrNonceSize;
  if (packet.iv.size() != iv_size) return invalid(fmt::format("iv has {} bytes, not {}", packet.iv.size(), iv_size));
  if (packet.wrapped_data.size() <= (gcm ? crypto::kGcmTagSize : 0)) return invalid("wrapped_data is too short");
  return {};
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const auto start = text.find_first_not_of(kSpace);
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(kSpace) - start + 1);
}

Result<SecretBytes> decode_unpadded(std::string_view text) {
  if (text.find_first_of("+/") == std::string_view::npos) return base64url_decode_secret(text);
  SecretBytes padded(text.size() + 1);
  std::ranges::copy(bytes_of(text), padded.mutable_view().begin());
  padded.mutable_view().back() = '=';
  return base64_decode_secret(text_of(padded.view()));
}

// A JWK of type "oct" (RFC 7518 section 6.4).
Result<SecretBytes> decode_oct_jwk(std::string_view text) {
  TRY_ASSIGN(const auto jwk, crypto::SecretJson::parse(bytes_of(text), {.bytes = kMaxKeyResource, .depth = 4}));
  TRY_ASSIGN(const auto type, crypto::string_member(jwk.object(), "kty"));
  if (type != "oct") return fail(Code::key_invalid, "the JWK is not of type oct");
  TRY_ASSIGN(const auto key, crypto::string_member(jwk.object(), "k"));
  return base64url_decode_secret(key);
}

// The forms differ in length, so that no resource has two readings.
Result<SecretBytes> decode_any_form(ByteView resource) {
  if (resource.size() == kKeySize) return SecretBytes::copy_of(resource);
  if (resource.size() > kMaxKeyResource) return fail(Code::size_limit, "too long");
  const auto text = trimmed(text_of(resource));
  if (text.size() == kBase64Size) return base64_decode_secret(text);
  if (text.size() == kUnpaddedBase64Size) return decode_unpadded(text);
  if (text.size() == kHexSize && !text.starts_with('{')) return hex_decode_secret(text);
  if (text.starts_with('{')) return decode_oct_jwk(text);
  return fail(Code::format_invalid, "no known form");
}

}  // namespace

Result<ProviderPacket> parse_provider_packet(std::string_view json_text) {
  const auto object = json::parse_object(json_text, {.bytes = kMaxPacket, .depth = 8});
  if (!object) return invalid("not a JSON object");
  TRY(check_fixed(*object, "version", kPacketVersion));
  TRY(check_fixed(*object, "provider", kPacketProvider));
  const auto key_id = crypto::string_member(*object, "kid");
  if (!key_id) return invalid("kid is missing or not a string");
  TRY(check_key_id(*key_id));
  ProviderPacket packet;
  packet.key_id = *key_id;
  const bool historic = is_historic(*object);
  const auto bytes_member = historic ? integers_member : base64_member;
  TRY_ASSIGN(packet.wrapped_data, bytes_member(*object, "wrapped_data"));
  TRY_ASSIGN(packet.iv, bytes_member(*object, "iv"));
  TRY_ASSIGN(packet.wrap_type, wrap_type_of(*object, historic));
  TRY(check_sizes(packet));
  return packet;
}

std::string serialize(const ProviderPacket& packet) {
  const bool gcm = packet.wrap_type == ProviderPacket::WrapType::a256gcm;
  const json::object object = {{"kid", packet.key_id},
                               {"wrapped_data", base64_encode(packet.wrapped_data)},
                               {"iv", base64_encode(packet.iv)},
                               {"wrap_type", gcm ? "A256GCM" : "A256CTR"}};
  return json::serialize(object);
}

Result<ProviderPacket> wrap_with_kek(ByteView key_encryption_key, std::string_view key_id,
                                     const PrivateOptions& options, Random& random) {
  TRY(check_key_id(key_id));
  TRY(check_key_encryption_key(key_encryption_key));
  ProviderPacket packet;
  packet.key_id = key_id;
  packet.iv.resize(crypto::kGcmNonceSize);
  random.fill(packet.iv);
  const auto plaintext = serialize(options);
  TRY_ASSIGN(packet.wrapped_data, crypto::aes_gcm_seal(key_encryption_key, packet.iv, {}, plaintext.view()));
  return packet;
}

Result<SecretBytes> open_packet(const ProviderPacket& packet, ByteView key_encryption_key) {
  if (packet.wrap_type == ProviderPacket::WrapType::a256gcm) {
    return crypto::aes_gcm_open(key_encryption_key, packet.iv, {}, packet.wrapped_data);
  }
  TRY_ASSIGN(auto cipher, crypto::AesCtr::create(key_encryption_key, packet.iv));
  SecretBytes opened(packet.wrapped_data.size());
  cipher.apply(packet.wrapped_data, opened.mutable_view());
  return opened;
}

Status check_key_encryption_key(ByteView key_encryption_key) {
  if (key_encryption_key.size() != kKeySize) {
    return fail(Code::key_invalid, "key encryption key has {} bytes, not 32", key_encryption_key.size());
  }
  if (equal_constant_time(key_encryption_key, kPublishedSampleKey)) {
    return fail(Code::key_invalid, "key encryption key is the published sample key, which protects nothing");
  }
  return {};
}

Result<SecretBytes> decode_key_encryption_key(ByteView resource) {
  auto key = decode_any_form(resource);
  if (!key || key->size() != kKeySize) {
    return fail(Code::key_invalid,
                "the key resource of {} bytes is not a 32-byte key: raw, base64, base64url, hex or JWK of type oct",
                resource.size());
  }
  TRY(check_key_encryption_key(key->view()));
  return std::move(*key);
}

}  // namespace proplet::ocicrypt
