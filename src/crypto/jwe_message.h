// The parts of a JSON Web Encryption, whichever of its three serialisations it came in (RFC 7516 sections 3 and 7).
//
// Internal to crypto/. Parsing checks everything that needs no key: strict base64url, unique header names, no `crit`,
// no `zip`, at most 64 recipients. Which iv and tag are long enough is for the content encryption to say. JWE_INVALID.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"

namespace proplet::crypto {

struct JweRecipient {
  json::object header;  // union of the protected, the shared and the recipient's own header
  Bytes encrypted_key;
};

struct JweMessage {
  std::string additional_data;  // ASCII(protected), and "." ‖ aad if there is one (RFC 7516 section 5.1, step 14)
  Bytes iv;
  Bytes sealed;  // ciphertext ‖ tag
  std::size_t tag_size = 0;
  std::vector<JweRecipient> recipients;
};

Result<JweMessage> parse_jwe(std::string_view text);

}  // namespace proplet::crypto
