// Key agreement, RSA-OAEP, signatures and the key derivation that belongs to them.
#include <openssl/rsa.h>

#include <algorithm>
#include <array>

#include "crypto/digest.h"
#include "crypto/jwk.h"
#include "crypto/key.h"
#include "crypto/openssl.h"

namespace proplet::crypto {
namespace {

constexpr std::size_t kEs256HalfSize = 32;
constexpr std::size_t kSignatureSize = 64;  // ES256 as r ‖ s, and Ed25519

template <class AnyKey>
EVP_PKEY* native(const AnyKey& key) {
  return static_cast<EVP_PKEY*>(key.native());
}

openssl::KeyContext context_for(EVP_PKEY* key) {
  openssl::KeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  openssl::require(context != nullptr, "EVP_PKEY_CTX_new_from_pkey");
  return context;
}

openssl::DigestContext new_digest_context() {
  openssl::DigestContext context(EVP_MD_CTX_new());
  openssl::require(context != nullptr, "EVP_MD_CTX_new");
  return context;
}

void set_oaep(EVP_PKEY_CTX* context, OaepHash hash) {
  const auto* md = hash == OaepHash::sha1 ? openssl::sha1() : openssl::sha256();
  openssl::require(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1, "EVP_PKEY_CTX_set_rsa_padding");
  openssl::require(EVP_PKEY_CTX_set_rsa_oaep_md(context, md) == 1, "EVP_PKEY_CTX_set_rsa_oaep_md");
  openssl::require(EVP_PKEY_CTX_set_rsa_mgf1_md(context, md) == 1, "EVP_PKEY_CTX_set_rsa_mgf1_md");
}

// EdDSA hashes inside, so it takes no digest.
const EVP_MD* signature_digest(KeyKind kind) { return kind == KeyKind::p256 ? openssl::sha256() : nullptr; }

bool can_sign(KeyKind kind) { return kind == KeyKind::p256 || kind == KeyKind::ed25519; }

// EVP speaks the DER form of RFC 3279; JWS the concatenation of RFC 7518 section 3.4.
Bytes raw_from_der(ByteView der) {
  const auto* position = der.data();
  const openssl::EcdsaSignature signature(d2i_ECDSA_SIG(nullptr, &position, static_cast<long>(der.size())));
  openssl::require(signature != nullptr, "d2i_ECDSA_SIG");
  Bytes raw(kSignatureSize);
  const auto half = static_cast<int>(kEs256HalfSize);
  openssl::require(BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), raw.data(), half) == half, "BN_bn2binpad");
  openssl::require(BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), raw.data() + half, half) == half, "BN_bn2binpad");
  return raw;
}

Bytes der_from_raw(ByteView raw) {
  const openssl::EcdsaSignature signature(ECDSA_SIG_new());
  openssl::require(signature != nullptr, "ECDSA_SIG_new");
  const auto half = static_cast<int>(kEs256HalfSize);
  openssl::Number r(BN_bin2bn(raw.data(), half, nullptr));
  openssl::Number s(BN_bin2bn(raw.data() + half, half, nullptr));
  openssl::require(r != nullptr && s != nullptr, "BN_bin2bn");
  openssl::require(ECDSA_SIG_set0(signature.get(), r.release(), s.release()) == 1, "ECDSA_SIG_set0");
  const int size = i2d_ECDSA_SIG(signature.get(), nullptr);
  openssl::require(size > 0, "i2d_ECDSA_SIG");
  Bytes der(static_cast<std::size_t>(size));
  auto* position = der.data();
  openssl::require(i2d_ECDSA_SIG(signature.get(), &position) == size, "i2d_ECDSA_SIG");
  return der;
}

std::array<std::uint8_t, 4> big_endian(std::size_t number) {
  return {static_cast<std::uint8_t>(number >> 24), static_cast<std::uint8_t>(number >> 16),
          static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
}

}  // namespace

Result<SecretBytes> ecdh(const PrivateKey& own, const PublicKey& peer) {
  const auto size = jwk::field_size(own.kind());
  if (size == 0) return fail(Code::key_invalid, "{} keys have no key agreement", key_kind_name(own.kind()));
  if (own.kind() != peer.kind()) return fail(Code::key_invalid, "key agreement between different curves");
  const auto context = context_for(native(own));
  if (EVP_PKEY_derive_init(context.get()) != 1 || EVP_PKEY_derive_set_peer(context.get(), native(peer)) != 1) {
    return openssl::failure(Code::key_invalid, "key agreement");
  }
  SecretBytes shared(size);
  std::size_t written = size;
  if (EVP_PKEY_derive(context.get(), shared.mutable_view().data(), &written) != 1) {
    return openssl::failure(Code::key_invalid, "key agreement");
  }
  openssl::require(written == size, "EVP_PKEY_derive");
  return shared;
}

Result<Bytes> rsa_oaep_encrypt(const PublicKey& key, OaepHash hash, ByteView plaintext) {
  if (key.kind() != KeyKind::rsa) return fail(Code::key_invalid, "RSA-OAEP with a {} key", key_kind_name(key.kind()));
  const auto context = context_for(native(key));
  openssl::require(EVP_PKEY_encrypt_init(context.get()) == 1, "EVP_PKEY_encrypt_init");
  set_oaep(context.get(), hash);
  Bytes ciphertext(static_cast<std::size_t>(EVP_PKEY_get_size(native(key))));
  auto written = ciphertext.size();
  if (EVP_PKEY_encrypt(context.get(), ciphertext.data(), &written, plaintext.data(), plaintext.size()) != 1) {
    return openssl::failure(Code::crypto_failed, "RSA-OAEP encryption");
  }
  ciphertext.resize(written);
  return ciphertext;
}

Result<SecretBytes> rsa_oaep_decrypt(const PrivateKey& key, OaepHash hash, ByteView ciphertext) {
  if (key.kind() != KeyKind::rsa) return fail(Code::key_invalid, "RSA-OAEP with a {} key", key_kind_name(key.kind()));
  const auto context = context_for(native(key));
  openssl::require(EVP_PKEY_decrypt_init(context.get()) == 1, "EVP_PKEY_decrypt_init");
  set_oaep(context.get(), hash);
  SecretBytes plaintext(static_cast<std::size_t>(EVP_PKEY_get_size(native(key))));
  auto written = plaintext.size();
  const auto opened =
      EVP_PKEY_decrypt(context.get(), plaintext.mutable_view().data(), &written, ciphertext.data(), ciphertext.size());
  if (opened != 1) {
    ERR_clear_error();  // why it failed would help an attacker (Manger's attack)
    return fail(Code::unwrap_failed, "RSA-OAEP decryption failed");
  }
  plaintext.truncate(written);
  return plaintext;
}

SecretBytes rsa_pkcs1_decrypt(const PrivateKey& key, ByteView ciphertext, SecretBytes substitute) {
  const auto context = context_for(native(key));
  openssl::require(EVP_PKEY_decrypt_init(context.get()) == 1, "EVP_PKEY_decrypt_init");
  openssl::require(EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) == 1, "EVP_PKEY_CTX_set_rsa_padding");
  SecretBytes plaintext(static_cast<std::size_t>(EVP_PKEY_get_size(native(key))));
  auto* const out = plaintext.mutable_view().data();
  auto written = plaintext.size();
  const int opened = EVP_PKEY_decrypt(context.get(), out, &written, ciphertext.data(), ciphertext.size());
  ERR_clear_error();
  // Chosen by mask, not by branch: both ways take the same time.
  const auto good = static_cast<std::uint8_t>(opened == 1 && written == substitute.size() ? 0xff : 0);
  for (std::size_t i = 0; i < substitute.size(); ++i) {
    auto& byte = substitute.mutable_view()[i];
    byte = static_cast<std::uint8_t>((plaintext.view()[i] & good) | (byte & static_cast<std::uint8_t>(~good)));
  }
  return substitute;
}

Result<Bytes> sign(const PrivateKey& key, ByteView message) {
  if (!can_sign(key.kind())) return fail(Code::key_invalid, "{} keys do not sign here", key_kind_name(key.kind()));
  const auto context = new_digest_context();
  openssl::require(EVP_DigestSignInit(context.get(), nullptr, signature_digest(key.kind()), nullptr, native(key)) == 1,
                   "EVP_DigestSignInit");
  Bytes signature(static_cast<std::size_t>(EVP_PKEY_get_size(native(key))));
  auto written = signature.size();
  if (EVP_DigestSign(context.get(), signature.data(), &written, message.data(), message.size()) != 1) {
    return openssl::failure(Code::crypto_failed, "signature");
  }
  signature.resize(written);
  return key.kind() == KeyKind::p256 ? raw_from_der(signature) : signature;
}

bool verify(const PublicKey& key, ByteView message, ByteView signature) {
  if (!can_sign(key.kind()) || signature.size() != kSignatureSize) return false;
  const auto context = new_digest_context();
  openssl::require(
      EVP_DigestVerifyInit(context.get(), nullptr, signature_digest(key.kind()), nullptr, native(key)) == 1,
      "EVP_DigestVerifyInit");
  const auto encoded =
      key.kind() == KeyKind::p256 ? der_from_raw(signature) : Bytes(signature.begin(), signature.end());
  const bool valid =
      EVP_DigestVerify(context.get(), encoded.data(), encoded.size(), message.data(), message.size()) == 1;
  ERR_clear_error();
  return valid;
}

SecretBytes concat_kdf(ByteView shared_secret, std::string_view algorithm, ByteView party_u, ByteView party_v,
                       std::size_t key_size) {
  SecretBytes key(key_size);
  std::size_t filled = 0;
  for (std::size_t round = 1; filled < key_size; ++round) {
    Hasher hasher(DigestAlgorithm::sha256);
    hasher.update(big_endian(round));
    hasher.update(shared_secret);
    for (const auto field : {bytes_of(algorithm), party_u, party_v}) {
      hasher.update(big_endian(field.size()));
      hasher.update(field);
    }
    hasher.update(big_endian(key_size * 8));
    auto block = hasher.finish();
    const auto piece = std::min(block.size(), key_size - filled);
    std::copy_n(block.begin(), piece, key.mutable_view().begin() + static_cast<std::ptrdiff_t>(filled));
    wipe(block);
    filled += piece;
  }
  return key;
}

}  // namespace proplet::crypto
