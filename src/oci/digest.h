// Digest: the content address of a blob or manifest (OCI image specification 1.1, descriptor, "Digests").
//
// "sha256:<64 hex>", "sha384:<96 hex>" or "sha512:<128 hex>", lower case. A Digest is a value and always valid, so it
// may stand in a URL or a file name without further checks (CVE-2024-3727); there is no way to make another one.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/digest.h"

namespace proplet::oci {

class Digest {
 public:
  using Algorithm = crypto::DigestAlgorithm;

  // FORMAT_INVALID for anything but the three forms above.
  static Result<Digest> parse(std::string_view text);
  // The digest of `bytes`.
  static Digest of(ByteView bytes, Algorithm algorithm = Algorithm::sha256);

  [[nodiscard]] Algorithm algorithm() const { return algorithm_; }
  [[nodiscard]] std::string_view algorithm_name() const;  // "sha256"
  [[nodiscard]] std::string_view hex() const;             // without the algorithm
  [[nodiscard]] const std::string& text() const { return text_; }

  friend bool operator==(const Digest& a, const Digest& b) { return a.text_ == b.text_; }
  friend auto operator<=>(const Digest& a, const Digest& b) { return a.text_ <=> b.text_; }

 private:
  Digest(Algorithm algorithm, std::string text) : algorithm_(algorithm), text_(std::move(text)) {}
  friend class DigestVerifier;

  Algorithm algorithm_;
  std::string text_;
};

// Checks bytes that arrive in pieces against a digest. One use, one thread.
class DigestVerifier {
 public:
  explicit DigestVerifier(Digest expected) : expected_(std::move(expected)), hasher_(expected_.algorithm()) {}
  void update(ByteView bytes) { hasher_.update(bytes); }
  // DIGEST_MISMATCH names both digests. Call once, last.
  [[nodiscard]] Status finish();

 private:
  Digest expected_;
  crypto::Hasher hasher_;
};

// DIGEST_MISMATCH unless `bytes` hash to `expected`.
Status verify_digest(ByteView bytes, const Digest& expected);

}  // namespace proplet::oci
