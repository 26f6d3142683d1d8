// ReportData: what evidence is made over. The only argument of an attester that says what is attested, and therefore
// the place where it is decided who may have what attested.
//
// There are two ways to make one and no third. A session with a key broker binds the broker's nonce and the session's
// public key (Key Broker Service protocol 0.4.0). A guest's bytes go in only behind a label of this worker and the id
// of the task. The first hashes a text that begins with '{', the second one that begins with the label, so that no
// guest can ever obtain the evidence of a session, whatever bytes it chooses. A value; copies freely.
#pragma once

#include <array>
#include <string_view>

#include "base/bytes.h"
#include "base/json.h"
#include "crypto/digest.h"

namespace proplet::attestation {

// Bytes of the field that hardware signs: REPORTDATA of SGX and TDX, REPORT_DATA of SEV-SNP, the challenge of CCA.
inline constexpr std::size_t kReportDataBytes = 64;

class ReportData {
 public:
  // The digest of {"additional-evidence","nonce","tee-pubkey"} as canonical JSON. `nonce` is the challenge's text and
  // `additional_evidence` the very text of the attestation ("" when there is none; the member is hashed all the same).
  static ReportData for_session(crypto::DigestAlgorithm algorithm, std::string_view nonce,
                                const json::object& tee_pubkey, std::string_view additional_evidence);
  // SHA-384 of the label, the task's id behind its length, and the guest's bytes.
  static ReportData for_guest(std::string_view task_id, ByteView data);

  // 32 to 64 bytes.
  [[nodiscard]] ByteView digest() const { return digest_; }
  // Zeros behind the digest, as hardware wants it.
  [[nodiscard]] std::array<std::uint8_t, kReportDataBytes> padded() const;

 private:
  explicit ReportData(Bytes digest) : digest_(std::move(digest)) {}

  Bytes digest_;
};

}  // namespace proplet::attestation
