#include "kbs/server/tokens.h"

#include <span>

#include "base/encoding.h"
#include "crypto/jwt.h"
#include "kbs/protocol.h"

namespace proplet::kbs {
namespace {

constexpr std::size_t kMaxMessageBytes = std::size_t{4} << 20;
constexpr std::string_view kEvidenceClaims = "ear.veraison.annotated-evidence";

// Trustee parses the key into a type of its own and hashes that, so members it does not know vanish.
Result<json::object> known_members(const json::object& jwk) {
  TRY_ASSIGN(const auto kty, json::required_string(jwk, "kty"));
  const bool ec = kty == "EC";
  if (!ec && kty != "RSA") return fail(Code::format_invalid, "tee-pubkey is neither EC nor RSA");
  static constexpr std::string_view kEc[] = {"alg", "crv", "kty", "x", "y"};
  static constexpr std::string_view kRsa[] = {"alg", "e", "kty", "n"};
  json::object known;
  for (const auto name : ec ? std::span<const std::string_view>(kEc) : std::span<const std::string_view>(kRsa)) {
    TRY_ASSIGN(const auto text, json::required_string(jwk, name, "tee-pubkey."));
    known[name] = text;
  }
  return known;
}

// The appraisal that Trustee's default policy gives sample evidence without reference values.
json::object contraindicated() {
  json::object vector;
  for (const auto* name : {"instance-identity", "file-system", "runtime-opaque", "storage-opaque", "sourced-data"}) {
    vector[name] = 0;
  }
  vector["configuration"] = 2;
  vector["executables"] = 33;
  vector["hardware"] = 97;
  return vector;
}

json::object annotated_evidence(attestation::Tee tee, const AttestationMessage& message) {
  json::object runtime;
  runtime["additional-evidence"] = message.additional_evidence;
  runtime["nonce"] = message.nonce;
  runtime["tee-pubkey"] = message.tee_pubkey;
  json::object verifier;
  verifier["svn"] = message.primary_evidence.at("svn");
  verifier["launch_digest"] = "abcde";
  verifier["debug"] = false;
  verifier["platform_version"] = {{"major", 1}, {"minor", 4}};
  json::object annotated;
  annotated["report_data"] = message.primary_evidence.at("report_data");
  annotated["runtime_data_claims"] = std::move(runtime);
  annotated[attestation::tee_name(tee)] = std::move(verifier);
  return annotated;
}

}  // namespace

Result<AttestationMessage> AttestationMessage::parse(std::string_view text) {
  TRY_ASSIGN(const auto root, json::parse_object(text, {.bytes = kMaxMessageBytes}));
  TRY_ASSIGN([[maybe_unused]] const auto* init_data, json::optional_object(root, "init-data"));
  TRY_ASSIGN(const auto* runtime, json::required_object(root, "runtime-data"));
  TRY_ASSIGN(const auto* evidence, json::required_object(root, "tee-evidence"));
  const auto* primary = evidence->if_contains("primary_evidence");
  if (primary == nullptr) return fail(Code::format_invalid, "tee-evidence.primary_evidence is missing");

  AttestationMessage message;
  message.primary_evidence = *primary;
  TRY_ASSIGN(message.additional_evidence, json::required_string(*evidence, "additional_evidence", "tee-evidence."));
  TRY_ASSIGN(message.nonce, json::required_string(*runtime, "nonce", "runtime-data."));
  TRY_ASSIGN(const auto* jwk, json::required_object(*runtime, "tee-pubkey", "runtime-data."));
  TRY_ASSIGN(message.tee_pubkey, known_members(*jwk));
  return message;
}

Status check_sample_evidence(const AttestationMessage& message) {
  if (!message.primary_evidence.is_object()) return fail(Code::evidence_failed, "sample evidence is not an object");
  const auto& evidence = message.primary_evidence.get_object();
  if (!json::required_string(evidence, "svn")) return fail(Code::evidence_failed, "sample evidence has no svn");
  const auto text = json::required_string(evidence, "report_data");
  const auto given = text ? base64_decode(*text) : fail(text.error());
  const auto expected = primary_report_data(crypto::DigestAlgorithm::sha384, message.nonce, message.tee_pubkey,
                                            message.additional_evidence);
  // There is no verifier for device evidence; accepting it unseen would be a claim we did not check.
  if (!message.additional_evidence.empty()) return fail(Code::evidence_failed, "additional evidence is not supported");
  if (!given || !equal_constant_time(*given, expected)) {
    return fail(Code::evidence_failed, "the report data does not bind nonce and key");
  }
  return {};
}

Result<std::string> TokenIssuer::issue(attestation::Tee tee, const AttestationMessage& message) const {
  json::object cpu;
  cpu["ear.status"] = "contraindicated";
  cpu["ear.trustworthiness-vector"] = contraindicated();
  cpu["ear.appraisal-policy-id"] = "default";
  cpu[kEvidenceClaims] = annotated_evidence(tee, message);
  const auto now = unix_seconds(clock_.now());
  json::object claims;
  claims["eat_profile"] = "tag:github.com,2024:confidential-containers/Trustee";
  claims["iat"] = now;
  claims["exp"] = now + lifetime_.count();
  claims["iss"] = "proplet development key broker";
  claims["ear.verifier-id"] = {{"build", "proplet development key broker"}, {"developer", "proplet"}};
  json::object submods;
  submods["cpu0"] = std::move(cpu);
  claims["submods"] = std::move(submods);

  auto jwk = key_.public_key().to_jwk();
  jwk["alg"] = "ES256";
  json::object header;
  header["typ"] = "JWT";
  header["jwk"] = std::move(jwk);
  return crypto::jwt_sign(key_, std::move(header), claims);
}

Result<TokenSubject> TokenIssuer::verify(std::string_view token) const {
  TRY_ASSIGN(const auto jwt, crypto::jwt_verify(token, key_.public_key(), {crypto::JwsAlgorithm::es256}, clock_));
  TRY_ASSIGN(const auto* submods, json::required_object(jwt.claims, "submods"));
  TRY_ASSIGN(const auto* cpu, json::required_object(*submods, "cpu0"));
  TRY_ASSIGN(const auto* evidence, json::required_object(*cpu, kEvidenceClaims));
  TRY_ASSIGN(const auto* runtime, json::required_object(*evidence, "runtime_data_claims"));
  TRY_ASSIGN(const auto* jwk, json::required_object(*runtime, "tee-pubkey"));
  for (const auto& member : *evidence) {
    if (const auto tee = attestation::tee_from_name(member.key())) return TokenSubject{.tee = *tee, .tee_pubkey = *jwk};
  }
  return fail(Code::jwt_invalid, "the token names no TEE");
}

}  // namespace proplet::kbs
