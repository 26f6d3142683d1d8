// CMS envelopes: nothing opens but with the recipient's key, and recipients are bounded.
#include "base/fd.h"
#include "crypto/cms.h"
#include "fuzz.h"

namespace crypto = proplet::crypto;
using proplet::fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto key =
      crypto::PrivateKey::from_any(proplet::read_file(PROPLET_VECTORS "/ocicrypt/keys/rsa2.key.pem", 65536).value());
  check(key.has_value(), "the vectors have the key");
  const proplet::ByteView message(data, size);
  const auto recipients = crypto::cms_recipients(message);
  if (recipients) check(*recipients <= crypto::kMaxCmsRecipients, "recipients are bounded");
  const auto opened = crypto::cms_decrypt(message, *key, [](proplet::ByteView) { return false; });
  check(!opened, "what nobody accepts does not open");
  return 0;
}
