// Which trusted execution environment this guest runs in, from the interfaces that its kernel or library OS offers.
//
// Only what exists inside a guest counts: a host with capable hardware is not a TEE. Never detected, only named by an
// operator: `tpm` and `sample`, which prove nothing about memory protection, and az-snp-vtpm and az-tdx-vtpm, which
// files alone do not tell from an ordinary machine with a TPM.
#pragma once

#include <optional>
#include <string>

#include "attestation/attester.h"
#include "attestation/guest_files.h"
#include "base/clock.h"

namespace proplet::attestation {

// The first match in the order tdx, sgx, snp, csv, cca, se; after them, what the kernel's TSM report interface names
// as its provider. Reads a few small files, no ioctl.
std::optional<Tee> detect(GuestFiles& files, Random& random);
// The same below `filesystem_root`: "" or "/" in production.
std::optional<Tee> detect(const std::string& filesystem_root);

}  // namespace proplet::attestation
