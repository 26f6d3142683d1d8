#include "attestation/sgx_attester.h"

#include "attestation/abandonable.h"
#include "attestation/evidence_checks.h"
#include "base/encoding.h"

namespace proplet::attestation {
namespace {

constexpr std::size_t kMaxQuoteBytes = std::size_t{1} << 20;

}  // namespace

Result<json::value> SgxAttester::make_evidence(State& state, const ReportData& report_data) {
  const std::lock_guard lock(state.mutex);
  if (const auto written = state.files->write(kGramineReportData, report_data.padded()); !written) {
    return fail(Code::evidence_failed, "{}: {}", kGramineReportData, errno_text(written.error()));
  }
  const auto quote = state.files->read(kGramineQuote, kMaxQuoteBytes);
  if (!quote) return fail(Code::evidence_failed, "{}: {}", kGramineQuote, errno_text(quote.error()));
  TRY_ASSIGN(const auto fields, read_sgx_quote(*quote));
  TRY(check_report_data(fields.report_data, report_data));
  TRY(check_init_data("CONFIGID", fields.config_id, state.init_data_digest));
  json::object evidence;
  evidence["quote"] = base64_encode(*quote);
  return json::value(std::move(evidence));
}

Result<json::value> SgxAttester::evidence(const ReportData& report_data, std::stop_token stop) {
  return run_abandonable([state = state_, report_data] { return make_evidence(*state, report_data); }, stop);
}

}  // namespace proplet::attestation
