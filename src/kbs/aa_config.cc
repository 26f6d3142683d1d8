#include "kbs/aa_config.h"

#include <optional>
#define TOML_EXCEPTIONS 1  // as Debian's library is compiled
#include <toml++/toml.h>

#include "base/fd.h"
#include "base/json.h"

namespace proplet::kbs {
namespace {

constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 20;

struct Strings {
  std::optional<std::string> url;
  std::optional<std::string> certificate;
};

// A member that is there must be a string.
Status read_toml_string(const toml::table& table, std::string_view name, std::optional<std::string>& out) {
  const auto* node = table.get(name);
  if (node == nullptr) return {};
  out = node->value_exact<std::string>();
  if (!out) return fail(Code::config_invalid, "token_configs.kbs.{} is not a string", name);
  return {};
}

Result<toml::table> parse_toml(std::string_view text) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    return fail(Code::config_invalid, "line {}: {}", error.source().begin.line, error.description());
  }
}

Result<Strings> strings_of_toml(std::string_view text) {
  TRY_ASSIGN(const toml::table parsed, parse_toml(text));
  const auto* section = parsed.at_path("token_configs.kbs").as_table();
  if (section == nullptr) return fail(Code::config_invalid, "there is no section token_configs.kbs");
  Strings strings;
  TRY(read_toml_string(*section, "url", strings.url));
  TRY(read_toml_string(*section, "cert", strings.certificate));
  return strings;
}

Result<Strings> strings_of_json(std::string_view text) {
  TRY_ASSIGN(const auto root, json::parse_object(text, {.bytes = kMaxConfigBytes}));
  TRY_ASSIGN(const auto* configs, json::required_object(root, "token_configs"));
  TRY_ASSIGN(const auto* section, json::required_object(*configs, "kbs", "token_configs."));
  Strings strings;
  TRY_ASSIGN(strings.url, json::optional_string(*section, "url", "token_configs.kbs."));
  TRY_ASSIGN(strings.certificate, json::optional_string(*section, "cert", "token_configs.kbs."));
  return strings;
}

}  // namespace

Result<AaConfig> parse_aa_config(std::string_view text, AaConfigFormat format) {
  auto strings = format == AaConfigFormat::toml ? strings_of_toml(text) : strings_of_json(text);
  if (!strings) return fail(Error(Code::config_invalid, "attestation agent configuration").caused_by(strings.error()));
  if (!strings->url) return fail(Code::config_invalid, "token_configs.kbs has no url");
  auto url = net::Url::parse(*strings->url);
  if (!url) return fail(Error(Code::config_invalid, "token_configs.kbs.url").caused_by(url.error()));
  return AaConfig{.url = std::move(*url), .certificate_pem = strings->certificate.value_or("")};
}

Result<AaConfig> read_aa_config(const std::string& path) {
  TRY_ASSIGN(const auto text, read_text_file(path, kMaxConfigBytes));
  auto config = parse_aa_config(text, path.ends_with(".json") ? AaConfigFormat::json : AaConfigFormat::toml);
  if (!config) return fail(std::move(config).error().because(path));
  return config;
}

}  // namespace proplet::kbs
