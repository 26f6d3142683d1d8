// ImageOpener turns an image into a verified Module in memory, decrypting it when it is encrypted.
//
// Order matters. The manifest decides first (image_plan.h); then the key ids of the annotations are held against
// the key that the task names, before anybody is asked for a key; then the layers are pulled while the key
// broker releases the key; then every layer is verified and decrypted, its plaintext held against the digests of
// the config, and its beginning against WebAssembly's. Nothing confidential reaches a file. Thread-safe; `open` blocks
// and ends within 100 ms of a stop request.
#pragma once

#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/stage.h"
#include "kbs/client.h"
#include "module/image_config.h"
#include "module/image_keys.h"
#include "module/image_plan.h"
#include "module/module.h"
#include "oci/image.h"

namespace proplet::module {

struct ImageOpenerOptions {
  // Bounds the module, all layers of an image together, and (with a little for archive headers) what they unpack to.
  std::size_t max_module_bytes = std::size_t{100} << 20;
  // Blobs of one image that are pulled at a time.
  std::size_t parallel_pulls = 4;
  // host[:port] of the configured key broker: the only host that a key id may name.
  std::string broker_host;
  // The key for images that name none (JWE recipients) in tasks that name none.
  std::optional<kbs::ResourceUri> default_key;
};

class ImageOpener {
 public:
  // `broker` is where keys come from, or the reason why there is none; encrypted images fail with that reason.
  ImageOpener(ImageOpenerOptions options, Result<kbs::Client*> broker)
      : options_(std::move(options)), broker_(std::move(broker)) {}

  // `wanted` is the key that the task names.
  Result<Module> open(oci::ImageSource& source, Encryption encryption, const std::optional<kbs::ResourceUri>& wanted,
                      StageObserver* observer, std::stop_token stop) const;

 private:
  struct Content;
  struct Layers;
  Result<Content> pull(oci::ImageSource& source, const oci::Image& image, const ImagePlan& plan,
                       StageObserver* observer, const std::stop_token& stop) const;
  Result<Module> open_plain(oci::ImageSource& source, const oci::Image& image, const ImagePlan& plan,
                            StageObserver* observer, const std::stop_token& stop) const;
  Result<Module> open_encrypted(oci::ImageSource& source, const oci::Image& image, const ImagePlan& plan,
                                const std::optional<kbs::ResourceUri>& wanted, StageObserver* observer,
                                const std::stop_token& stop) const;
  // The ciphertext travels while the key broker is asked. Whichever fails first ends the other.
  Result<Layers> pull_and_unwrap(oci::ImageSource& source, const oci::Image& image, const ImagePlan& plan,
                                 const KeyRules& rules, StageObserver* observer, const std::stop_token& stop) const;
  Result<std::vector<ocicrypt::LayerKeys>> unwrap_keys(const oci::Image& image, const ImagePlan& plan,
                                                       const KeyRules& rules, StageObserver* observer,
                                                       const std::stop_token& stop) const;
  Result<SecretBytes> decrypt(const oci::Image& image, const ImagePlan& plan, Layers layers, StageObserver* observer,
                              const std::stop_token& stop) const;
  Result<SecretBytes> assemble(const oci::Image& image, const ImagePlan& plan, Content content,
                               const std::stop_token& stop) const;

  ImageOpenerOptions options_;
  Result<kbs::Client*> broker_;
};

}  // namespace proplet::module
