// WWW-Authenticate challenges (RFC 9110 section 11.6.1), as far as registries use them. Private to oci/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/http_client.h"

namespace proplet::oci {

struct Challenge {
  enum class Scheme : std::uint8_t { basic, bearer };
  Scheme scheme = Scheme::basic;
  std::string realm;
  std::string service;
  std::string scope;
};

// The challenges of supported schemes, in order. What cannot be read ends the list; it never fails.
std::vector<Challenge> parse_challenges(std::string_view header);
// Of all WWW-Authenticate headers of a response.
std::vector<Challenge> challenges_of(const net::HttpResponse& response);

}  // namespace proplet::oci
