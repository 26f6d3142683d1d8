#include "crypto/key.h"

#include <algorithm>
#include <optional>

#include "base/encoding.h"
#include "crypto/digest.h"
#include "crypto/jwk.h"
#include "crypto/openssl.h"
#include "crypto/secret_json.h"

namespace proplet::crypto {
namespace {

constexpr std::size_t kMaxKeyText = std::size_t{64} << 10;  // bytes of a key in any form
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 4096;
constexpr int kMaxRsaExponentBits = 64;  // larger ones only cost time

std::shared_ptr<void> shared(openssl::Key key) { return {key.release(), EVP_PKEY_free}; }

Result<KeyKind> ec_kind(const EVP_PKEY* key) {
  char name[32] = {};
  std::size_t length = 0;
  if (EVP_PKEY_get_group_name(key, name, sizeof name, &length) != 1) {
    return openssl::failure(Code::key_invalid, "EC key without a named curve");
  }
  const std::string_view curve(name, length);
  if (curve == SN_X9_62_prime256v1) return KeyKind::p256;
  if (curve == SN_secp384r1) return KeyKind::p384;
  if (curve == SN_secp521r1) return KeyKind::p521;
  return fail(Code::key_invalid, "EC keys on {} are not supported", curve);
}

Status check_rsa(const EVP_PKEY* key) {
  const int bits = EVP_PKEY_get_bits(key);
  if (bits < kMinRsaBits || bits > kMaxRsaBits) {
    return fail(Code::key_invalid, "RSA key of {} bits; {} to {} are accepted", bits, kMinRsaBits, kMaxRsaBits);
  }
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &raw) != 1) {
    return openssl::failure(Code::key_invalid, "RSA key without public exponent");
  }
  const openssl::Number exponent(raw);
  if (!BN_is_odd(raw) || BN_is_one(raw) || BN_num_bits(raw) > kMaxRsaExponentBits) {
    return fail(Code::key_invalid, "RSA public exponent out of range");
  }
  return {};
}

Status check_public_point(EVP_PKEY* key) {
  const openssl::KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  openssl::require(context != nullptr, "EVP_PKEY_CTX_new_from_pkey");
  if (EVP_PKEY_public_check(context.get()) != 1) return openssl::failure(Code::key_invalid, "invalid public key");
  return {};
}

// What kind of key this is; refuses everything outside the supported set.
Result<KeyKind> check_kind(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA")) {
    TRY(check_rsa(key));
    return KeyKind::rsa;
  }
  if (EVP_PKEY_is_a(key, "EC")) {
    TRY_ASSIGN(const auto kind, ec_kind(key));
    TRY(check_public_point(key));
    return kind;
  }
  if (EVP_PKEY_is_a(key, "ED25519")) return KeyKind::ed25519;
  return fail(Code::key_invalid, "keys of this type are not supported");
}

// Both halves must belong together: a private key with a foreign public half signs and decrypts nonsense.
Status check_pair(EVP_PKEY* key) {
  const openssl::KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  openssl::require(context != nullptr, "EVP_PKEY_CTX_new_from_pkey");
  if (EVP_PKEY_pairwise_check(context.get()) != 1) {
    ERR_clear_error();
    return fail(Code::key_invalid, "the private and the public part of the key do not belong together");
  }
  return {};
}

Result<PublicKey> accept_public(openssl::Key key) {
  TRY_ASSIGN(const auto kind, check_kind(key.get()));
  return PublicKey(shared(std::move(key)), kind);
}

Result<PrivateKey> accept_private(openssl::Key key) {
  TRY_ASSIGN(const auto kind, check_kind(key.get()));
  TRY(check_pair(key.get()));
  return PrivateKey(shared(std::move(key)), kind);
}

openssl::Stream reader(ByteView bytes) {
  openssl::Stream stream(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  openssl::require(stream != nullptr, "BIO_new_mem_buf");
  return stream;
}

// Encrypted PEM is refused; without this OpenSSL would ask on the terminal.
int no_password(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*context*/) { return -1; }

Result<PrivateKey> private_from_der(ByteView der) {
  const auto* position = der.data();
  openssl::Key key(d2i_AutoPrivateKey_ex(nullptr, &position, static_cast<long>(der.size()), nullptr, nullptr));
  if (key == nullptr) return openssl::failure(Code::key_invalid, "neither PEM, JWK nor a DER private key");
  if (position != der.data() + der.size()) return fail(Code::key_invalid, "bytes after the end of the DER key");
  return accept_private(std::move(key));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto start = text.find_first_not_of(kSpace);
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(kSpace) - start + 1);
}

// Key brokers are filled by hand, with base64 or hex of what they should hold, too.
std::optional<SecretBytes> decode_text(std::string_view text) {
  auto decoded = hex_decode_secret(text);
  if (!decoded) decoded = base64_decode_secret(text);
  if (!decoded || decoded->empty()) return std::nullopt;
  return std::move(*decoded);
}

}  // namespace

std::string_view key_kind_name(KeyKind kind) {
  switch (kind) {
    case KeyKind::rsa:
      return "RSA";
    case KeyKind::p256:
      return "P-256";
    case KeyKind::p384:
      return "P-384";
    case KeyKind::p521:
      return "P-521";
    case KeyKind::ed25519:
      return "Ed25519";
  }
  std::abort();
}

Result<PublicKey> PublicKey::from_pem(std::string_view pem) {
  if (pem.size() > kMaxKeyText) return fail(Code::key_invalid, "public key of {} bytes", pem.size());
  const auto stream = reader(bytes_of(pem));
  openssl::Key key(PEM_read_bio_PUBKEY(stream.get(), nullptr, no_password, nullptr));
  if (key == nullptr) return openssl::failure(Code::key_invalid, "not a PEM public key");
  return accept_public(std::move(key));
}

Result<PublicKey> PublicKey::from_any(std::string_view text) {
  if (!trimmed(text).starts_with('{')) return from_pem(text);
  const auto jwk = json::parse_object(text, {.bytes = kMaxKeyText, .depth = 4});
  if (!jwk) return fail(Code::key_invalid, "the JWK is not well-formed JSON");
  return from_jwk(*jwk);
}

Result<PublicKey> PublicKey::from_jwk(const json::object& jwk) {
  TRY_ASSIGN(auto key, jwk::import_public(jwk));
  return accept_public(std::move(key));
}

std::string PublicKey::to_pem() const {
  const openssl::Stream stream(BIO_new(BIO_s_mem()));
  openssl::require(stream != nullptr, "BIO_new");
  openssl::require(PEM_write_bio_PUBKEY(stream.get(), static_cast<EVP_PKEY*>(key_.get())) == 1, "PEM_write_bio_PUBKEY");
  char* data = nullptr;
  const auto size = BIO_get_mem_data(stream.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

json::object PublicKey::to_jwk() const { return jwk::export_public(static_cast<EVP_PKEY*>(key_.get()), kind_); }

std::string PublicKey::thumbprint() const {
  // RFC 7638 section 3: the required members only, sorted, without white space.
  return base64url_encode(sha256(bytes_of(json::canonical(to_jwk()))));
}

Result<PrivateKey> PrivateKey::generate(KeyKind kind) {
  EVP_PKEY* key = nullptr;
  switch (kind) {
    case KeyKind::rsa:
      key = EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{kMinRsaBits});
      break;
    case KeyKind::p256:
    case KeyKind::p384:
    case KeyKind::p521:
      key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", std::string(key_kind_name(kind)).c_str());
      break;
    case KeyKind::ed25519:
      key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
      break;
  }
  if (key == nullptr) return openssl::failure(Code::crypto_failed, "cannot generate a key");
  return PrivateKey(shared(openssl::Key(key)), kind);
}

Result<PrivateKey> PrivateKey::from_pem(std::string_view pem) {
  if (pem.size() > kMaxKeyText) return fail(Code::key_invalid, "private key of {} bytes", pem.size());
  const auto stream = reader(bytes_of(pem));
  openssl::Key key(PEM_read_bio_PrivateKey(stream.get(), nullptr, no_password, nullptr));
  if (key == nullptr) return openssl::failure(Code::key_invalid, "not an unencrypted PEM private key");
  return accept_private(std::move(key));
}

Result<PrivateKey> PrivateKey::from_any(ByteView bytes) {
  if (bytes.size() > kMaxKeyText) return fail(Code::key_invalid, "private key of {} bytes", bytes.size());
  const auto text = trimmed(text_of(bytes));
  if (text.starts_with("-----BEGIN ")) return from_pem(text);
  if (!text.starts_with('{')) {
    const auto decoded = decode_text(text);
    if (!decoded) return private_from_der(bytes);
    const bool pem = text_of(decoded->view()).starts_with("-----BEGIN ");
    return pem ? from_pem(text_of(decoded->view())) : private_from_der(decoded->view());
  }
  const auto jwk = SecretJson::parse(bytes, {.bytes = kMaxKeyText, .depth = 4});
  if (!jwk) return fail(Code::key_invalid, "the JWK is not well-formed JSON");
  return from_jwk(jwk->object());
}

Result<PrivateKey> PrivateKey::from_jwk(const json::object& jwk) {
  TRY_ASSIGN(auto key, jwk::import_private(jwk));
  return accept_private(std::move(key));
}

Result<PrivateKey> PrivateKey::from_ec_scalar(KeyKind kind, ByteView scalar) {
  TRY_ASSIGN(auto key, jwk::import_scalar(kind, scalar));
  return accept_private(std::move(key));
}

PublicKey PrivateKey::public_key() const {
  // A key of its own, so that no private half hides in a PublicKey.
  auto key = jwk::import_public(jwk::export_public(static_cast<EVP_PKEY*>(key_.get()), kind_));
  openssl::require(key.has_value(), "export of the public half");
  return PublicKey(shared(std::move(*key)), kind_);
}

SecretBytes PrivateKey::to_pem() const {
  const openssl::Stream stream(BIO_new(BIO_s_secmem()));
  openssl::require(stream != nullptr, "BIO_new");
  auto* const key = static_cast<EVP_PKEY*>(key_.get());
  openssl::require(PEM_write_bio_PrivateKey(stream.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
                   "PEM_write_bio_PrivateKey");
  char* data = nullptr;
  const auto size = static_cast<std::size_t>(BIO_get_mem_data(stream.get(), &data));
  auto pem = SecretBytes::copy_of({reinterpret_cast<const std::uint8_t*>(data), size});
  OPENSSL_cleanse(data, size);
  return pem;
}

}  // namespace proplet::crypto
