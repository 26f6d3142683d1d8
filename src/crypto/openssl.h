// The one place that names OpenSSL handles: an owning type per handle, and how its failures become Errors.
//
// Internal to crypto/; no other folder includes this header. Every call is judged by its return code alone; only then
// is the library's error text fetched, which also empties the thread's error queue. Algorithms are fetched once and
// shared: fetching costs more than hashing a small message. They live until exit and may be used from any thread.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace proplet::crypto::openssl {

template <auto function>
struct Free {
  template <class T>
  void operator()(T* handle) const {
    function(handle);
  }
};

using Digest = std::unique_ptr<EVP_MD, Free<EVP_MD_free>>;
using Mac = std::unique_ptr<EVP_MAC, Free<EVP_MAC_free>>;
using Cipher = std::unique_ptr<EVP_CIPHER, Free<EVP_CIPHER_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Free<EVP_CIPHER_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Free<BN_clear_free>>;
using Stream = std::unique_ptr<BIO, Free<BIO_free_all>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, Free<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Free<OSSL_PARAM_free>>;
using Group = std::unique_ptr<EC_GROUP, Free<EC_GROUP_free>>;
using Point = std::unique_ptr<EC_POINT, Free<EC_POINT_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Free<ECDSA_SIG_free>>;

// The newest reason in this thread's error queue, in OpenSSL's words (never input data); empties the queue.
std::string take_reason();

// CODE: `what`: OpenSSL's reason.
tl::unexpected<Error> failure(Code code, std::string_view what);

// For calls that fail only through a programmer's mistake or an exhausted system.
void require(bool succeeded, const char* call);

const EVP_MD* sha1();
const EVP_MD* sha256();
const EVP_MD* sha384();
const EVP_MD* sha512();
EVP_MAC* hmac();
const EVP_CIPHER* aes_256_ctr();
// For a key of 16, 24 or 32 bytes; null for any other size.
const EVP_CIPHER* aes_gcm(std::size_t key_size);
const EVP_CIPHER* aes_cbc(std::size_t key_size);
const EVP_CIPHER* aes_wrap(std::size_t key_size);

}  // namespace proplet::crypto::openssl
