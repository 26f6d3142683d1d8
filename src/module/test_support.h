// For the tests of this folder: images built in memory, a key broker that counts, and sources that fail or block.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/encoding.h"
#include "base/fd.h"
#include "kbs/client.h"
#include "oci/image.h"
#include "ocicrypt/key_wrap.h"

namespace proplet::module::testing {

inline constexpr std::string_view kKeyId = "kbs:///default/key/k1";

inline Bytes vector_bytes(const std::string& name) {
  return read_file(std::string(PROPLET_VECTORS) + "/ocicrypt/" + name, 1 << 20).value();
}
// 41 bytes, exports `add`.
inline Bytes wasm() { return vector_bytes("module.wasm"); }
inline Bytes kek() { return vector_bytes("keys/kek.bin"); }

inline std::optional<kbs::ResourceUri> uri(std::string_view text) { return kbs::ResourceUri::parse(text).value(); }

// As a hostile writer might: the key id need not be one that ours would write.
inline std::string provider_annotation(std::string_view key_id, const ocicrypt::PrivateOptions& options) {
  SystemRandom random;
  auto packet = ocicrypt::wrap_with_kek(kek(), kKeyId, options, random).value();
  packet.key_id = key_id;
  return base64_encode(bytes_of(ocicrypt::serialize(packet)));
}

// Waits until somebody requests a stop.
inline Error wait_for_stop(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait(lock, stop, [] { return false; });
  return {Code::cancelled, "stopped"};
}

class FakeBroker final : public kbs::Client {
 public:
  Result<SecretBytes> get_resource(const kbs::ResourceUri& resource, StageObserver*, std::stop_token stop) override {
    asked.push_back(resource.path());
    if (blocks) return fail(wait_for_stop(stop));
    if (error) return fail(Error(*error));
    const auto found = resources.find(resource.path());
    return SecretBytes::copy_of(found == resources.end() ? answer : found->second);
  }

  Bytes answer;                            // whatever is asked for
  std::map<std::string, Bytes> resources;  // unless it is here
  std::optional<Error> error;
  bool blocks = false;
  std::vector<std::string> asked;
};

// An image in memory that serves itself.
class MemoryImage final : public oci::ImageSource {
 public:
  MemoryImage() { set_config("application/vnd.wasm.config.v1+json", "{}"); }

  void set_config(std::string media_type, std::string_view text) {
    manifest.config = oci::describe(std::move(media_type), bytes_of(text));
    blobs[manifest.config.digest.text()] = Bytes(bytes_of(text).begin(), bytes_of(text).end());
  }
  oci::Descriptor& add_layer(std::string media_type, ByteView content) {
    manifest.layers.push_back(oci::describe(std::move(media_type), content));
    blobs[manifest.layers.back().digest.text()] = Bytes(content.begin(), content.end());
    return manifest.layers.back();
  }
  // `flip`: which byte of the ciphertext is wrong, from the end; the digest is right nevertheless.
  oci::Descriptor& add_encrypted(std::string media_type, ByteView plaintext, std::string_view key_id = kKeyId,
                                 std::size_t flip = 0) {
    SystemRandom random;
    auto encrypted = ocicrypt::encrypt_layer(plaintext, random);
    if (flip > 0) encrypted.ciphertext[encrypted.ciphertext.size() - flip] ^= 1;
    auto& layer = add_layer(std::move(media_type) + "+encrypted", encrypted.ciphertext);
    layer.annotations[std::string(ocicrypt::kPublicOptionsKey)] =
        ocicrypt::public_options_annotation(encrypted.public_options);
    layer.annotations[std::string(ocicrypt::kAttestationAgentKeysKey)] =
        provider_annotation(key_id, encrypted.private_options);
    return layer;
  }

  [[nodiscard]] std::string name() const override { return "registry.example/add:1"; }
  Result<oci::RawManifest> resolve(std::stop_token) override {
    if (resolve_error) return fail(Error(*resolve_error));
    std::string text = oci::serialize(manifest);
    auto digest = oci::Digest::of(bytes_of(text));
    return oci::RawManifest{std::move(digest), std::string(oci::kOciManifestType), std::move(text)};
  }
  Result<oci::RawManifest> fetch_manifest(const oci::Descriptor&, std::stop_token) override {
    return fail(Code::image_not_found, "no index here");
  }
  Result<SecretBytes> fetch_blob(const oci::Descriptor& descriptor, std::size_t limit, std::stop_token stop) override {
    ++fetches;
    if (blocks) return fail(wait_for_stop(stop));
    if (error) return fail(Error(*error));
    if (descriptor.size > limit) return fail(Code::size_limit, "too large");
    return SecretBytes::copy_of(blobs.at(descriptor.digest.text()));
  }

  oci::Manifest manifest{.media_type = std::string(oci::kOciManifestType),
                         .artifact_type = {},
                         .config = oci::describe("application/vnd.wasm.config.v1+json", bytes_of("{}")),
                         .layers = {},
                         .subject = {},
                         .annotations = {}};
  std::map<std::string, Bytes> blobs;
  std::optional<Error> error;  // of blobs
  std::optional<Error> resolve_error;
  bool blocks = false;
  std::atomic<int> fetches = 0;
};

}  // namespace proplet::module::testing
