// The key provider protocol of ocicrypt, transport `cmd`: how skopeo and its relatives ask a program to wrap a layer's
// private options into a packet, and to unwrap one.
//
// The program gets one JSON document on stdin and answers with one on stdout. Byte strings come as base64, or as arrays
// of integers from some clients, and always leave as arrays of integers: that form every client reads. Clients
// hand over everything they have, private keys of other schemes included; nothing but the provider's own parameters is
// kept. Pure functions of foreign bytes. Failures are MESSAGE_INVALID and quote nothing.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret_bytes.h"
#include "ocicrypt/key_wrap.h"

namespace proplet::ocicrypt {

inline constexpr std::size_t kMaxKeyProviderMessage = std::size_t{4} << 20;

struct KeyProviderRequest {
  enum class Operation : std::uint8_t { wrap, unwrap };
  Operation operation = Operation::wrap;
  // What stands behind "provider:<name>:", items "key=value" joined by "::". Empty for "Enabled".
  std::map<std::string, std::string, std::less<>> parameters{};
  SecretBytes options{};  // wrap: the private options
  Bytes packet{};         // unwrap: the packet
};

// `provider` is the name under which the client knows us. A wrap request without parameters for it is refused: somebody
// else was meant.
Result<KeyProviderRequest> parse_key_provider_request(ByteView json_text, std::string_view provider);

SecretBytes wrap_answer(std::string_view packet);
SecretBytes unwrap_answer(ByteView private_options);

}  // namespace proplet::ocicrypt
