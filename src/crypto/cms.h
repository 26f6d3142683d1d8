// CMS envelopes (RFC 5652, once PKCS#7) for RSA recipients, for reading only.
//
// Read are EnvelopedData as ocicrypt writes it (AES-GCM, with parameters that follow no standard) and as
// `openssl cms -encrypt` does (AES-CBC; indefinite lengths are fine). Keys are wrapped with RSA PKCS#1 v1.5, the only
// scheme of these writers; that is why this is the one place that undoes it, and why nothing is ever written here.
//
// A recipient is not looked up by its certificate: the key is tried on every one, and no certificate is needed. Whether
// the padding of a wrapped key was right is not told: a wrong one gives a random content key, and then the same
// UNWRAP_FAILED, from the same steps, as any other key that does not fit (RFC 3218). CBC is not authenticated; whoever
// reads the content must give one error for everything that can be wrong with it. A malformed message is
// FORMAT_INVALID, a key that is not RSA KEY_INVALID.
#pragma once

#include <functional>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret_bytes.h"
#include "crypto/key.h"

namespace proplet::crypto {

inline constexpr std::size_t kMaxCmsBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxCmsRecipients = 64;

// The content, if one recipient's decrypts to something that `accept` likes: without authentication, sense is the only
// sign of the right key.
Result<SecretBytes> cms_decrypt(ByteView message, const PrivateKey& key,
                                const std::function<bool(ByteView content)>& accept);

// How many recipients with RSA keys a message has. FORMAT_INVALID.
Result<std::size_t> cms_recipients(ByteView message);

}  // namespace proplet::crypto
