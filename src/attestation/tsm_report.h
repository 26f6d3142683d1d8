// One report of the kernel's interface to trusted security modules: configfs-tsm, Linux 6.7 and newer
// (Documentation/ABI/testing/configfs-tsm), the same for TDX, SEV-SNP and Arm CCA guests.
//
// A request makes an entry with a random name, writes the 64 bytes to be signed, reads the blobs, and removes the entry
// again. The entry's generation counts writes: if it has gone further than our own, somebody else wrote into our entry
// and what we read may be made over foreign bytes; the request is then repeated in a fresh entry, three times at most.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "attestation/guest_files.h"
#include "base/clock.h"
#include "base/result.h"

namespace proplet::attestation {

inline constexpr std::string_view kTsmFolder = "/sys/kernel/config/tsm/report";

struct TsmRequest {
  std::string_view provider;           // "tdx_guest", "sev_guest", "arm_cca_guest"
  ByteView inblob;                     // 64 bytes
  bool most_privileged_level = false;  // ask for privilege level 0, where the provider knows levels
};

struct TsmReport {
  Bytes outblob;  // the quote, report or token
  Bytes auxblob;  // SEV-SNP: the certificate table, if the host has one; else empty
};

// Blocks as long as the kernel likes: TDX may wait half a minute for the host. EVIDENCE_FAILED names what failed;
// TEE_UNAVAILABLE if the provider is another one.
Result<TsmReport> request_tsm_report(GuestFiles& files, Random& random, const TsmRequest& request);

// The name of this kernel's provider; "" without the interface or the right to use it.
std::string tsm_provider(GuestFiles& files, Random& random);

}  // namespace proplet::attestation
