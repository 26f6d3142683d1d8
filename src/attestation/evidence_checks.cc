#include "attestation/evidence_checks.h"

#include <algorithm>

#include "attestation/little_endian.h"

namespace proplet::attestation {
namespace {

constexpr std::uint32_t kTdxType = 0x81;
constexpr std::size_t kTdxConfigIdBytes = 48;
constexpr std::size_t kSgxConfigIdBytes = 64;
constexpr std::size_t kQuoteHeaderBytes = 48;

// Offsets from the start of the quote.
struct Layout {
  std::size_t config_id;
  std::size_t report_data;
};
constexpr Layout kTdxVersion4{.config_id = 232, .report_data = 568};
constexpr Layout kTdxVersion5{.config_id = 238, .report_data = 574};
constexpr Layout kSgxVersion3{.config_id = 240, .report_data = 368};

Result<QuoteFields> fields(ByteView quote, const Layout& layout, std::size_t config_id_bytes) {
  if (quote.size() < layout.report_data + kReportDataBytes) {
    return fail(Code::evidence_failed, "a quote of {} bytes is too short", quote.size());
  }
  return QuoteFields{.report_data = quote.subspan(layout.report_data, kReportDataBytes),
                     .config_id = quote.subspan(layout.config_id, config_id_bytes)};
}

}  // namespace

Status check_report_data(ByteView field, const ReportData& expected) {
  if (std::ranges::equal(field, expected.padded())) return {};
  return fail(Code::evidence_failed, "the evidence is made over other report data than ours");
}

Status check_init_data(std::string_view name, ByteView field, ByteView digest) {
  if (digest.empty()) return {};
  const std::size_t common = std::min(field.size(), digest.size());
  const bool same = std::ranges::equal(field.first(common), digest.first(common)) &&
                    std::ranges::all_of(field.subspan(common), [](std::uint8_t byte) { return byte == 0; });
  if (same) return {};
  return fail(Code::evidence_failed, "this machine was launched with other init-data: its {} is not our file's digest",
              name);
}

Result<QuoteFields> read_tdx_quote(ByteView quote) {
  if (quote.size() < kQuoteHeaderBytes) {
    return fail(Code::evidence_failed, "a quote of {} bytes is too short", quote.size());
  }
  if (little_endian<std::uint32_t>(quote, 4) != kTdxType) return fail(Code::evidence_failed, "not the quote of a TD");
  switch (const auto version = little_endian<std::uint16_t>(quote, 0)) {
    case 4:
      return fields(quote, kTdxVersion4, kTdxConfigIdBytes);
    case 5:
      return fields(quote, kTdxVersion5, kTdxConfigIdBytes);
    default:
      return fail(Code::evidence_failed, "a TD quote of version {}; key brokers read 4 and 5", version);
  }
}

Result<QuoteFields> read_sgx_quote(ByteView quote) {
  if (quote.size() < kQuoteHeaderBytes) {
    return fail(Code::evidence_failed, "a quote of {} bytes is too short", quote.size());
  }
  if (const auto version = little_endian<std::uint16_t>(quote, 0); version != 3) {
    return fail(Code::evidence_failed, "an SGX quote of version {}; key brokers read 3", version);
  }
  return fields(quote, kSgxVersion3, kSgxConfigIdBytes);
}

}  // namespace proplet::attestation
