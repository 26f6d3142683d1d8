// JSON Web Encryption (RFC 7516) with the algorithms that key brokers and encrypted images use.
//
// Key management: ECDH-ES and ECDH-ES+A128KW/A192KW/A256KW on P-256/384/521, RSA-OAEP and RSA-OAEP-256, A256KW, dir.
// Content: A256GCM is written; A128GCM, A192GCM, A256GCM, A128CBC-HS256, A192CBC-HS384 and A256CBC-HS512 are read where
// the caller accepts them (JweContent). Serialisations read: compact, flattened JSON, general JSON (a top-level
// encrypted_key beside `recipients`, as go-jose writes, is tolerated). `zip` and `crit` are refused. The additional
// authenticated data is the `protected` text exactly as received. Any failure is JWE_INVALID, with a reason that helps
// no attacker.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/secret_bytes.h"
#include "crypto/key.h"

namespace proplet::crypto {

enum class JweAlgorithm : std::uint8_t {
  ecdh_es,
  ecdh_es_a128kw,
  ecdh_es_a192kw,
  ecdh_es_a256kw,
  rsa_oaep,
  rsa_oaep_256,
  a256kw,
  dir
};

std::string_view jwe_algorithm_name(JweAlgorithm algorithm);
// The default for a key: RSA-OAEP for RSA, ECDH-ES+A256KW for EC (what ocicrypt writes).
Result<JweAlgorithm> default_jwe_algorithm(KeyKind kind);

// Flattened JSON serialisation for one recipient. The protected header is compact JSON with `alg` first, `enc` second
// and the rest sorted, nested members sorted too: Trustee's client re-serialises it in that order.
Result<std::string> jwe_encrypt(const PublicKey& recipient, JweAlgorithm algorithm, ByteView plaintext);
// The same in compact serialisation.
Result<std::string> jwe_encrypt_compact(const PublicKey& recipient, JweAlgorithm algorithm, ByteView plaintext);

// Whom a message is for, as its headers claim: nothing has been verified. Empty texts for what is not there.
struct JweRecipientInfo {
  std::string algorithm;
  std::string key_id;
};
Result<std::vector<JweRecipientInfo>> jwe_recipients(std::string_view jwe);

// Which content encryptions a reader accepts: ours alone, or all six of RFC 7518 section 5.1.
enum class JweContent : std::uint8_t { a256gcm, any };

// Opens `jwe` in any serialisation with `key`, trying every recipient that fits the key. Only algorithms in `allowed`
// are used.
Result<SecretBytes> jwe_decrypt(std::string_view jwe, const PrivateKey& key, const std::vector<JweAlgorithm>& allowed,
                                JweContent content = JweContent::a256gcm);
// The same with a symmetric key (A256KW or dir).
Result<SecretBytes> jwe_decrypt_symmetric(std::string_view jwe, ByteView key, const std::vector<JweAlgorithm>& allowed,
                                          JweContent content = JweContent::a256gcm);

}  // namespace proplet::crypto
