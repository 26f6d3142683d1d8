// The way from a layer's annotations to its keys, and back.
#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/encoding.h"
#include "crypto/cipher.h"
#include "crypto/cms.h"
#include "crypto/jwe.h"
#include "ocicrypt/key_wrap.h"

namespace proplet::ocicrypt {
namespace {

constexpr std::string_view kKeysPrefix = "org.opencontainers.image.enc.keys.";
constexpr std::size_t kMaxPackets = 64;
constexpr std::size_t kMaxAnnotation = std::size_t{1} << 20;  // characters of one annotation

// What ocicrypt's readers open, whoever wrote it. No RSA1_5.
const std::vector<crypto::JweAlgorithm>& readable_algorithms() {
  static const std::vector<crypto::JweAlgorithm> algorithms = {
      crypto::JweAlgorithm::rsa_oaep,       crypto::JweAlgorithm::rsa_oaep_256,   crypto::JweAlgorithm::ecdh_es,
      crypto::JweAlgorithm::ecdh_es_a128kw, crypto::JweAlgorithm::ecdh_es_a192kw, crypto::JweAlgorithm::ecdh_es_a256kw};
  return algorithms;
}

const std::string* annotation(const Annotations& annotations, std::string_view key) {
  const auto found = annotations.find(std::string(key));
  return found == annotations.end() ? nullptr : &found->second;
}

struct ProviderValue {
  std::string_view text;
  bool own;  // of the provider whose packets we know, so that a malformed one is an error
};

// The annotations of all key providers, the one we write first.
std::vector<ProviderValue> provider_values(const Annotations& annotations) {
  std::vector<ProviderValue> values;
  if (const auto* own = annotation(annotations, kAttestationAgentKeysKey)) values.push_back({*own, true});
  for (auto each = annotations.lower_bound(std::string(kProviderKeysPrefix)); each != annotations.end(); ++each) {
    if (!each->first.starts_with(kProviderKeysPrefix)) break;
    if (each->first != kAttestationAgentKeysKey) values.push_back({each->second, false});
  }
  return values;
}

bool ends_search(Code code) {
  return code == Code::cancelled || code == Code::task_stopped || code == Code::task_timeout;
}

// Tries packets one after another and keeps the error that says most, should none open.
class Unwrapper {
 public:
  Unwrapper(const PublicOptions& public_options, const KeySource& keys)
      : public_options_(public_options), keys_(keys) {}

  std::optional<PrivateOptions> try_provider(std::string_view annotation_value);
  std::optional<PrivateOptions> try_jwe(std::string_view annotation_value);
  std::optional<PrivateOptions> try_pkcs7(std::string_view annotation_value);
  [[nodiscard]] bool stopped() const { return key_error_ && ends_search(key_error_->code()); }
  // Nothing if no recipient was of a kind that could be tried.
  [[nodiscard]] std::optional<Error> failure() const;

 private:
  std::optional<PrivateOptions> try_packet(ByteView text);
  const SecretBytes* key_for(const std::string& key_id);
  // The packets of an annotation, and the key of the recipient; nothing, with the reason kept, if either is missing.
  std::optional<std::vector<Bytes>> packets_for_private_key(std::string_view annotation_value);
  std::optional<PrivateOptions> accept(const SecretBytes& options_text, bool authenticated);
  static void keep(std::optional<Error>& slot, Error error) {
    if (!slot) slot = std::move(error);
  }

  const PublicOptions& public_options_;
  const KeySource& keys_;
  std::map<std::string, std::optional<SecretBytes>> keks_;  // by key id; nothing for one that could not be had
  bool asked_for_private_key_ = false;
  std::optional<crypto::PrivateKey> private_key_;
  bool attempted_ = false;              // a key was tried on a packet
  std::optional<Error> key_error_;      // of the key source
  std::optional<Error> content_error_;  // in options that were authentic
  std::optional<Error> format_error_;   // in an annotation or packet
};

std::optional<PrivateOptions> Unwrapper::accept(const SecretBytes& options_text, bool authenticated) {
  auto options = parse_private_options(options_text.view(), public_options_.nonce);
  if (options) return std::move(*options);
  // Without authentication a wrong key shows as malformed options; telling how they are malformed would be an oracle.
  if (authenticated) keep(content_error_, std::move(options).error());
  return std::nullopt;
}

const SecretBytes* Unwrapper::key_for(const std::string& key_id) {
  if (const auto known = keks_.find(key_id); known != keks_.end()) return known->second ? &*known->second : nullptr;
  auto& slot = keks_[key_id];
  const auto resource = keys_.kek(key_id);
  if (!resource) {
    keep(key_error_, resource.error());
    if (ends_search(resource.error().code())) key_error_ = resource.error();
    return nullptr;
  }
  auto key = decode_key_encryption_key(resource->view());
  if (!key) {
    keep(key_error_, std::move(key).error().because(fmt::format("resource {}", key_id)));
    return nullptr;
  }
  slot = std::move(*key);
  return &*slot;
}

std::optional<PrivateOptions> Unwrapper::try_packet(ByteView text) {
  const auto packet = parse_provider_packet(text_of(text));
  if (!packet) {
    keep(format_error_, packet.error());
    return std::nullopt;
  }
  const bool authenticated = packet->wrap_type == ProviderPacket::WrapType::a256gcm;
  if (!authenticated && !keys_.allow_unauthenticated_ctr) {
    keep(format_error_, Error(Code::annotation_invalid, "key packet: unauthenticated A256CTR is not allowed here"));
    return std::nullopt;
  }
  const auto* key = key_for(packet->key_id);
  if (key == nullptr) return std::nullopt;
  attempted_ = true;
  const auto opened = open_packet(*packet, key->view());
  return opened ? accept(*opened, authenticated) : std::nullopt;
}

std::optional<PrivateOptions> Unwrapper::try_provider(std::string_view annotation_value) {
  if (!keys_.kek) return std::nullopt;
  const auto packets = split_packets(annotation_value);
  if (!packets) {
    keep(format_error_, packets.error());
    return std::nullopt;
  }
  for (const auto& packet : *packets) {
    if (auto options = try_packet(packet)) return options;
    if (stopped()) return std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::vector<Bytes>> Unwrapper::packets_for_private_key(std::string_view annotation_value) {
  if (!keys_.private_key) return std::nullopt;
  auto packets = split_packets(annotation_value);
  if (!packets) {
    keep(format_error_, packets.error());
    return std::nullopt;
  }
  if (!std::exchange(asked_for_private_key_, true)) {
    const auto resource = keys_.private_key();
    auto key = resource ? crypto::PrivateKey::from_any(resource->view())
                        : Result<crypto::PrivateKey>(fail(Error(resource.error())));
    if (key) {
      private_key_ = *std::move(key);
    } else if (resource) {
      keep(key_error_, std::move(key).error().because("private key of the layer's recipient"));
    } else {
      keep(key_error_, resource.error());
    }
  }
  if (!private_key_) return std::nullopt;
  attempted_ = true;
  return *std::move(packets);
}

std::optional<PrivateOptions> Unwrapper::try_jwe(std::string_view annotation_value) {
  const auto packets = packets_for_private_key(annotation_value);
  if (!packets) return std::nullopt;
  for (const auto& packet : *packets) {
    const auto opened =
        crypto::jwe_decrypt(text_of(packet), *private_key_, readable_algorithms(), crypto::JweContent::any);
    if (!opened) continue;
    if (auto options = accept(*opened, true)) return options;
  }
  return std::nullopt;
}

std::optional<PrivateOptions> Unwrapper::try_pkcs7(std::string_view annotation_value) {
  const auto packets = packets_for_private_key(annotation_value);
  if (!packets || private_key_->kind() != crypto::KeyKind::rsa) return std::nullopt;
  // Sense is the sign of the right key, and of one that nobody has tampered with: one answer for all that can be wrong.
  std::optional<PrivateOptions> options;
  const auto makes_sense = [&](ByteView text) {
    auto parsed = parse_private_options(text, public_options_.nonce);
    if (parsed) options = std::move(*parsed);
    return options.has_value();
  };
  for (const auto& packet : *packets) {
    const auto opened = crypto::cms_decrypt(packet, *private_key_, makes_sense);
    if (opened) return options;
    if (opened.error().code() == Code::format_invalid) {
      keep(format_error_, Error(Code::annotation_invalid, opened.error().message()));
    }
  }
  return std::nullopt;
}

std::optional<Error> Unwrapper::failure() const {
  if (key_error_) return key_error_;
  if (content_error_) return content_error_;
  if (attempted_) return Error(Code::unwrap_failed, "none of the layer's wrapped keys opens with this key");
  return format_error_;
}

}  // namespace

std::string schemes_of(const Annotations& annotations) {
  constexpr std::size_t kMaxShown = 200;
  std::string schemes;
  for (const auto& [key, value] : annotations) {
    if (!key.starts_with(kKeysPrefix)) continue;
    if (!schemes.empty()) schemes += ", ";
    schemes += key.substr(kKeysPrefix.size());
    if (schemes.size() > kMaxShown) return schemes.substr(0, kMaxShown) + "...";
  }
  return schemes.empty() ? "none" : schemes;
}

Result<std::vector<Bytes>> split_packets(std::string_view annotation_value) {
  if (annotation_value.size() > kMaxAnnotation) {
    return fail(Code::annotation_invalid, "key annotation is larger than 1 MiB");
  }
  std::vector<Bytes> packets;
  for (std::size_t start = 0; start <= annotation_value.size();) {
    if (packets.size() == kMaxPackets) return fail(Code::annotation_invalid, "key annotation has more than 64 packets");
    const auto end = std::min(annotation_value.find(',', start), annotation_value.size());
    auto packet = base64_decode(annotation_value.substr(start, end - start));
    if (!packet || packet->empty()) {
      return fail(Code::annotation_invalid, "item {} of the key annotation is not base64", packets.size());
    }
    packets.push_back(std::move(*packet));
    start = end + 1;
  }
  return packets;
}

Result<std::vector<std::string>> provider_key_ids(const Annotations& annotations) {
  std::vector<std::string> key_ids;
  for (const auto& value : provider_values(annotations)) {
    const auto packets = split_packets(value.text);
    if (!packets && value.own) return fail(Error(packets.error()));
    if (!packets) continue;
    for (const auto& packet : *packets) {
      auto parsed = parse_provider_packet(text_of(packet));
      if (!parsed && value.own) return fail(std::move(parsed).error());
      if (parsed) key_ids.push_back(std::move(parsed->key_id));
    }
  }
  return key_ids;
}

bool has_key_pair_recipients(const Annotations& annotations) {
  return annotation(annotations, kJweKeysKey) != nullptr || annotation(annotations, kPkcs7KeysKey) != nullptr;
}

Result<LayerKeys> unwrap_layer(const Annotations& annotations, const KeySource& keys) {
  TRY_ASSIGN(auto public_options, public_options_of(annotations));
  Unwrapper unwrapper(public_options, keys);
  std::optional<PrivateOptions> opened;
  for (const auto& value : provider_values(annotations)) {
    if (!opened && !unwrapper.stopped()) opened = unwrapper.try_provider(value.text);
  }
  if (!opened && !unwrapper.stopped()) {
    if (const auto* value = annotation(annotations, kJweKeysKey)) opened = unwrapper.try_jwe(*value);
  }
  if (!opened && !unwrapper.stopped()) {
    if (const auto* value = annotation(annotations, kPkcs7KeysKey)) opened = unwrapper.try_pkcs7(*value);
  }
  if (!opened) {
    if (auto failure = unwrapper.failure()) return fail(std::move(*failure));
    return fail(Code::annotation_invalid, "no recipient of the layer can be opened here; it has: {}",
                schemes_of(annotations));
  }
  return LayerKeys{.public_options = std::move(public_options), .private_options = std::move(*opened)};
}

Result<std::string> provider_annotation(ByteView key_encryption_key, std::string_view key_id,
                                        const PrivateOptions& options, Random& random) {
  TRY_ASSIGN(const auto packet, wrap_with_kek(key_encryption_key, key_id, options, random));
  return base64_encode(bytes_of(serialize(packet)));
}

Result<std::string> wrap_for_recipients(const PrivateOptions& options, std::span<const crypto::PublicKey> recipients) {
  if (recipients.empty() || recipients.size() > kMaxPackets) {
    return fail(Code::key_invalid, "{} recipients; 1 to {} are possible", recipients.size(), kMaxPackets);
  }
  const auto plaintext = serialize(options);
  std::string value;
  for (const auto& recipient : recipients) {
    TRY_ASSIGN(const auto algorithm, crypto::default_jwe_algorithm(recipient.kind()));
    TRY_ASSIGN(const auto jwe, crypto::jwe_encrypt(recipient, algorithm, plaintext.view()));
    if (!value.empty()) value += ',';
    value += base64_encode(bytes_of(jwe));
  }
  return value;
}

}  // namespace proplet::ocicrypt
