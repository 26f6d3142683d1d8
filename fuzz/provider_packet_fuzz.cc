// Key provider packets and the key encryption keys of brokers: what is read is written again unchanged.
#include "fuzz.h"
#include "ocicrypt/key_wrap.h"

namespace ocicrypt = proplet::ocicrypt;
using proplet::fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = proplet::fuzz::text_input(data, size);
  if (const auto packet = ocicrypt::parse_provider_packet(text)) {
    const std::size_t iv_size = packet->wrap_type == ocicrypt::ProviderPacket::WrapType::a256gcm ? 12 : 16;
    check(packet->iv.size() == iv_size, "the IV fits the algorithm");
    const auto again = ocicrypt::parse_provider_packet(ocicrypt::serialize(*packet));
    check(again.has_value(), "a packet we write can be read");
    check(again->key_id == packet->key_id && again->wrapped_data == packet->wrapped_data && again->iv == packet->iv &&
              again->wrap_type == packet->wrap_type,
          "a packet we write says the same");
  }
  if (const auto key = ocicrypt::decode_key_encryption_key({data, size})) {
    check(key->size() == 32, "a key encryption key has 32 bytes");
  }
  return 0;
}
