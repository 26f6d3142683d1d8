#include "attestation/detect.h"

#include "attestation/sgx_attester.h"
#include "attestation/snp_attester.h"
#include "attestation/tsm_report.h"

namespace proplet::attestation {

std::optional<Tee> detect(GuestFiles& files, Random& random) {
  if (files.exists("/dev/tdx_guest")) return Tee::tdx;
  // Gramine offers this file to the program in the enclave.
  if (short_text(files, kGramineType) == "dcap") return Tee::sgx;
  if (files.exists("/sys/devices/platform/sev-guest") || files.exists(kSevGuestDevice)) return Tee::snp;
  if (files.exists("/dev/csv-guest")) return Tee::csv;
  if (files.exists("/sys/devices/platform/arm-cca-dev")) return Tee::cca;
  if (short_text(files, "/sys/firmware/uv/prot_virt_guest") == "1") return Tee::se;
  // A container may have the report interface and none of the devices.
  const std::string provider = tsm_provider(files, random);
  if (provider == "tdx_guest") return Tee::tdx;
  if (provider == "sev_guest") return Tee::snp;
  if (provider == "arm_cca_guest") return Tee::cca;
  return std::nullopt;
}

std::optional<Tee> detect(const std::string& filesystem_root) {
  SystemFiles files(filesystem_root == "/" ? "" : filesystem_root);
  SystemRandom random;
  return detect(files, random);
}

}  // namespace proplet::attestation
