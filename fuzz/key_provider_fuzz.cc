// Requests to the key provider: what is accepted has content, and the answers are JSON that reads back.
#include "base/json.h"
#include "fuzz.h"
#include "ocicrypt/key_provider.h"

namespace ocicrypt = proplet::ocicrypt;
using proplet::fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto request = ocicrypt::parse_key_provider_request({data, size}, "attestation-agent");
  if (!request) return 0;
  const bool wraps = request->operation == ocicrypt::KeyProviderRequest::Operation::wrap;
  check(wraps ? !request->options.empty() : !request->packet.empty(), "there is something to do");
  const auto answer = ocicrypt::unwrap_answer(wraps ? request->options.view() : proplet::ByteView(request->packet));
  check(proplet::json::parse_object(proplet::text_of(answer.view())).has_value(), "an answer is JSON");
  return 0;
}
