// JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037 section 2) to and from OpenSSL keys.
//
// Internal to crypto/: key.h is the public face, and checks what comes out of the importers (curve membership, sizes,
// matching halves). Failures are KEY_INVALID and never quote a member's value.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "crypto/key.h"
#include "crypto/openssl.h"

namespace proplet::crypto::jwk {

Result<openssl::Key> import_public(const json::object& jwk);
Result<openssl::Key> import_private(const json::object& jwk);
// The public half is computed.
Result<openssl::Key> import_scalar(KeyKind kind, ByteView scalar);

json::object export_public(const EVP_PKEY* key, KeyKind kind);

// Bytes of a coordinate: 32, 48 or 66; 0 for kinds that have none.
std::size_t field_size(KeyKind kind);

}  // namespace proplet::crypto::jwk
