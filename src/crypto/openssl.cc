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

const EVP_CIPHER* aes_256_gcm() {
  static const Cipher cipher = fetch_cipher("AES-256-GCM");
  return cipher.get();
}

const EVP_CIPHER* aes_wrap(std::size_t key_size) {
  static const Cipher wrap_128 = fetch_cipher("AES-128-WRAP");
  static const Cipher wrap_192 = fetch_cipher("AES-192-WRAP");
  static const Cipher wrap_256 = fetch_cipher("AES-256-WRAP");
  switch (key_size) {
    case 16:
      return wrap_128.get();
    case 24:
      return wrap_192.get();
    case 32:
      return wrap_256.get();
    default:
      return nullptr;
  }
}

}  // namespace proplet::crypto::openssl
