// Which trusted execution environment this guest runs in, from the interfaces that its kernel or library OS offers.
//
// Only files that exist inside a guest count: a host with capable hardware is not a TEE. Never detected, only named by
// an operator: `tpm` and `sample`, which prove nothing about memory protection, and az-snp-vtpm and az-tdx-vtpm, which
// files alone do not tell from an ordinary machine with a TPM.
#pragma once

#include <optional>
#include <string>

#include "attestation/attester.h"

namespace proplet::attestation {

// Looks below `filesystem_root` ("/" in production, a fake tree in tests); the first match in the order tdx, sgx, snp,
// csv, cca, se. Reads at most two small files, no ioctl: cheap and without effects.
std::optional<Tee> detect(const std::string& filesystem_root);

}  // namespace proplet::attestation
