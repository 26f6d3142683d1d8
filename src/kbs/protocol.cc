#include "kbs/protocol.h"

#include "attestation/report_data.h"

namespace proplet::kbs {
namespace {

constexpr std::size_t kMaxDetailBytes = 300;

// At most kMaxDetailBytes, never ending inside a UTF-8 character.
void shorten(std::string& text) {
  if (text.size() <= kMaxDetailBytes) return;
  auto end = kMaxDetailBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  text.resize(end);
}

std::string describe(const net::HttpResponse& response) {
  auto text = fmt::format("HTTP {}", response.status);
  if (const auto error = parse_error_information(response.body)) {
    text += fmt::format(", {}: {}", error->variant, error->detail);
  }
  return text;
}

}  // namespace

json::object tee_public_jwk(const crypto::PublicKey& key) {
  auto jwk = key.to_jwk();
  jwk["alg"] = key.kind() == crypto::KeyKind::rsa ? "RSA-OAEP-256" : "ECDH-ES+A256KW";
  return jwk;
}

Bytes primary_report_data(crypto::DigestAlgorithm algorithm, std::string_view nonce, const json::object& tee_pubkey,
                          std::string_view additional_evidence) {
  const auto data = attestation::ReportData::for_session(algorithm, nonce, tee_pubkey, additional_evidence);
  return {data.digest().begin(), data.digest().end()};
}

std::optional<ErrorInformation> parse_error_information(ByteView body) {
  const auto object = json::parse_object(text_of(body), {.bytes = net::kMaxErrorBytes, .depth = 4});
  if (!object) return std::nullopt;
  auto type = json::required_string(*object, "type");
  auto detail = json::required_string(*object, "detail");
  if (!type || !detail) return std::nullopt;
  const auto slash = type->rfind('/');
  auto variant = slash == std::string::npos ? *type : type->substr(slash + 1);
  shorten(variant);
  shorten(*detail);
  return ErrorInformation{.variant = std::move(variant), .detail = std::move(*detail)};
}

Result<net::Url> endpoint(const net::Url& broker, std::string_view path) {
  if (broker.text().find('?') != std::string::npos) {
    return fail(Code::config_invalid, "the key broker's URL has a query: {}", broker.for_messages());
  }
  std::string text = broker.text();
  while (text.ends_with('/')) text.pop_back();
  return net::Url::parse(fmt::format("{}{}{}", text, kPathPrefix, path));
}

Error transport_error(Error error) {
  switch (error.code()) {
    case Code::cancelled:
    case Code::insecure_transport:
      return error;
    case Code::size_limit:
      return Error(Code::kbs_protocol, "the key broker's answer is too large").caused_by(error);
    default:
      return Error(Code::kbs_unreachable, "no answer from the key broker").caused_by(error);
  }
}

Error unexpected_answer(const net::HttpResponse& response, std::string_view to) {
  const auto code = response.status >= 500 ? Code::kbs_unreachable : Code::kbs_protocol;
  return {code, fmt::format("the key broker answered {} with {}", to, describe(response))};
}

}  // namespace proplet::kbs
