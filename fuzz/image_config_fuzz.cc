// Image configs: one digest for each layer or none, and a layer with other bytes is refused.
#include "fuzz.h"
#include "module/image_config.h"

using proplet::fuzz::check;
namespace module = proplet::module;
namespace oci = proplet::oci;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = proplet::fuzz::text_input(data, size);
  const oci::Digest digest = oci::Digest::of({data, size});
  for (const std::string_view type :
       {"application/vnd.oci.image.config.v1+json", "application/vnd.wasm.config.v0+json"}) {
    const auto config = module::parse_image_config(text, type, 1);
    if (!config) continue;
    check(config->diff_ids.size() <= 1 && config->layer_digests.size() <= 1, "no more digests than layers");
    const bool accepted = config->verify_layer(0, digest, {data, size}).has_value();
    // A text cannot contain its own digest.
    check(!accepted || (config->diff_ids.empty() && config->layer_digests.empty()), "other bytes are refused");
  }
  return 0;
}
