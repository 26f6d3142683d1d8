#include "kbs/init_data.h"

#include <optional>
#define TOML_EXCEPTIONS 1  // as Debian's library is compiled
#include <toml++/toml.h>

#include "base/fd.h"
#include "crypto/digest.h"

namespace proplet::kbs {
namespace {

constexpr std::size_t kMaxInitDataBytes = std::size_t{1} << 20;

std::optional<crypto::DigestAlgorithm> algorithm_from_name(std::string_view name) {
  if (name == "sha256") return crypto::DigestAlgorithm::sha256;
  if (name == "sha384") return crypto::DigestAlgorithm::sha384;
  if (name == "sha512") return crypto::DigestAlgorithm::sha512;
  return std::nullopt;
}

}  // namespace

Result<InitData> parse_init_data(std::string text) {
  std::string algorithm;
  try {
    const auto table = toml::parse(text);
    if (!table["version"].is_string()) return fail(Code::config_invalid, "the init-data has no version");
    algorithm = table["algorithm"].value_or(std::string());
  } catch (const toml::parse_error& error) {
    // Only the place: the text near it may be a secret.
    return fail(Code::config_invalid, "the init-data is malformed TOML in line {}", error.source().begin.line);
  }
  const auto known = algorithm_from_name(algorithm);
  if (!known) return fail(Code::config_invalid, "the algorithm of the init-data is not sha256, sha384 or sha512");
  Bytes digest = crypto::digest(*known, bytes_of(text));
  return InitData{.text = std::move(text), .digest = std::move(digest)};
}

Result<InitData> read_init_data(const std::string& path) {
  TRY_ASSIGN(auto text, read_text_file(path, kMaxInitDataBytes));
  auto data = parse_init_data(std::move(text));
  if (!data) return fail(std::move(data).error().because(path));
  return data;
}

}  // namespace proplet::kbs
