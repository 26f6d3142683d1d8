// AES: counter mode (NIST SP 800-38A), Galois/counter mode (SP 800-38D), key wrap (RFC 3394), CBC for reading only.
//
// What we write uses keys of 32 bytes. Key wrap, and what opens other tools' envelopes, take 16, 24 or 32; any other
// length is KEY_INVALID. Plaintext comes out as SecretBytes. A failed authentication is UNWRAP_FAILED and gives no
// plaintext and no reason.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret_bytes.h"

namespace proplet::crypto {

inline constexpr std::size_t kAes256KeySize = 32;
inline constexpr std::size_t kCtrNonceSize = 16;  // the whole initial counter block
inline constexpr std::size_t kGcmNonceSize = 12;
inline constexpr std::size_t kGcmTagSize = 16;

struct EvpCipherContextFree {
  void operator()(void* context) const;
};

// The key stream of AES-256-CTR; encrypting and decrypting are the same operation. The 128-bit big-endian counter
// wraps. Input may be given in pieces of any length; `out` may be `in` itself (in place). One thread.
class AesCtr {
 public:
  static Result<AesCtr> create(ByteView key, ByteView nonce);
  // `out` has the size of `in`.
  void apply(ByteView in, MutableByteView out);

 private:
  explicit AesCtr(void* context) : context_(context) {}
  std::unique_ptr<void, EvpCipherContextFree> context_;
};

// GCM with a 12-byte nonce and, for `seal`, AES-256. `seal` returns ciphertext ‖ 16-byte tag; `open` takes the same.
Result<Bytes> aes_gcm_seal(ByteView key, ByteView nonce, ByteView additional_data, ByteView plaintext);
Result<SecretBytes> aes_gcm_open(ByteView key, ByteView nonce, ByteView additional_data, ByteView sealed);

// CBC with PKCS#7 padding and a 16-byte iv, for envelopes of other tools. Nothing authenticates it: UNWRAP_FAILED for
// bad padding, and garbage for most other damage. Callers must not let anybody tell the two apart.
Result<SecretBytes> aes_cbc_open(ByteView key, ByteView iv, ByteView ciphertext);
// AES_CBC_HMAC_SHA2 of RFC 7518 section 5.2: `key` is MAC key ‖ AES key, 32, 48 or 64 bytes; `sealed` is ciphertext ‖
// tag, the tag half as long as the key. The tag is checked before anything is decrypted.
Result<SecretBytes> aes_cbc_hmac_open(ByteView key, ByteView iv, ByteView additional_data, ByteView sealed);

// RFC 3394 with the default initial value; the wrapped form is 8 bytes longer than `key_data`.
Result<Bytes> aes_key_wrap(ByteView key_encryption_key, ByteView key_data);
Result<SecretBytes> aes_key_unwrap(ByteView key_encryption_key, ByteView wrapped);

}  // namespace proplet::crypto
