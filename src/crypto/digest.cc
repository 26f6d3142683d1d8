#include "crypto/digest.h"

#include <string>
#include <utility>

#include "crypto/openssl.h"

namespace proplet::crypto {
namespace {

const EVP_MD* native(DigestAlgorithm algorithm) {
  switch (algorithm) {
    case DigestAlgorithm::sha256:
      return openssl::sha256();
    case DigestAlgorithm::sha384:
      return openssl::sha384();
    case DigestAlgorithm::sha512:
      return openssl::sha512();
  }
  std::abort();
}

EVP_MD_CTX* md(void* context) { return static_cast<EVP_MD_CTX*>(context); }
EVP_MAC_CTX* mac(void* context) { return static_cast<EVP_MAC_CTX*>(context); }

EVP_MAC_CTX* new_hmac(std::string hash, ByteView key) {
  auto* const context = EVP_MAC_CTX_new(openssl::hmac());
  openssl::require(context != nullptr, "EVP_MAC_CTX_new");
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash.data(), 0),
                               OSSL_PARAM_construct_end()};
  // A null key pointer would mean "keep the key"; an empty key is a key.
  static constexpr std::uint8_t kEmptyKey = 0;
  const auto* data = key.empty() ? &kEmptyKey : key.data();
  openssl::require(EVP_MAC_init(context, data, key.size(), params) == 1, "EVP_MAC_init");
  return context;
}

}  // namespace

std::size_t digest_size(DigestAlgorithm algorithm) {
  switch (algorithm) {
    case DigestAlgorithm::sha256:
      return 32;
    case DigestAlgorithm::sha384:
      return 48;
    case DigestAlgorithm::sha512:
      return 64;
  }
  std::abort();
}

void EvpMdContextFree::operator()(void* context) const { EVP_MD_CTX_free(md(context)); }
void EvpMacContextFree::operator()(void* context) const { EVP_MAC_CTX_free(mac(context)); }

Hasher::Hasher(DigestAlgorithm algorithm) : context_(EVP_MD_CTX_new()) {
  openssl::require(context_ != nullptr, "EVP_MD_CTX_new");
  openssl::require(EVP_DigestInit_ex2(md(context_.get()), native(algorithm), nullptr) == 1, "EVP_DigestInit_ex2");
}

void Hasher::update(ByteView bytes) {
  openssl::require(EVP_DigestUpdate(md(context_.get()), bytes.data(), bytes.size()) == 1, "EVP_DigestUpdate");
}

Bytes Hasher::finish() {
  Bytes digest(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  openssl::require(EVP_DigestFinal_ex(md(context_.get()), digest.data(), &size) == 1, "EVP_DigestFinal_ex");
  digest.resize(size);
  return digest;
}

HmacSha256::HmacSha256(ByteView key) : context_(new_hmac("SHA256", key)) {}

void HmacSha256::update(ByteView bytes) {
  openssl::require(EVP_MAC_update(mac(context_.get()), bytes.data(), bytes.size()) == 1, "EVP_MAC_update");
}

Sha256Digest HmacSha256::finish() {
  Sha256Digest tag;
  std::size_t size = 0;
  openssl::require(EVP_MAC_final(mac(context_.get()), tag.data(), &size, tag.size()) == 1, "EVP_MAC_final");
  openssl::require(size == tag.size(), "EVP_MAC_final");
  return tag;
}

Bytes digest(DigestAlgorithm algorithm, ByteView bytes) {
  Bytes digest(digest_size(algorithm));
  openssl::require(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, native(algorithm), nullptr) == 1,
                   "EVP_Digest");
  return digest;
}

Sha256Digest sha256(ByteView bytes) {
  Sha256Digest digest;
  openssl::require(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, openssl::sha256(), nullptr) == 1,
                   "EVP_Digest");
  return digest;
}

Sha256Digest hmac_sha256(ByteView key, ByteView bytes) {
  HmacSha256 hmac(key);
  hmac.update(bytes);
  return hmac.finish();
}

Bytes hmac(DigestAlgorithm algorithm, ByteView key, std::initializer_list<ByteView> parts) {
  const std::unique_ptr<void, EvpMacContextFree> context(new_hmac(EVP_MD_get0_name(native(algorithm)), key));
  for (const auto part : parts) {
    openssl::require(EVP_MAC_update(mac(context.get()), part.data(), part.size()) == 1, "EVP_MAC_update");
  }
  Bytes tag(digest_size(algorithm));
  std::size_t size = 0;
  openssl::require(EVP_MAC_final(mac(context.get()), tag.data(), &size, tag.size()) == 1, "EVP_MAC_final");
  return tag;
}

}  // namespace proplet::crypto
