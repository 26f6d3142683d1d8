// Public and private options of an encrypted layer: what is read is written again unchanged.
#include "fuzz.h"
#include "ocicrypt/layer.h"

namespace ocicrypt = proplet::ocicrypt;
using proplet::fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (const auto options = ocicrypt::parse_public_options(proplet::fuzz::text_input(data, size))) {
    const auto again = ocicrypt::parse_public_options(ocicrypt::serialize(*options));
    check(again && again->hmac == options->hmac, "public options survive");
  }
  if (const auto options = ocicrypt::parse_private_options({data, size}, {})) {
    check(options->key.size() == 32 && options->nonce.size() == 16, "key and nonce have their sizes");
    const auto again = ocicrypt::parse_private_options(ocicrypt::serialize(*options).view(), options->nonce);
    check(again && again->key.equals(options->key.view()) && again->nonce == options->nonce &&
              again->digest == options->digest,
          "private options survive");
  }
  return 0;
}
