#include "oci/digest.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"

namespace proplet::oci {
namespace {

struct AlgorithmName {
  Digest::Algorithm algorithm;
  std::string_view name;
};

constexpr std::array<AlgorithmName, 3> kAlgorithms{{
    {Digest::Algorithm::sha256, "sha256"},
    {Digest::Algorithm::sha384, "sha384"},
    {Digest::Algorithm::sha512, "sha512"},
}};

std::string_view name_of(Digest::Algorithm algorithm) {
  return std::find_if(kAlgorithms.begin(), kAlgorithms.end(),
                      [&](const AlgorithmName& entry) { return entry.algorithm == algorithm; })
      ->name;
}

bool is_lower_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string text_of_digest(Digest::Algorithm algorithm, ByteView raw) {
  return std::string(name_of(algorithm)) + ":" + hex_encode(raw);
}

}  // namespace

Result<Digest> Digest::parse(std::string_view text) {
  for (const auto& [algorithm, name] : kAlgorithms) {
    if (!text.starts_with(name) || !text.substr(name.size()).starts_with(':')) continue;
    const auto hex = text.substr(name.size() + 1);
    const auto expected = crypto::digest_size(algorithm) * 2;
    if (hex.size() != expected || !is_lower_hex(hex)) {
      return fail(Code::format_invalid, "a {} digest needs {} lower-case hexadecimal digits", name, expected);
    }
    return Digest(algorithm, std::string(text));
  }
  return fail(Code::format_invalid, "not a digest of sha256, sha384 or sha512");
}

Digest Digest::of(ByteView bytes, Algorithm algorithm) {
  return Digest(algorithm, text_of_digest(algorithm, crypto::digest(algorithm, bytes)));
}

std::string_view Digest::algorithm_name() const { return name_of(algorithm_); }

std::string_view Digest::hex() const { return std::string_view(text_).substr(text_.find(':') + 1); }

Status DigestVerifier::finish() {
  const auto actual = text_of_digest(expected_.algorithm(), hasher_.finish());
  if (actual == expected_.text()) return {};
  return fail(Code::digest_mismatch, "expected {}, received {}", expected_.text(), actual);
}

Status verify_digest(ByteView bytes, const Digest& expected) {
  DigestVerifier verifier(expected);
  verifier.update(bytes);
  return verifier.finish();
}

}  // namespace proplet::oci
