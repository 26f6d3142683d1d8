// The annotations of an encrypted layer, as a JSON object: nothing unwraps but whole keys, and splitting is exact.
#include <algorithm>
#include <string>

#include "base/encoding.h"
#include "base/fd.h"
#include "base/json.h"
#include "fuzz.h"
#include "ocicrypt/key_wrap.h"

namespace ocicrypt = proplet::ocicrypt;
using proplet::fuzz::check;

namespace {

proplet::SecretBytes key_from_vectors(const std::string& name) {
  constexpr std::size_t kMaxKeyBytes = 65536;
  const auto bytes = proplet::read_file(std::string(PROPLET_VECTORS "/ocicrypt/keys/") + name, kMaxKeyBytes);
  check(bytes.has_value(), "the vectors have the key");
  return proplet::SecretBytes::copy_of(*bytes);
}

void check_split(std::string_view annotation) {
  const auto packets = ocicrypt::split_packets(annotation);
  if (!packets) return;
  check(packets->size() <= 64, "the number of packets is bounded");
  std::string joined;
  for (const auto& packet : *packets) joined += (joined.empty() ? "" : ",") + proplet::base64_encode(packet);
  check(joined == annotation, "joining undoes splitting");
}

ocicrypt::Annotations annotations_of(const proplet::json::object& object) {
  ocicrypt::Annotations annotations;
  for (const auto& member : object) {
    if (const auto* text = member.value().if_string()) annotations[std::string(member.key())] = std::string(*text);
  }
  return annotations;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const proplet::SecretBytes kek = key_from_vectors("kek.bin");
  static const proplet::SecretBytes rsa = key_from_vectors("rsa1.key.pem");
  const std::string_view text = proplet::fuzz::text_input(data, size);
  check_split(text);
  const auto object = proplet::json::parse_object(text);
  if (!object) return 0;

  const ocicrypt::KeySource source{
      .kek = [](std::string_view) -> proplet::Result<proplet::SecretBytes> { return kek.clone(); },
      .private_key = []() -> proplet::Result<proplet::SecretBytes> { return rsa.clone(); }};
  const auto keys = ocicrypt::unwrap_layer(annotations_of(*object), source);
  if (!keys) return 0;
  check(keys->private_options.key.size() == 32, "the layer key has 32 bytes");
  check(keys->private_options.nonce.size() == 16, "the nonce has 16 bytes");
  auto layer = proplet::SecretBytes::copy_of({data, size});
  check(!ocicrypt::decrypt_in_place(std::move(layer), keys->public_options, keys->private_options),
        "annotations do not decrypt themselves");
  return 0;
}
