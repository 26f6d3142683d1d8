// Encrypted OCI layers: cipher AES_256_CTR_HMAC_SHA256 of ocicrypt, in both directions.
//
// The ciphertext has the length of the plaintext. The HMAC-SHA256 covers the ciphertext and nothing else and uses the
// same key as the cipher; it stands in the layer's annotations. `decrypt_in_place` verifies everything before it gives
// any byte out: on failure the buffer is wiped. Not thread-safe per object; objects are independent.
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/secret_bytes.h"
#include "crypto/digest.h"

namespace proplet::ocicrypt {

// org.opencontainers.image.enc.* annotations of a layer descriptor, and any others.
using Annotations = std::map<std::string, std::string>;

inline constexpr std::string_view kEncryptedSuffix = "+encrypted";
inline constexpr std::string_view kPublicOptionsKey = "org.opencontainers.image.enc.pubopts";
inline constexpr std::string_view kJweKeysKey = "org.opencontainers.image.enc.keys.jwe";
inline constexpr std::string_view kPkcs7KeysKey = "org.opencontainers.image.enc.keys.pkcs7";
inline constexpr std::string_view kProviderKeysPrefix = "org.opencontainers.image.enc.keys.provider.";
inline constexpr std::string_view kAttestationAgentKeysKey =
    "org.opencontainers.image.enc.keys.provider.attestation-agent";

inline constexpr std::string_view kAnnotationPrefix = "org.opencontainers.image.enc.";

// Whether a layer is encrypted. The media type's suffix and the annotations must agree: a layer that has one without
// the other, or the suffix twice, is ANNOTATION_INVALID, because readers would differ about what it is.
Result<bool> is_encrypted(std::string_view media_type, const Annotations& annotations);

// Public options: cleartext in the annotations.
struct PublicOptions {
  crypto::Sha256Digest hmac{};
  Bytes nonce;  // empty, or 16 bytes when an old writer put it here
};

// Private options: what the key wraps protect.
struct PrivateOptions {
  SecretBytes key;     // 32 bytes
  std::string digest;  // of the source layer; informative, never relied on
  Bytes nonce;         // 16 bytes
};

// Unknown members are ignored; another cipher, or an HMAC or nonce of the wrong length, is ANNOTATION_INVALID.
Result<PublicOptions> parse_public_options(std::string_view json_text);
// The options in the annotations of a layer.
Result<PublicOptions> public_options_of(const Annotations& annotations);
// Refuses a missing nonce and one that differs from `public_nonce` (ANNOTATION_INVALID). A key of the wrong length is
// KEY_INVALID. `public_nonce` is empty or 16 bytes.
Result<PrivateOptions> parse_private_options(ByteView json_text, ByteView public_nonce);
std::string serialize(const PublicOptions& options);
// The value of the annotation kPublicOptionsKey.
std::string public_options_annotation(const PublicOptions& options);
SecretBytes serialize(const PrivateOptions& options);

struct EncryptedLayer {
  Bytes ciphertext;
  PublicOptions public_options;
  PrivateOptions private_options;
};

// Encrypts with a fresh random key and nonce; `digest` is that of the plaintext.
EncryptedLayer encrypt_layer(ByteView plaintext, Random& random);

// Checks the HMAC over all of `layer` (MAC_MISMATCH), then decrypts in place. The caller has checked the blob's digest.
Result<SecretBytes> decrypt_in_place(SecretBytes layer, const PublicOptions& public_options,
                                     const PrivateOptions& private_options);

}  // namespace proplet::ocicrypt
