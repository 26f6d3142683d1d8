#include "crypto/cipher.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "crypto/digest.h"
#include "crypto/openssl.h"

namespace proplet::crypto {
namespace {

constexpr std::size_t kMaxPiece = std::size_t{1} << 30;           // OpenSSL counts in int
constexpr std::size_t kMaxMessage = (std::size_t{1} << 31) - 64;  // of the one-shot operations
constexpr std::size_t kWrapOverhead = 8;
constexpr std::size_t kCbcBlockSize = 16;

EVP_CIPHER_CTX* cipher(void* context) { return static_cast<EVP_CIPHER_CTX*>(context); }

openssl::CipherContext new_context() {
  openssl::CipherContext context(EVP_CIPHER_CTX_new());
  openssl::require(context != nullptr, "EVP_CIPHER_CTX_new");
  return context;
}

Status check_gcm_sizes(ByteView key, ByteView nonce, ByteView message) {
  if (openssl::aes_gcm(key.size()) == nullptr) return fail(Code::key_invalid, "AES key of {} bytes", key.size());
  if (nonce.size() != kGcmNonceSize) return fail(Code::format_invalid, "GCM nonce has {} bytes, not 12", nonce.size());
  if (message.size() > kMaxMessage) return fail(Code::size_limit, "message of {} bytes", message.size());
  return {};
}

int int_size(ByteView bytes) { return static_cast<int>(bytes.size()); }

Error cannot_open() { return {Code::unwrap_failed, "authentication failed"}; }

}  // namespace

void EvpCipherContextFree::operator()(void* context) const { EVP_CIPHER_CTX_free(cipher(context)); }

Result<AesCtr> AesCtr::create(ByteView key, ByteView nonce) {
  if (key.size() != kAes256KeySize) return fail(Code::key_invalid, "AES-256 key has {} bytes, not 32", key.size());
  if (nonce.size() != kCtrNonceSize) return fail(Code::format_invalid, "CTR nonce has {} bytes, not 16", nonce.size());
  auto context = new_context();
  openssl::require(EVP_EncryptInit_ex2(context.get(), openssl::aes_256_ctr(), key.data(), nonce.data(), nullptr) == 1,
                   "EVP_EncryptInit_ex2");
  return AesCtr(context.release());
}

void AesCtr::apply(ByteView in, MutableByteView out) {
  openssl::require(in.size() == out.size(), "AesCtr::apply with equal sizes");
  while (!in.empty()) {
    const auto piece = std::min(in.size(), kMaxPiece);
    int written = 0;
    openssl::require(
        EVP_EncryptUpdate(cipher(context_.get()), out.data(), &written, in.data(), static_cast<int>(piece)) == 1,
        "EVP_EncryptUpdate");
    in = in.subspan(piece);
    out = out.subspan(piece);
  }
}

Result<Bytes> aes_gcm_seal(ByteView key, ByteView nonce, ByteView additional_data, ByteView plaintext) {
  if (key.size() != kAes256KeySize) return fail(Code::key_invalid, "AES-256 key has {} bytes, not 32", key.size());
  TRY(check_gcm_sizes(key, nonce, plaintext));
  TRY(check_gcm_sizes(key, nonce, additional_data));
  auto context = new_context();
  openssl::require(
      EVP_EncryptInit_ex2(context.get(), openssl::aes_gcm(key.size()), key.data(), nonce.data(), nullptr) == 1,
      "EVP_EncryptInit_ex2");
  Bytes sealed(plaintext.size() + kGcmTagSize);
  int written = 0;
  if (!additional_data.empty()) {
    openssl::require(
        EVP_EncryptUpdate(context.get(), nullptr, &written, additional_data.data(), int_size(additional_data)) == 1,
        "EVP_EncryptUpdate");
  }
  if (!plaintext.empty()) {
    openssl::require(
        EVP_EncryptUpdate(context.get(), sealed.data(), &written, plaintext.data(), int_size(plaintext)) == 1,
        "EVP_EncryptUpdate");
  }
  auto* const tag = sealed.data() + plaintext.size();
  openssl::require(EVP_EncryptFinal_ex(context.get(), tag, &written) == 1, "EVP_EncryptFinal_ex");
  openssl::require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kGcmTagSize, tag) == 1,
                   "EVP_CTRL_AEAD_GET_TAG");
  return sealed;
}

Result<SecretBytes> aes_gcm_open(ByteView key, ByteView nonce, ByteView additional_data, ByteView sealed) {
  TRY(check_gcm_sizes(key, nonce, sealed));
  TRY(check_gcm_sizes(key, nonce, additional_data));
  if (sealed.size() < kGcmTagSize) return fail(cannot_open());
  const auto ciphertext = sealed.first(sealed.size() - kGcmTagSize);
  auto tag = Bytes(sealed.end() - kGcmTagSize, sealed.end());
  auto context = new_context();
  openssl::require(
      EVP_DecryptInit_ex2(context.get(), openssl::aes_gcm(key.size()), key.data(), nonce.data(), nullptr) == 1,
      "EVP_DecryptInit_ex2");
  openssl::require(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kGcmTagSize, tag.data()) == 1,
                   "EVP_CTRL_AEAD_SET_TAG");
  int written = 0;
  if (!additional_data.empty()) {
    openssl::require(
        EVP_DecryptUpdate(context.get(), nullptr, &written, additional_data.data(), int_size(additional_data)) == 1,
        "EVP_DecryptUpdate");
  }
  SecretBytes plaintext(ciphertext.size());
  if (!ciphertext.empty()) {
    openssl::require(EVP_DecryptUpdate(context.get(), plaintext.mutable_view().data(), &written, ciphertext.data(),
                                       int_size(ciphertext)) == 1,
                     "EVP_DecryptUpdate");
  }
  std::uint8_t nothing = 0;  // GCM has no final block
  if (EVP_DecryptFinal_ex(context.get(), &nothing, &written) != 1) {
    ERR_clear_error();
    return fail(cannot_open());
  }
  return plaintext;
}

Result<SecretBytes> aes_cbc_open(ByteView key, ByteView iv, ByteView ciphertext) {
  const auto* algorithm = openssl::aes_cbc(key.size());
  if (algorithm == nullptr) return fail(Code::key_invalid, "AES key of {} bytes", key.size());
  if (iv.size() != kCbcBlockSize) return fail(Code::format_invalid, "CBC iv has {} bytes, not 16", iv.size());
  const bool whole_blocks = !ciphertext.empty() && ciphertext.size() % kCbcBlockSize == 0;
  if (!whole_blocks || ciphertext.size() > kMaxPiece) return fail(cannot_open());
  auto context = new_context();
  openssl::require(EVP_DecryptInit_ex2(context.get(), algorithm, key.data(), iv.data(), nullptr) == 1,
                   "EVP_DecryptInit_ex2");
  SecretBytes plaintext(ciphertext.size() + kCbcBlockSize);
  auto* const out = plaintext.mutable_view().data();
  int written = 0;
  openssl::require(EVP_DecryptUpdate(context.get(), out, &written, ciphertext.data(), int_size(ciphertext)) == 1,
                   "EVP_DecryptUpdate");
  int last = 0;
  if (EVP_DecryptFinal_ex(context.get(), out + written, &last) != 1) {
    ERR_clear_error();
    return fail(cannot_open());
  }
  plaintext.truncate(static_cast<std::size_t>(written) + static_cast<std::size_t>(last));
  return plaintext;
}

Result<SecretBytes> aes_cbc_hmac_open(ByteView key, ByteView iv, ByteView additional_data, ByteView sealed) {
  const auto half = key.size() / 2;
  const auto hash = half == 16   ? DigestAlgorithm::sha256
                    : half == 24 ? DigestAlgorithm::sha384
                                 : DigestAlgorithm::sha512;
  if (key.size() % 2 != 0 || openssl::aes_cbc(half) == nullptr) {
    return fail(Code::key_invalid, "AES-CBC with HMAC: key of {} bytes", key.size());
  }
  if (sealed.size() < half) return fail(cannot_open());
  const auto ciphertext = sealed.first(sealed.size() - half);
  std::array<std::uint8_t, 8> bits{};  // of the additional data, big-endian
  for (std::size_t i = 0; i < bits.size(); ++i) {
    bits[i] = static_cast<std::uint8_t>(std::uint64_t{additional_data.size()} * 8 >> (56 - 8 * i));
  }
  const auto tag = hmac(hash, key.first(half), {additional_data, iv, ciphertext, bits});
  if (!equal_constant_time(ByteView(tag).first(half), sealed.last(half))) return fail(cannot_open());
  return aes_cbc_open(key.last(half), iv, ciphertext);
}

Result<Bytes> aes_key_wrap(ByteView key_encryption_key, ByteView key_data) {
  const auto* algorithm = openssl::aes_wrap(key_encryption_key.size());
  if (algorithm == nullptr)
    return fail(Code::key_invalid, "key wrap with a key of {} bytes", key_encryption_key.size());
  if (key_data.size() < 16 || key_data.size() % 8 != 0 || key_data.size() > kMaxPiece) {
    return fail(Code::key_invalid, "key wrap of {} bytes", key_data.size());
  }
  auto context = new_context();
  EVP_CIPHER_CTX_set_flags(context.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  openssl::require(EVP_EncryptInit_ex2(context.get(), algorithm, key_encryption_key.data(), nullptr, nullptr) == 1,
                   "EVP_EncryptInit_ex2");
  Bytes wrapped(key_data.size() + kWrapOverhead);
  int written = 0;
  openssl::require(EVP_EncryptUpdate(context.get(), wrapped.data(), &written, key_data.data(), int_size(key_data)) == 1,
                   "EVP_EncryptUpdate");
  openssl::require(static_cast<std::size_t>(written) == wrapped.size(), "EVP_EncryptUpdate");
  return wrapped;
}

Result<SecretBytes> aes_key_unwrap(ByteView key_encryption_key, ByteView wrapped) {
  const auto* algorithm = openssl::aes_wrap(key_encryption_key.size());
  if (algorithm == nullptr)
    return fail(Code::key_invalid, "key wrap with a key of {} bytes", key_encryption_key.size());
  if (wrapped.size() < 24 || wrapped.size() % 8 != 0 || wrapped.size() > kMaxPiece) return fail(cannot_open());
  auto context = new_context();
  EVP_CIPHER_CTX_set_flags(context.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  openssl::require(EVP_DecryptInit_ex2(context.get(), algorithm, key_encryption_key.data(), nullptr, nullptr) == 1,
                   "EVP_DecryptInit_ex2");
  SecretBytes key_data(wrapped.size());
  int written = 0;
  const bool intact = EVP_DecryptUpdate(context.get(), key_data.mutable_view().data(), &written, wrapped.data(),
                                        int_size(wrapped)) == 1;
  if (!intact || static_cast<std::size_t>(written) != wrapped.size() - kWrapOverhead) {
    ERR_clear_error();
    return fail(cannot_open());
  }
  key_data.truncate(static_cast<std::size_t>(written));
  return key_data;
}

}  // namespace proplet::crypto
