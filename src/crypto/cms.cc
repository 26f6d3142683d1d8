#include "crypto/cms.h"

#include <openssl/cms.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/clock.h"
#include "crypto/cipher.h"
#include "crypto/der.h"
#include "crypto/openssl.h"

namespace proplet::crypto {
namespace {

using Envelope = std::unique_ptr<CMS_ContentInfo, openssl::Free<CMS_ContentInfo_free>>;

// Object identifiers, as encoded.
constexpr std::array<std::uint8_t, 9> kEnvelopedData = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x03};
constexpr std::array<std::uint8_t, 9> kData = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01};
constexpr std::array<std::uint8_t, 9> kRsaEncryption = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
constexpr std::array<std::uint8_t, 8> kAes = {0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01};  // and one more byte

struct ContentCipher {
  std::uint8_t id;  // the last byte of the identifier
  std::size_t key_size;
  bool gcm;
};
constexpr std::array<ContentCipher, 6> kCiphers = {
    {{2, 16, false}, {6, 16, true}, {22, 24, false}, {26, 24, true}, {42, 32, false}, {46, 32, true}}};

struct Message {
  std::vector<ByteView> wrapped_keys;  // of the recipients with RSA keys
  ContentCipher cipher{};
  ByteView iv;
  Bytes content;
};

tl::unexpected<Error> invalid(std::string_view what) { return fail(Code::format_invalid, "CMS: {}", what); }

template <std::size_t size>
bool is(ByteView id, const std::array<std::uint8_t, size>& expected) {
  return std::ranges::equal(id, expected);
}

Result<ContentCipher> cipher_of(ByteView id) {
  const bool aes = id.size() == kAes.size() + 1 && std::ranges::equal(id.first(kAes.size()), kAes);
  const auto* found = aes ? std::ranges::find(kCiphers, id.back(), &ContentCipher::id) : kCiphers.end();
  if (found == kCiphers.end()) return invalid("the content is not encrypted with AES in CBC or GCM");
  return *found;
}

// RFC 5084 has SEQUENCE { OCTET STRING, INTEGER }. ocicrypt's library puts that into another element with the tag of a
// primitive sequence, and gives the nonce a context tag; both are read.
Result<ByteView> gcm_nonce(DerReader& algorithm) {
  constexpr std::uint8_t kPrimitiveSequence = 0x10;
  constexpr std::uint8_t kContext4 = 0x84;
  TRY_ASSIGN(const auto outer, algorithm.next());
  if (outer.tag != der::kSequence && outer.tag != kPrimitiveSequence) return invalid("no parameters of GCM");
  DerReader parameters(outer.content);
  if (parameters.peek() == der::kSequence) {
    TRY_ASSIGN(const auto inner, parameters.expect(der::kSequence));
    TRY(parameters.finish());
    parameters = DerReader(inner);
  }
  TRY_ASSIGN(const auto nonce, parameters.next());
  if (nonce.tag != der::kOctetString && nonce.tag != kContext4) return invalid("GCM without a nonce");
  TRY_ASSIGN(const auto tag_size, parameters.expect(der::kInteger));
  TRY(parameters.finish());
  if (nonce.content.size() != kGcmNonceSize) return invalid("a nonce that has not 12 bytes");
  if (tag_size.size() != 1 || tag_size.front() != kGcmTagSize) return invalid("a tag that has not 16 bytes");
  return nonce.content;
}

Status read_algorithm(ByteView sequence, Message& message) {
  DerReader algorithm(sequence);
  TRY_ASSIGN(const auto id, algorithm.expect(der::kObjectId));
  TRY_ASSIGN(message.cipher, cipher_of(id));
  if (message.cipher.gcm) {
    TRY_ASSIGN(message.iv, gcm_nonce(algorithm));
  } else {
    TRY_ASSIGN(message.iv, algorithm.expect(der::kOctetString));
  }
  return algorithm.finish();
}

// The content itself: bytes under a primitive tag, or in octet strings under a constructed one.
Status read_content(DerElement element, Message& message) {
  if (element.tag == der::kContext0Primitive) {
    message.content.assign(element.content.begin(), element.content.end());
    return {};
  }
  if (element.tag != der::kContext0) return invalid("no content");
  DerReader pieces(element.content);
  while (!pieces.at_end()) {
    TRY_ASSIGN(const auto piece, pieces.expect(der::kOctetString));
    message.content.insert(message.content.end(), piece.begin(), piece.end());
  }
  return {};
}

Status read_encrypted_content(ByteView sequence, Message& message) {
  DerReader info(sequence);
  TRY_ASSIGN(const auto type, info.expect(der::kObjectId));
  if (!is(type, kData)) return invalid("the content is not data");
  TRY_ASSIGN(const auto algorithm, info.expect(der::kSequence));
  TRY(read_algorithm(algorithm, message));
  TRY_ASSIGN(const auto content, info.next());
  TRY(read_content(content, message));
  return info.finish();
}

// KeyTransRecipientInfo; recipients of other kinds are passed over.
Status read_recipient(DerElement recipient, Message& message) {
  if (recipient.tag != der::kSequence) return {};
  DerReader info(recipient.content);
  TRY(info.expect(der::kInteger));
  TRY(info.next());  // who it is
  TRY_ASSIGN(const auto algorithm, info.expect(der::kSequence));
  TRY_ASSIGN(const auto id, DerReader(algorithm).expect(der::kObjectId));
  TRY_ASSIGN(const auto wrapped_key, info.expect(der::kOctetString));
  TRY(info.finish());
  if (!is(id, kRsaEncryption)) return {};
  if (message.wrapped_keys.size() == kMaxCmsRecipients) return invalid("more than 64 recipients");
  message.wrapped_keys.push_back(wrapped_key);
  return {};
}

Result<Message> parse(ByteView bytes) {
  DerReader outermost(bytes);
  TRY_ASSIGN(const auto content_info, outermost.expect(der::kSequence));
  TRY(outermost.finish());
  DerReader content(content_info);
  TRY_ASSIGN(const auto type, content.expect(der::kObjectId));
  if (!is(type, kEnvelopedData)) return invalid("not an EnvelopedData");
  TRY_ASSIGN(const auto explicit_content, content.expect(der::kContext0));
  TRY_ASSIGN(const auto sequence, DerReader(explicit_content).expect(der::kSequence));

  Message message;
  DerReader enveloped(sequence);
  TRY(enveloped.expect(der::kInteger));
  if (enveloped.peek() == der::kContext0) TRY(enveloped.next());  // about the originator
  TRY_ASSIGN(const auto recipient_set, enveloped.expect(der::kSet));
  DerReader recipients(recipient_set);
  while (!recipients.at_end()) {
    TRY_ASSIGN(const auto recipient, recipients.next());
    TRY(read_recipient(recipient, message));
  }
  TRY_ASSIGN(const auto encrypted, enveloped.expect(der::kSequence));
  TRY(read_encrypted_content(encrypted, message));
  return message;
}

// Definite lengths for what OpenSSL wrote with indefinite ones. Nothing if OpenSSL cannot read it.
Bytes normalised(ByteView bytes) {
  const auto* position = bytes.data();
  const Envelope envelope(d2i_CMS_ContentInfo(nullptr, &position, static_cast<long>(bytes.size())));
  Bytes der;
  const int size = envelope == nullptr ? 0 : i2d_CMS_ContentInfo(envelope.get(), nullptr);
  if (size > 0) {
    der.resize(static_cast<std::size_t>(size));
    auto* out = der.data();
    openssl::require(i2d_CMS_ContentInfo(envelope.get(), &out) == size, "i2d_CMS_ContentInfo");
  }
  ERR_clear_error();
  return der;
}

// Reads `bytes`, or their other form, which then is in `storage`.
Result<Message> read(ByteView bytes, Bytes& storage) {
  if (bytes.size() > kMaxCmsBytes) return fail(Code::format_invalid, "CMS: larger than {} bytes", kMaxCmsBytes);
  auto message = parse(bytes);
  if (message) return message;
  storage = normalised(bytes);
  if (storage.empty() || storage.size() > kMaxCmsBytes) return message;
  return parse(storage);
}

Result<SecretBytes> open_content(const Message& message, ByteView key) {
  if (message.cipher.gcm) return aes_gcm_open(key, message.iv, {}, message.content);
  return aes_cbc_open(key, message.iv, message.content);
}

}  // namespace

Result<SecretBytes> cms_decrypt(ByteView message_bytes, const PrivateKey& key,
                                const std::function<bool(ByteView content)>& accept) {
  if (key.kind() != KeyKind::rsa) return fail(Code::key_invalid, "CMS with a {} key", key_kind_name(key.kind()));
  Bytes storage;
  TRY_ASSIGN(const auto message, read(message_bytes, storage));
  SystemRandom random;
  for (const auto wrapped_key : message.wrapped_keys) {
    SecretBytes substitute(message.cipher.key_size);
    random.fill(substitute.mutable_view());
    const auto content_key = rsa_pkcs1_decrypt(key, wrapped_key, std::move(substitute));
    auto content = open_content(message, content_key.view());
    if (content && accept(content->view())) return content;
  }
  return fail(Code::unwrap_failed, "the CMS message cannot be opened with this key");
}

Result<std::size_t> cms_recipients(ByteView message_bytes) {
  Bytes storage;
  TRY_ASSIGN(const auto message, read(message_bytes, storage));
  return message.wrapped_keys.size();
}

}  // namespace proplet::crypto
