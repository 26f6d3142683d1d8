// Asymmetric keys: RSA (2048 to 4096 bits), EC on P-256, P-384 and P-521, and Ed25519.
//
// PrivateKey and PublicKey own an OpenSSL EVP_PKEY. They move; a PublicKey also copies. Both are immutable after
// construction and may be read from any thread. Parsers check that an EC point lies on its curve. JWK is RFC 7517/7518:
// EC coordinates are fixed-length big-endian, RSA numbers minimal. Malformed or unsupported keys are KEY_INVALID;
// messages never contain key material.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"
#include "base/secret_bytes.h"

namespace proplet::crypto {

enum class KeyKind : std::uint8_t { rsa, p256, p384, p521, ed25519 };

// "RSA", "P-256", ...
std::string_view key_kind_name(KeyKind kind);

class PublicKey {
 public:
  // PEM SubjectPublicKeyInfo ("PUBLIC KEY").
  static Result<PublicKey> from_pem(std::string_view pem);
  // PEM or JWK.
  static Result<PublicKey> from_any(std::string_view text);
  // kty EC, RSA or OKP. Members other than the key's own are ignored.
  static Result<PublicKey> from_jwk(const json::object& jwk);

  [[nodiscard]] KeyKind kind() const { return kind_; }
  [[nodiscard]] std::string to_pem() const;
  // The members of the key itself and nothing else: {kty,crv,x,y}, {kty,n,e} or {kty,crv,x}.
  [[nodiscard]] json::object to_jwk() const;
  // RFC 7638 thumbprint with SHA-256, base64url.
  [[nodiscard]] std::string thumbprint() const;

  // For the other files of this folder: an EVP_PKEY*.
  [[nodiscard]] void* native() const { return key_.get(); }
  PublicKey(std::shared_ptr<void> key, KeyKind kind) : key_(std::move(key)), kind_(kind) {}

 private:
  std::shared_ptr<void> key_;  // shared: OpenSSL counts references itself and the key never changes
  KeyKind kind_;
};

class PrivateKey {
 public:
  static Result<PrivateKey> generate(KeyKind kind);  // RSA: 2048 bits
  // PEM: PKCS#8 ("PRIVATE KEY"), PKCS#1 ("RSA PRIVATE KEY"), SEC1 ("EC PRIVATE KEY"). Not encrypted.
  static Result<PrivateKey> from_pem(std::string_view pem);
  // PEM, DER PKCS#8/PKCS#1/SEC1, base64 or hex of these, or a JWK with private members: whatever `bytes` turn out to
  // be. White space around text is ignored, and so is a certificate beside a key in PEM.
  static Result<PrivateKey> from_any(ByteView bytes);
  static Result<PrivateKey> from_jwk(const json::object& jwk);
  // The big-endian private scalar of an EC key on `kind`'s curve.
  static Result<PrivateKey> from_ec_scalar(KeyKind kind, ByteView scalar);

  [[nodiscard]] KeyKind kind() const { return kind_; }
  [[nodiscard]] PublicKey public_key() const;
  // PKCS#8 PEM text.
  [[nodiscard]] SecretBytes to_pem() const;

  [[nodiscard]] void* native() const { return key_.get(); }
  PrivateKey(std::shared_ptr<void> key, KeyKind kind) : key_(std::move(key)), kind_(kind) {}

 private:
  std::shared_ptr<void> key_;  // shared: OpenSSL counts references itself and the key never changes
  KeyKind kind_;
};

// ECDH: the x-coordinate of the shared point, big-endian, padded to the field size (32, 48 or 66 bytes). Both keys must
// be on the same curve.
Result<SecretBytes> ecdh(const PrivateKey& own, const PublicKey& peer);

// RSAES-OAEP with an empty label; MGF1 uses the same hash.
enum class OaepHash : std::uint8_t { sha1, sha256 };
Result<Bytes> rsa_oaep_encrypt(const PublicKey& key, OaepHash hash, ByteView plaintext);
Result<SecretBytes> rsa_oaep_decrypt(const PrivateKey& key, OaepHash hash, ByteView ciphertext);

// RSAES-PKCS1-v1_5, for cms.cc alone: it tempts its callers into telling whether the padding was right. So this never
// fails: what is not a key of the substitute's size under right padding gives `substitute`. `key` must be RSA.
SecretBytes rsa_pkcs1_decrypt(const PrivateKey& key, ByteView ciphertext, SecretBytes substitute);

// A signature over `message`: for P-256 ECDSA with SHA-256 as r ‖ s, 64 bytes (ES256, RFC 7518 section 3.4); for
// Ed25519 EdDSA, 64 bytes (RFC 8037 section 3.1). KEY_INVALID for other kinds.
Result<Bytes> sign(const PrivateKey& key, ByteView message);
// False for a signature that does not fit and for keys that cannot sign.
bool verify(const PublicKey& key, ByteView message, ByteView signature);

// Concat KDF of RFC 7518 section 4.6.2 with SHA-256: `key_size` bytes for `algorithm` ("ECDH-ES+A256KW").
SecretBytes concat_kdf(ByteView shared_secret, std::string_view algorithm, ByteView party_u, ByteView party_v,
                       std::size_t key_size);

}  // namespace proplet::crypto
