#include "crypto/jwe.h"

#include <algorithm>
#include <array>
#include <functional>

#include "base/clock.h"
#include "base/encoding.h"
#include "crypto/cipher.h"
#include "crypto/jwe_message.h"
#include "crypto/secret_json.h"

namespace proplet::crypto {
namespace {

struct AlgorithmRow {
  JweAlgorithm algorithm;
  std::string_view name;
  std::size_t kek_size;  // bytes of the key derived by key agreement; 0 for the others
};

constexpr std::array<AlgorithmRow, 8> kAlgorithms = {{
    {JweAlgorithm::ecdh_es, "ECDH-ES", kAes256KeySize},  // as large as the content key
    {JweAlgorithm::ecdh_es_a128kw, "ECDH-ES+A128KW", 16},
    {JweAlgorithm::ecdh_es_a192kw, "ECDH-ES+A192KW", 24},
    {JweAlgorithm::ecdh_es_a256kw, "ECDH-ES+A256KW", 32},
    {JweAlgorithm::rsa_oaep, "RSA-OAEP", 0},
    {JweAlgorithm::rsa_oaep_256, "RSA-OAEP-256", 0},
    {JweAlgorithm::a256kw, "A256KW", 0},
    {JweAlgorithm::dir, "dir", 0},
}};
constexpr std::string_view kContentEncryption = "A256GCM";

// RFC 7518 section 5.1. The tag has a fixed size: a shorter one would be easier to guess, and would borrow bytes of
// the ciphertext.
struct ContentRow {
  std::string_view name;
  std::size_t key_size;
  std::size_t iv_size;
  std::size_t tag_size;
};

constexpr std::array<ContentRow, 6> kContents = {{
    {kContentEncryption, kAes256KeySize, kGcmNonceSize, kGcmTagSize},
    {"A128GCM", 16, kGcmNonceSize, kGcmTagSize},
    {"A192GCM", 24, kGcmNonceSize, kGcmTagSize},
    {"A128CBC-HS256", 32, 16, 16},
    {"A192CBC-HS384", 48, 16, 24},
    {"A256CBC-HS512", 64, 16, 32},
}};

bool is_gcm(const ContentRow& content) { return content.iv_size == kGcmNonceSize; }

// What a reader accepts of a message.
struct Accepted {
  const std::vector<JweAlgorithm>& algorithms;
  JweContent content;
};

const AlgorithmRow& row(JweAlgorithm algorithm) {
  return *std::ranges::find(kAlgorithms, algorithm, &AlgorithmRow::algorithm);
}

bool is_key_agreement(JweAlgorithm algorithm) { return row(algorithm).kek_size != 0; }
bool is_rsa(JweAlgorithm algorithm) {
  return algorithm == JweAlgorithm::rsa_oaep || algorithm == JweAlgorithm::rsa_oaep_256;
}
bool is_ec(KeyKind kind) { return kind == KeyKind::p256 || kind == KeyKind::p384 || kind == KeyKind::p521; }
bool fits(JweAlgorithm algorithm, KeyKind kind) {
  return is_rsa(algorithm) ? kind == KeyKind::rsa : is_key_agreement(algorithm) && is_ec(kind);
}
// The content key is the agreed or shared key itself, so there can be but one recipient (RFC 7516 section 5.1).
bool is_direct(JweAlgorithm algorithm) { return algorithm == JweAlgorithm::ecdh_es || algorithm == JweAlgorithm::dir; }

OaepHash oaep_hash(JweAlgorithm algorithm) {
  return algorithm == JweAlgorithm::rsa_oaep ? OaepHash::sha1 : OaepHash::sha256;
}

// Nothing about why: neither which recipient nor which step. Anything more would be an oracle.
Error cannot_open() { return {Code::jwe_invalid, "the JWE cannot be opened with this key"}; }

Result<Bytes> party_info(const json::object& header, std::string_view name) {
  if (!header.contains(name)) return Bytes();
  TRY_ASSIGN(const auto text, string_member(header, name));
  return base64url_decode(text);
}

// The key for `algorithm` out of a shared secret: the content key for ECDH-ES, else the one that wraps it
// (RFC 7518 section 4.6.2: the algorithm id of direct agreement is that of the content encryption).
SecretBytes agreed_key(JweAlgorithm algorithm, const ContentRow& content, ByteView shared, ByteView apu, ByteView apv) {
  if (algorithm == JweAlgorithm::ecdh_es) return concat_kdf(shared, content.name, apu, apv, content.key_size);
  const auto& [id, name, size] = row(algorithm);
  return concat_kdf(shared, name, apu, apv, size);
}

// How the content of one recipient is encrypted: what its header says, if that is accepted.
struct Choice {
  JweAlgorithm algorithm;
  const ContentRow& content;
};

Result<SecretBytes> open_by_agreement(const JweRecipient& recipient, const Choice& choice, const PrivateKey& key) {
  const auto* member = recipient.header.if_contains("epk");
  if (member == nullptr || !member->is_object()) return fail(cannot_open());
  TRY_ASSIGN(const auto ephemeral, PublicKey::from_jwk(member->get_object()));  // checks that the point is on its curve
  TRY_ASSIGN(const auto apu, party_info(recipient.header, "apu"));
  TRY_ASSIGN(const auto apv, party_info(recipient.header, "apv"));
  TRY_ASSIGN(const auto shared, ecdh(key, ephemeral));  // checks that the curves are the same
  auto agreed = agreed_key(choice.algorithm, choice.content, shared.view(), apu, apv);
  if (choice.algorithm != JweAlgorithm::ecdh_es) return aes_key_unwrap(agreed.view(), recipient.encrypted_key);
  if (!recipient.encrypted_key.empty()) return fail(cannot_open());
  return agreed;
}

Result<SecretBytes> open_key(const JweRecipient& recipient, const Choice& choice, const PrivateKey& key) {
  if (!is_rsa(choice.algorithm)) return open_by_agreement(recipient, choice, key);
  return rsa_oaep_decrypt(key, oaep_hash(choice.algorithm), recipient.encrypted_key);
}

Result<SecretBytes> open_key_symmetric(const JweRecipient& recipient, JweAlgorithm algorithm, ByteView key) {
  if (algorithm == JweAlgorithm::a256kw) {
    if (key.size() != kAes256KeySize) return fail(cannot_open());
    return aes_key_unwrap(key, recipient.encrypted_key);
  }
  if (!recipient.encrypted_key.empty()) return fail(cannot_open());
  return SecretBytes::copy_of(key);
}

Result<Choice> choose(const JweRecipient& recipient, const Accepted& accepted) {
  TRY_ASSIGN(const auto encryption, string_member(recipient.header, "enc"));
  const auto* content = std::ranges::find(kContents, encryption, &ContentRow::name);
  if (content == kContents.end()) return fail(cannot_open());
  if (accepted.content == JweContent::a256gcm && content->name != kContentEncryption) return fail(cannot_open());
  TRY_ASSIGN(const auto name, string_member(recipient.header, "alg"));
  const auto* found = std::ranges::find(kAlgorithms, name, &AlgorithmRow::name);
  if (found == kAlgorithms.end()) return fail(cannot_open());
  if (std::ranges::find(accepted.algorithms, found->algorithm) == accepted.algorithms.end()) return fail(cannot_open());
  return Choice{found->algorithm, *content};
}

using KeyOpener = std::function<Result<SecretBytes>(const JweRecipient&, const Choice&)>;

Result<SecretBytes> open_content(const JweMessage& message, const ContentRow& content, ByteView key) {
  const auto additional_data = bytes_of(message.additional_data);
  if (is_gcm(content)) return aes_gcm_open(key, message.iv, additional_data, message.sealed);
  return aes_cbc_hmac_open(key, message.iv, additional_data, message.sealed);
}

Result<SecretBytes> open_as(const JweMessage& message, const JweRecipient& recipient, const Accepted& accepted,
                            const KeyOpener& open) {
  TRY_ASSIGN(const auto choice, choose(recipient, accepted));
  const auto& content = choice.content;
  if (is_direct(choice.algorithm) && message.recipients.size() != 1) return fail(cannot_open());
  if (message.iv.size() != content.iv_size || message.tag_size != content.tag_size) return fail(cannot_open());
  TRY_ASSIGN(const auto content_key, open(recipient, choice));
  if (content_key.size() != content.key_size) return fail(cannot_open());
  return open_content(message, content, content_key.view());
}

Result<SecretBytes> open_any(std::string_view jwe, const Accepted& accepted, const KeyOpener& open) {
  TRY_ASSIGN(const auto message, parse_jwe(jwe));
  for (const auto& recipient : message.recipients) {
    if (auto plaintext = open_as(message, recipient, accepted, open)) return plaintext;
  }
  return fail(cannot_open());
}

struct Sealed {
  std::string protected_text;
  Bytes encrypted_key;
  std::array<std::uint8_t, kGcmNonceSize> iv{};
  Bytes ciphertext;
  Bytes tag;
};

std::string header_text(JweAlgorithm algorithm, const json::object* ephemeral) {
  json::object header = {{"alg", jwe_algorithm_name(algorithm)}, {"enc", kContentEncryption}};
  auto text = json::serialize(header);
  if (ephemeral != nullptr) {
    text.pop_back();
    text += ",\"epk\":" + json::canonical(*ephemeral) + "}";
  }
  return base64url_encode(bytes_of(text));
}

struct WrappedKey {
  SecretBytes content_key;
  Bytes encrypted_key;
  std::string protected_text;
};

SecretBytes random_key(Random& random) {
  SecretBytes key(kAes256KeySize);
  random.fill(key.mutable_view());
  return key;
}

Result<WrappedKey> wrap_by_agreement(const PublicKey& recipient, JweAlgorithm algorithm, Random& random) {
  TRY_ASSIGN(const auto ephemeral, PrivateKey::generate(recipient.kind()));
  TRY_ASSIGN(const auto shared, ecdh(ephemeral, recipient));
  const auto public_jwk = ephemeral.public_key().to_jwk();
  auto agreed = agreed_key(algorithm, kContents.front(), shared.view(), {}, {});
  auto protected_text = header_text(algorithm, &public_jwk);
  if (algorithm == JweAlgorithm::ecdh_es) return WrappedKey{std::move(agreed), {}, std::move(protected_text)};
  auto content_key = random_key(random);
  TRY_ASSIGN(auto encrypted_key, aes_key_wrap(agreed.view(), content_key.view()));
  return WrappedKey{std::move(content_key), std::move(encrypted_key), std::move(protected_text)};
}

Result<WrappedKey> wrap_content_key(const PublicKey& recipient, JweAlgorithm algorithm, Random& random) {
  if (!is_rsa(algorithm)) return wrap_by_agreement(recipient, algorithm, random);
  auto content_key = random_key(random);
  TRY_ASSIGN(auto encrypted_key, rsa_oaep_encrypt(recipient, oaep_hash(algorithm), content_key.view()));
  return WrappedKey{std::move(content_key), std::move(encrypted_key), header_text(algorithm, nullptr)};
}

Result<Sealed> seal(const PublicKey& recipient, JweAlgorithm algorithm, ByteView plaintext) {
  if (!fits(algorithm, recipient.kind())) {
    return fail(Code::jwe_invalid, "{} does not go with a {} key", jwe_algorithm_name(algorithm),
                key_kind_name(recipient.kind()));
  }
  SystemRandom random;
  TRY_ASSIGN(auto wrapped, wrap_content_key(recipient, algorithm, random));
  Sealed sealed;
  sealed.protected_text = std::move(wrapped.protected_text);
  sealed.encrypted_key = std::move(wrapped.encrypted_key);
  random.fill(sealed.iv);
  TRY_ASSIGN(sealed.ciphertext,
             aes_gcm_seal(wrapped.content_key.view(), sealed.iv, bytes_of(sealed.protected_text), plaintext));
  sealed.tag.assign(sealed.ciphertext.end() - kGcmTagSize, sealed.ciphertext.end());
  sealed.ciphertext.resize(plaintext.size());
  return sealed;
}

}  // namespace

std::string_view jwe_algorithm_name(JweAlgorithm algorithm) { return row(algorithm).name; }

Result<JweAlgorithm> default_jwe_algorithm(KeyKind kind) {
  if (kind == KeyKind::rsa) return JweAlgorithm::rsa_oaep;
  if (is_ec(kind)) return JweAlgorithm::ecdh_es_a256kw;
  return fail(Code::key_invalid, "{} keys cannot be encrypted to", key_kind_name(kind));
}

Result<std::string> jwe_encrypt(const PublicKey& recipient, JweAlgorithm algorithm, ByteView plaintext) {
  TRY_ASSIGN(const auto sealed, seal(recipient, algorithm, plaintext));
  json::object jwe = {{"protected", sealed.protected_text}};
  if (!sealed.encrypted_key.empty()) jwe["encrypted_key"] = base64url_encode(sealed.encrypted_key);
  jwe["iv"] = base64url_encode(sealed.iv);
  jwe["ciphertext"] = base64url_encode(sealed.ciphertext);
  jwe["tag"] = base64url_encode(sealed.tag);
  return json::serialize(jwe);
}

Result<std::string> jwe_encrypt_compact(const PublicKey& recipient, JweAlgorithm algorithm, ByteView plaintext) {
  TRY_ASSIGN(const auto sealed, seal(recipient, algorithm, plaintext));
  return fmt::format("{}.{}.{}.{}.{}", sealed.protected_text, base64url_encode(sealed.encrypted_key),
                     base64url_encode(sealed.iv), base64url_encode(sealed.ciphertext), base64url_encode(sealed.tag));
}

Result<std::vector<JweRecipientInfo>> jwe_recipients(std::string_view jwe) {
  TRY_ASSIGN(const auto message, parse_jwe(jwe));
  std::vector<JweRecipientInfo> recipients;
  for (const auto& recipient : message.recipients) {
    const auto algorithm = string_member(recipient.header, "alg");
    const auto key_id = string_member(recipient.header, "kid");
    recipients.push_back({std::string(algorithm.value_or("")), std::string(key_id.value_or(""))});
  }
  return recipients;
}

Result<SecretBytes> jwe_decrypt(std::string_view jwe, const PrivateKey& key, const std::vector<JweAlgorithm>& allowed,
                                JweContent content) {
  return open_any(jwe, {allowed, content},
                  [&](const JweRecipient& recipient, const Choice& choice) -> Result<SecretBytes> {
                    if (!fits(choice.algorithm, key.kind())) return fail(cannot_open());
                    return open_key(recipient, choice, key);
                  });
}

Result<SecretBytes> jwe_decrypt_symmetric(std::string_view jwe, ByteView key, const std::vector<JweAlgorithm>& allowed,
                                          JweContent content) {
  return open_any(jwe, {allowed, content},
                  [&](const JweRecipient& recipient, const Choice& choice) -> Result<SecretBytes> {
                    if (choice.algorithm != JweAlgorithm::a256kw && choice.algorithm != JweAlgorithm::dir)
                      return fail(cannot_open());
                    return open_key_symmetric(recipient, choice.algorithm, key);
                  });
}

}  // namespace proplet::crypto
