#include "ocicrypt/layer.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/json.h"
#include "crypto/cipher.h"
#include "crypto/secret_json.h"

namespace proplet::ocicrypt {
namespace {

constexpr std::string_view kCipher = "AES_256_CTR_HMAC_SHA256";
constexpr std::size_t kHmacSize = 32;
constexpr std::size_t kMaxOptions = std::size_t{16} << 10;  // bytes of either options' JSON text
constexpr std::size_t kMaxDigestText = 256;
constexpr json::Limits kOptionLimits = {.bytes = kMaxOptions, .depth = 8};
// Small enough that a block is still in the cache when the second algorithm reads it.
constexpr std::size_t kBlockSize = std::size_t{64} << 10;

tl::unexpected<Error> invalid(std::string_view what) { return fail(Code::annotation_invalid, "{}", what); }

// `cipheroptions` of either options: null and absent mean empty. Returns the nonce, or nothing.
Result<Bytes> nonce_of(const json::object& options, std::string_view whose) {
  const auto* member = options.if_contains("cipheroptions");
  if (member == nullptr || member->is_null()) return Bytes();
  const auto* cipher_options = member->if_object();
  if (cipher_options == nullptr) return invalid(fmt::format("{} cipheroptions is not an object", whose));
  if (!cipher_options->contains("nonce")) return Bytes();
  const auto text = crypto::string_member(*cipher_options, "nonce");
  if (!text) return invalid(fmt::format("{} nonce is not a string", whose));
  auto nonce = base64_decode(*text);
  if (!nonce || nonce->size() != crypto::kCtrNonceSize) {
    return invalid(fmt::format("{} nonce is not the base64 of 16 bytes", whose));
  }
  return std::move(*nonce);
}

Result<std::string> digest_of(const json::object& options) {
  if (!options.contains("digest")) return std::string();
  const auto text = crypto::string_member(options, "digest");
  if (!text || text->size() > kMaxDigestText) return invalid("private digest is not a digest");
  return std::string(*text);
}

template <class Each>
void for_each_block(std::size_t size, Each each) {
  for (std::size_t offset = 0; offset < size; offset += kBlockSize) each(offset, std::min(kBlockSize, size - offset));
}

}  // namespace

Result<bool> is_encrypted(std::string_view media_type, const Annotations& annotations) {
  const bool suffixed = media_type.ends_with(kEncryptedSuffix);
  if (suffixed && media_type.find(kEncryptedSuffix) != media_type.size() - kEncryptedSuffix.size()) {
    return fail(Code::annotation_invalid, "media type {} is marked encrypted twice", media_type);
  }
  const auto first = annotations.lower_bound(std::string(kAnnotationPrefix));
  const bool annotated = first != annotations.end() && first->first.starts_with(kAnnotationPrefix);
  if (suffixed && !annotated) {
    return fail(Code::annotation_invalid, "layer of type {} has no encryption annotations", media_type);
  }
  if (!suffixed && annotated) {
    return fail(Code::annotation_invalid, "layer of type {} has encryption annotations but no {} suffix", media_type,
                kEncryptedSuffix);
  }
  return suffixed;
}

Result<PublicOptions> parse_public_options(std::string_view json_text) {
  const auto object = json::parse_object(json_text, kOptionLimits);
  if (!object) return invalid("public options are not a JSON object");
  const auto cipher = crypto::string_member(*object, "cipher");
  if (!cipher || *cipher != kCipher) return invalid(fmt::format("public options name another cipher than {}", kCipher));
  const auto hmac_text = crypto::string_member(*object, "hmac");
  const auto hmac = hmac_text ? base64_decode(*hmac_text) : Result<Bytes>(Bytes());
  if (!hmac || hmac->size() != kHmacSize) return invalid("public options hold no HMAC of 32 bytes in base64");
  PublicOptions options;
  std::ranges::copy(*hmac, options.hmac.begin());
  TRY_ASSIGN(options.nonce, nonce_of(*object, "public"));
  return options;
}

Result<PublicOptions> public_options_of(const Annotations& annotations) {
  const auto found = annotations.find(std::string(kPublicOptionsKey));
  if (found == annotations.end()) return fail(Code::annotation_invalid, "annotation {} is missing", kPublicOptionsKey);
  const auto text = base64_decode(found->second);
  if (!text) return fail(Code::annotation_invalid, "annotation {} is not base64", kPublicOptionsKey);
  return parse_public_options(text_of(*text));
}

Result<PrivateOptions> parse_private_options(ByteView json_text, ByteView public_nonce) {
  const auto json = crypto::SecretJson::parse(json_text, kOptionLimits);
  if (!json) return invalid("private options are not a JSON object");
  const auto key_text = crypto::string_member(json->object(), "symkey");
  auto key = key_text ? base64_decode_secret(*key_text) : Result<SecretBytes>(SecretBytes());
  if (!key || key->size() != crypto::kAes256KeySize) {
    return fail(Code::key_invalid, "private options hold no layer key of 32 bytes");
  }
  PrivateOptions options{.key = std::move(*key), .digest = {}, .nonce = {}};
  TRY_ASSIGN(options.digest, digest_of(json->object()));
  TRY_ASSIGN(options.nonce, nonce_of(json->object(), "private"));
  // Other readers fall back to the public nonce, which nothing authenticates, or to a random one. Both give garbage
  // with a valid HMAC, so both are refused.
  if (options.nonce.empty()) return invalid("private options hold no nonce");
  if (!public_nonce.empty() && !equal_constant_time(public_nonce, options.nonce)) {
    return invalid("public and private nonce differ");
  }
  return options;
}

std::string serialize(const PublicOptions& options) {
  json::object cipher_options;
  if (!options.nonce.empty()) cipher_options["nonce"] = base64_encode(options.nonce);
  const json::object object = {
      {"cipher", kCipher}, {"hmac", base64_encode(options.hmac)}, {"cipheroptions", std::move(cipher_options)}};
  return json::serialize(object);
}

std::string public_options_annotation(const PublicOptions& options) {
  return base64_encode(bytes_of(serialize(options)));
}

SecretBytes serialize(const PrivateOptions& options) {
  auto key = base64_encode(options.key.view());
  auto text = fmt::format(R"({{"symkey":"{}","digest":{},"cipheroptions":{{"nonce":"{}"}}}})", key,
                          json::serialize(json::value(options.digest)), base64_encode(options.nonce));
  auto serialized = SecretBytes::copy_of(bytes_of(text));
  wipe(text);
  wipe(key);
  return serialized;
}

EncryptedLayer encrypt_layer(ByteView plaintext, Random& random) {
  EncryptedLayer layer;
  layer.private_options.key = SecretBytes(crypto::kAes256KeySize);
  random.fill(layer.private_options.key.mutable_view());
  layer.private_options.nonce.resize(crypto::kCtrNonceSize);
  random.fill(layer.private_options.nonce);

  auto cipher = crypto::AesCtr::create(layer.private_options.key.view(), layer.private_options.nonce).value();
  crypto::HmacSha256 hmac(layer.private_options.key.view());
  crypto::Hasher hasher(crypto::DigestAlgorithm::sha256);
  layer.ciphertext.resize(plaintext.size());
  for_each_block(plaintext.size(), [&](std::size_t offset, std::size_t size) {
    const auto in = plaintext.subspan(offset, size);
    const auto out = MutableByteView(layer.ciphertext).subspan(offset, size);
    hasher.update(in);
    cipher.apply(in, out);
    hmac.update(out);
  });
  layer.private_options.digest = "sha256:" + hex_encode(hasher.finish());
  layer.public_options.hmac = hmac.finish();
  return layer;
}

Result<SecretBytes> decrypt_in_place(SecretBytes layer, const PublicOptions& public_options,
                                     const PrivateOptions& private_options) {
  TRY_ASSIGN(auto cipher, crypto::AesCtr::create(private_options.key.view(), private_options.nonce));
  crypto::HmacSha256 hmac(private_options.key.view());
  for_each_block(layer.size(), [&](std::size_t offset, std::size_t size) {
    const auto block = layer.mutable_view().subspan(offset, size);
    hmac.update(block);
    cipher.apply(block, block);
  });
  // Decrypted, but still owned here: on a mismatch `layer` dies wiped and nobody has seen it.
  if (!equal_constant_time(hmac.finish(), public_options.hmac)) {
    return fail(Code::mac_mismatch, "the layer's HMAC does not match its annotation");
  }
  return layer;
}

}  // namespace proplet::ocicrypt
