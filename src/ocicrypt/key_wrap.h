// Wrapping of a layer's private options: the packets in the `enc.keys.*` annotations.
//
// Two schemes, both directions: the packet of Confidential Containers' key provider ("attestation-agent"; Propeller
// uses it too), and JWE recipients. A KeySource answers "what is the key with this id?": for provider packets the key
// encryption key, for JWE the recipient's private key, in both cases what the key broker releases.
#pragma once

#include <functional>
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

Result<ProviderPacket> parse_provider_packet(std::string_view json_text);
std::string serialize(const ProviderPacket& packet);
Result<ProviderPacket> wrap_with_kek(ByteView key_encryption_key, std::string_view key_id,
                                     const PrivateOptions& options, Random& random);

// A key encryption key as a key broker may hold it: 32 raw bytes, or base64, base64url or hex text of them with white
// space around, or a JWK of kty "oct". Anything else is KEY_INVALID.
Result<SecretBytes> decode_key_encryption_key(ByteView resource);

// base64(packet) joined by commas, as the annotation holds it. At most 64 packets, strict base64.
Result<std::vector<Bytes>> split_packets(std::string_view annotation);

struct LayerKeys {
  PublicOptions public_options;
  PrivateOptions private_options;
};

// How `unwrap_layer` gets keys. `kek` is asked with the key id of a provider packet and returns the resource as the
// broker released it (decoded here). `private_key` is asked once when the layer has JWE recipients; it may be empty
// when there is no such key, then JWE recipients do not count. Errors of either end the unwrapping.
struct KeySource {
  std::function<Result<SecretBytes>(std::string_view key_id)> kek;
  std::function<Result<SecretBytes>()> private_key;
  bool allow_unauthenticated_ctr = true;  // A256CTR packets carry no tag; reading them is what peers do
};

// Reads the annotations of an encrypted layer and unwraps its keys: provider packets first, then JWE. Annotations
// without any usable recipient are ANNOTATION_INVALID; a key that does not fit is UNWRAP_FAILED.
Result<LayerKeys> unwrap_layer(const Annotations& annotations, const KeySource& keys);

}  // namespace proplet::ocicrypt
