#include "attestation/report_data.h"

#include <algorithm>

namespace proplet::attestation {
namespace {

constexpr std::string_view kGuestLabel{"proplet guest report data 1\0", 28};
static_assert(kGuestLabel.front() != '{', "a session's text begins with a brace");

}  // namespace

ReportData ReportData::for_session(crypto::DigestAlgorithm algorithm, std::string_view nonce,
                                   const json::object& tee_pubkey, std::string_view additional_evidence) {
  json::object bound;
  bound["additional-evidence"] = additional_evidence;
  bound["nonce"] = nonce;
  bound["tee-pubkey"] = tee_pubkey;
  return ReportData(crypto::digest(algorithm, bytes_of(json::canonical(bound))));
}

ReportData ReportData::for_guest(std::string_view task_id, ByteView data) {
  std::array<std::uint8_t, 8> length{};
  for (std::size_t i = 0; i < length.size(); ++i) length.at(i) = static_cast<std::uint8_t>(task_id.size() >> (8 * i));
  crypto::Hasher hasher(crypto::DigestAlgorithm::sha384);
  hasher.update(bytes_of(kGuestLabel));
  hasher.update(length);
  hasher.update(bytes_of(task_id));
  hasher.update(data);
  return ReportData(hasher.finish());
}

std::array<std::uint8_t, kReportDataBytes> ReportData::padded() const {
  std::array<std::uint8_t, kReportDataBytes> field{};
  std::copy_n(digest_.begin(), std::min(digest_.size(), field.size()), field.begin());
  return field;
}

}  // namespace proplet::attestation
