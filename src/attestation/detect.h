// Which trusted execution environment this guest runs in, from the interfaces that its kernel or library OS offers.
//
// Only files that exist inside a guest count: a host with capable hardware is not a TEE. `tpm` and `sample` are never
// detected, because they prove nothing about memory protection; an operator names them.
#pragma once

#include <optional>
#include <string>

#include "attestation/attester.h"

namespace proplet::attestation {

// Looks below `filesystem_root` ("/" in production, a fake tree in tests); the first match in the order tdx, sgx,
// az-tdx-vtpm/az-snp-vtpm, snp, csv, cca, se. Files only, no ioctl: cheap and without effects.
std::optional<Tee> detect(const std::string& filesystem_root);

}  // namespace proplet::attestation
