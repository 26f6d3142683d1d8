// The configuration file of the confidential-containers attestation agent, as far as it concerns the key broker.
//
// Operators already have this file in their guests, so Proplet reads it: section token_configs.kbs with the broker's
// URL and, optionally, the certificate to trust as PEM text. TOML or JSON, decided by the file name. Sections and
// members for other programs are ignored; a file without token_configs.kbs, or with a wrong type in it, is
// CONFIG_INVALID.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "net/url.h"

namespace proplet::kbs {

struct AaConfig {
  net::Url url;
  std::string certificate_pem{};  // empty: the system's authorities
};

enum class AaConfigFormat : std::uint8_t { toml, json };

Result<AaConfig> parse_aa_config(std::string_view text, AaConfigFormat format);
// Files ending in .json are JSON, all others TOML. IO_FAILED, SIZE_LIMIT, CONFIG_INVALID.
Result<AaConfig> read_aa_config(const std::string& path);

}  // namespace proplet::kbs
