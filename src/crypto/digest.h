// SHA-2 digests (FIPS 180-4) and HMAC-SHA256 (RFC 2104).
//
// Hasher and Hmac are incremental: update any number of times, then finish once. Both move, never copy, and are used
// from one thread. Failures can only be programmer errors or an exhausted system; they abort.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string_view>

#include "base/bytes.h"

namespace proplet::crypto {

enum class DigestAlgorithm : std::uint8_t { sha256, sha384, sha512 };

// Bytes of a digest: 32, 48 or 64.
std::size_t digest_size(DigestAlgorithm algorithm);

using Sha256Digest = std::array<std::uint8_t, 32>;

struct EvpMdContextFree {
  void operator()(void* context) const;
};
struct EvpMacContextFree {
  void operator()(void* context) const;
};

class Hasher {
 public:
  explicit Hasher(DigestAlgorithm algorithm);
  void update(ByteView bytes);
  Bytes finish();

 private:
  std::unique_ptr<void, EvpMdContextFree> context_;
};

class HmacSha256 {
 public:
  explicit HmacSha256(ByteView key);
  void update(ByteView bytes);
  Sha256Digest finish();

 private:
  std::unique_ptr<void, EvpMacContextFree> context_;
};

Bytes digest(DigestAlgorithm algorithm, ByteView bytes);
Sha256Digest sha256(ByteView bytes);
Sha256Digest hmac_sha256(ByteView key, ByteView bytes);
// HMAC over the concatenation of `parts`.
Bytes hmac(DigestAlgorithm algorithm, ByteView key, std::initializer_list<ByteView> parts);

}  // namespace proplet::crypto
