// Wrapping of a layer's private options: the packets in the `enc.keys.*` annotations.
//
// Three schemes: the packet of Confidential Containers' key provider ("attestation-agent"; Propeller uses it too), JWE
// recipients, and PKCS#7 recipients, which are read but never written. Packets are read in version 0.1.0 for provider
// "kbs", with or without the newer members, and in the form of integers from before 2023; under any provider's name,
// for readers in the field do not look at it. OpenPGP, PKCS#11 and packets of other key services are refused by name.
// The key that Confidential Containers publishes as a sample, and its key id, are refused everywhere.
// A KeySource answers "what is the key with this id?": for provider packets the key encryption key, for JWE and PKCS#7
// the recipient's private key, in both cases what the key broker releases.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret_bytes.h"
#include "crypto/key.h"
#include "ocicrypt/layer.h"

namespace proplet::ocicrypt {

// The packet of provider `attestation-agent`, version 1 (and 2 for provider "kbs"):
// {"kid","wrapped_data","iv","wrap_type"}.
struct ProviderPacket {
  enum class WrapType : std::uint8_t { a256gcm, a256ctr };
  std::string key_id;  // as written: "kbs:///default/key/k1"
  Bytes wrapped_data;  // GCM: ciphertext ‖ tag
  Bytes iv;            // 12 bytes for GCM, 16 for CTR
  WrapType wrap_type = WrapType::a256gcm;
};

// ANNOTATION_INVALID for every other shape. The key id is bounded and printable, but not yet a valid resource.
Result<ProviderPacket> parse_provider_packet(std::string_view json_text);
std::string serialize(const ProviderPacket& packet);
// AES-256-GCM under a fresh random iv. KEY_INVALID unless the key has 32 bytes.
Result<ProviderPacket> wrap_with_kek(ByteView key_encryption_key, std::string_view key_id,
                                     const PrivateOptions& options, Random& random);

// The private options in a packet. UNWRAP_FAILED for a key that does not fit, without details; A256CTR, which carries
// no tag, shows that only by what comes out making no sense.
Result<SecretBytes> open_packet(const ProviderPacket& packet, ByteView key_encryption_key);

// The values of the annotations kAttestationAgentKeysKey and kJweKeysKey for freshly encrypted options. JWE is written
// as one flattened message for each recipient, RSA-OAEP or ECDH-ES+A256KW by the kind of key: the form every reader
// opens.
Result<std::string> provider_annotation(ByteView key_encryption_key, std::string_view key_id,
                                        const PrivateOptions& options, Random& random);
Result<std::string> wrap_for_recipients(const PrivateOptions& options, std::span<const crypto::PublicKey> recipients);

// What opening a layer would ask for, without asking: the key ids of all provider packets, in the order they are tried
// (empty without such packets; ANNOTATION_INVALID if one of attestation-agent's is malformed; what other providers hold
// may be of a kind of their own), and whether there are recipients with key pairs. Callers compare the ids with the key
// the task names before any key broker hears of them.
Result<std::vector<std::string>> provider_key_ids(const Annotations& annotations);
bool has_key_pair_recipients(const Annotations& annotations);
// "jwe, pkcs7, provider.x": for people, so bounded; "none" without any.
std::string schemes_of(const Annotations& annotations);

// One who may open a layer, as far as the annotations tell; for people, so printable and bounded.
struct Recipient {
  std::string scheme;     // "provider.attestation-agent", "jwe"
  std::string algorithm;  // "A256GCM", "RSA-OAEP"; empty when it cannot be told
  std::string key_id;     // "kbs:///default/key/k1"; empty when none is given
  bool readable = false;  // this software could use it, given the key
};
// All of them, in the order they are tried; those of schemes that are not read come last.
std::vector<Recipient> recipients_of(const Annotations& annotations);

// A key encryption key as a key broker may hold it: 32 raw bytes, or base64, base64url or hex text of them with white
// space around, or a JWK of kty "oct". Anything else is KEY_INVALID.
Result<SecretBytes> decode_key_encryption_key(ByteView resource);
// KEY_INVALID unless it has 32 bytes and is not the published sample key.
Status check_key_encryption_key(ByteView key_encryption_key);

// base64(packet) joined by commas, as the annotation holds it. At most 64 packets, strict base64; one malformed item
// makes the whole value ANNOTATION_INVALID.
Result<std::vector<Bytes>> split_packets(std::string_view annotation);

struct LayerKeys {
  PublicOptions public_options;
  PrivateOptions private_options;
};

// How `unwrap_layer` gets keys. `kek` is asked with the key id of a provider packet, once for each distinct id, and
// returns the resource as the broker released it (decoded here). `private_key` is asked once when the layer has JWE or
// PKCS#7 recipients and no provider packet could be opened. Either may be empty; then its scheme does not count.
struct KeySource {
  std::function<Result<SecretBytes>(std::string_view key_id)> kek;
  std::function<Result<SecretBytes>()> private_key;
  // A256CTR packets carry no tag; older tools write them, so they are read. To turn one (or a GCM packet, which is CTR
  // inside) into another with a layer key of his choice, an attacker must know its content; and who knows that can
  // encrypt what he likes under the packet as it is. Origin is for digests and signatures to prove, not for packets.
  bool allow_unauthenticated_ctr = true;
};

// Reads the annotations of an encrypted layer and unwraps its keys: provider packets first, then JWE, then PKCS#7, each
// in the order written, going on after a failure. When nothing opens, an error of a KeySource function is returned as
// it is; a key that does not fit is UNWRAP_FAILED without details; annotations without any usable recipient are
// ANNOTATION_INVALID. CANCELLED, TASK_STOPPED and TASK_TIMEOUT from a KeySource function end the search at once.
Result<LayerKeys> unwrap_layer(const Annotations& annotations, const KeySource& keys);

}  // namespace proplet::ocicrypt
