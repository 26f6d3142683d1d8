// Base64 (RFC 4648 sections 4 and 5) and hexadecimal.
//
// Decoders are strict: no white space, no foreign alphabet, padding exactly where the name says, and unused bits of
// the last character must be zero, so that every byte string has one encoding. Failures are FORMAT_INVALID and never
// quote the input, which may be a key.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret_bytes.h"

namespace proplet {

std::string base64_encode(ByteView bytes);     // standard alphabet, padded
std::string base64url_encode(ByteView bytes);  // URL-safe alphabet, no padding

Result<Bytes> base64_decode(std::string_view text);     // standard alphabet, padding required
Result<Bytes> base64url_decode(std::string_view text);  // URL-safe alphabet, padding forbidden
Result<SecretBytes> base64_decode_secret(std::string_view text);
Result<SecretBytes> base64url_decode_secret(std::string_view text);

std::string hex_encode(ByteView bytes);           // lower case
Result<Bytes> hex_decode(std::string_view text);  // either case
Result<SecretBytes> hex_decode_secret(std::string_view text);

}  // namespace proplet
