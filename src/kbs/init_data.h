// Init-data: a TOML document that the host gives a confidential guest before boot, and whose digest the hardware signs
// (MRCONFIGID of TDX, HOST_DATA of SEV-SNP, CONFIGID of SGX). A client sends the whole text with its attestation, so
// that the key broker can use what is in it; kbs-types 0.18, Trustee's kbs/docs/initdata.md.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace proplet::kbs {

struct InitData {
  std::string text;  // exactly as in the file: the broker hashes it again
  Bytes digest;      // of the text, by the algorithm that it names
};

// CONFIG_INVALID for text that is not TOML, lacks `version` or `algorithm`, or names another algorithm than sha256,
// sha384 and sha512; the text itself is never quoted. At most 1 MiB.
Result<InitData> parse_init_data(std::string text);
Result<InitData> read_init_data(const std::string& path);

}  // namespace proplet::kbs
