// What an attester looks up in its own evidence before it hands it out.
//
// A key broker refuses evidence over other report data, or from a machine launched with other init-data, without
// saying why. Both are in the signed structure at a fixed place, so they are compared here, where the answer can be
// named. This replaces nothing at the broker. EVIDENCE_FAILED.
#pragma once

#include <string_view>

#include "attestation/report_data.h"
#include "base/result.h"

namespace proplet::attestation {

// `field`: the 64 bytes of report data in the signed structure.
Status check_report_data(ByteView field, const ReportData& expected);

// `field`: the launch-time field `name`. It must hold `digest`, cut or filled with zeros to the field's size, as
// Trustee compares it. An empty digest: no init-data, nothing is compared.
Status check_init_data(std::string_view name, ByteView field, ByteView digest);

struct QuoteFields {
  ByteView report_data;
  ByteView config_id;  // TDX: MRCONFIGID, 48 bytes; SGX: CONFIGID, 64 bytes
};

// Intel TDX DCAP Quoting Library API, "TD Quote": header of 48 bytes, body of version 4, or a described one of
// version 5. The views point into `quote`.
Result<QuoteFields> read_tdx_quote(ByteView quote);
// Intel SGX ECDSA Quote Library Reference, version 3: header of 48 bytes, enclave report of 384.
Result<QuoteFields> read_sgx_quote(ByteView quote);

}  // namespace proplet::attestation
