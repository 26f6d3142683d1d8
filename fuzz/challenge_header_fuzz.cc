// WWW-Authenticate headers: what is read can be written and read again.
#include <algorithm>

#include "fuzz.h"
#include "oci/challenge.h"

namespace oci = proplet::oci;
using proplet::fuzz::check;

namespace {

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view header = proplet::fuzz::text_input(data, size);
  for (const auto& challenge : oci::parse_challenges(header)) {
    const std::string text = std::string(challenge.scheme == oci::Challenge::Scheme::basic ? "Basic" : "Bearer") +
                             " realm=" + quoted(challenge.realm) + ",service=" + quoted(challenge.service) +
                             ",scope=" + quoted(challenge.scope);
    const auto again = oci::parse_challenges(text);
    check(again.size() == 1, "one challenge stays one");
    check(again[0].scheme == challenge.scheme && again[0].realm == challenge.realm &&
              again[0].service == challenge.service && again[0].scope == challenge.scope,
          "a challenge survives");
  }
  return 0;
}
