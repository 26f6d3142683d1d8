#include "crypto/openssl.h"

#include <cstdio>
#include <cstdlib>

namespace proplet::crypto::openssl {
namespace {

Digest fetch_digest(const char* name) {
  Digest digest(EVP_MD_fetch(nullptr, name, nullptr));
  require(digest != nullptr, "EVP_MD_fetch");
  return digest;
}

Cipher fetch_cipher(const char* name) {
  Cipher cipher(EVP_CIPHER_fetch(nullptr, name, nullptr));
  require(cipher != nullptr, "EVP_CIPHER_fetch");
  return cipher;
}

Mac fetch_mac(const char* name) {
  Mac mac(EVP_MAC_fetch(nullptr, name, nullptr));
  require(mac != nullptr, "EVP_MAC_fetch");
  return mac;
}

// One mode of AES with its three key sizes.
class AesFamily {
 public:
  explicit AesFamily(const std::string& mode)
      : aes_128_(fetch_cipher(("AES-128-" + mode).c_str())),
        aes_192_(fetch_cipher(("AES-192-" + mode).c_str())),
        aes_256_(fetch_cipher(("AES-256-" + mode).c_str())) {}

  [[nodiscard]] const EVP_CIPHER* of(std::size_t key_size) const {
    if (key_size == 16) return aes_128_.get();
    if (key_size == 24) return aes_192_.get();
    return key_size == 32 ? aes_256_.get() : nullptr;
  }

 private:
  Cipher aes_128_;
  Cipher aes_192_;
  Cipher aes_256_;
};

}  // namespace

std::string take_reason() {
  const auto code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return reason == nullptr ? "unknown reason" : reason;
}

tl::unexpected<Error> failure(Code code, std::string_view what) { return fail(code, "{}: {}", what, take_reason()); }

void require(bool succeeded, const char* call) {
  if (succeeded) return;
  std::fprintf(stderr, "fatal: %s failed: %s\n", call, take_reason().c_str());
  std::abort();
}

const EVP_MD* sha1() {
  static const Digest digest = fetch_digest("SHA1");
  return digest.get();
}

const EVP_MD* sha256() {
  static const Digest digest = fetch_digest("SHA256");
  return digest.get();
}

const EVP_MD* sha384() {
  static const Digest digest = fetch_digest("SHA384");
  return digest.get();
}

const EVP_MD* sha512() {
  static const Digest digest = fetch_digest("SHA512");
  return digest.get();
}

EVP_MAC* hmac() {
  static const Mac mac = fetch_mac("HMAC");
  return mac.get();
}

const EVP_CIPHER* aes_256_ctr() {
  static const Cipher cipher = fetch_cipher("AES-256-CTR");
  return cipher.get();
}

const EVP_CIPHER* aes_gcm(std::size_t key_size) {
  static const AesFamily ciphers("GCM");
  return ciphers.of(key_size);
}

const EVP_CIPHER* aes_cbc(std::size_t key_size) {
  static const AesFamily ciphers("CBC");
  return ciphers.of(key_size);
}

const EVP_CIPHER* aes_wrap(std::size_t key_size) {
  static const AesFamily ciphers("WRAP");
  return ciphers.of(key_size);
}

}  // namespace proplet::crypto::openssl
