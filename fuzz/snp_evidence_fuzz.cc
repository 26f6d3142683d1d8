// SEV-SNP reports and the host's certificate table: no read outside, and only what the structures say.
#include "attestation/snp_report.h"
#include "fuzz.h"

using proplet::fuzz::check;
namespace attestation = proplet::attestation;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const proplet::ByteView bytes(data, size);
  if (const auto report = attestation::snp_report_json(bytes)) {
    check(size >= attestation::kSnpReportBytes, "a short report is refused");
    check(report->at("signature").at("r").as_array().size() == 72, "a signature has two scalars");
  }
  const auto chain = attestation::snp_certificates_json(bytes);
  if (!chain || chain->is_null()) return 0;
  for (const auto& certificate : chain->as_array()) {
    check(certificate.at("data").as_array().size() <= size, "a certificate lies inside the table");
  }
  return 0;
}
