// An AMD SEV-SNP attestation report and the certificates that a host may supply with it, as the JSON that key brokers
// rebuild the signed bytes from (serde form of the crate `sev` 7: byte strings are arrays of numbers).
//
// Layout: AMD publication 56860 (SEV-SNP firmware ABI), table "ATTESTATION_REPORT", 1184 bytes, versions 3 to 5.
// Certificate table: AMD publication 56421 (GHCB), section 4.1.8.1; the host writes it, so it is hostile.
#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"

namespace proplet::attestation {

inline constexpr std::size_t kSnpReportBytes = 1184;

// The report at the start of `bytes`, as the member `attestation_report`. EVIDENCE_FAILED for a report that is too
// short or of a version that verifiers do not read.
Result<json::value> snp_report_json(ByteView bytes);

// Fields of a report of kSnpReportBytes.
ByteView snp_report_data(ByteView report);
ByteView snp_host_data(ByteView report);

// The member `cert_chain`: an array of {"cert_type","data"}, or null if the table holds no certificate of the key that
// signed; the verifier then fetches it. EVIDENCE_FAILED for a malformed table.
Result<json::value> snp_certificates_json(ByteView table);

}  // namespace proplet::attestation
