#include "attestation/tdx_attester.h"

#include "attestation/abandonable.h"
#include "attestation/event_log.h"
#include "attestation/evidence_checks.h"
#include "attestation/tsm_report.h"
#include "base/encoding.h"

namespace proplet::attestation {
namespace {

Result<json::value> make_evidence(GuestFiles& files, Random& random, const ReportData& report_data,
                                  ByteView init_data_digest) {
  const auto field = report_data.padded();
  TRY_ASSIGN(const auto report, request_tsm_report(files, random, {.provider = "tdx_guest", .inblob = field}));
  TRY_ASSIGN(const auto quote, read_tdx_quote(report.outblob));
  TRY(check_report_data(quote.report_data, report_data));
  TRY(check_init_data("MRCONFIGID", quote.config_id, init_data_digest));

  const auto log = td_event_log(files);
  json::object evidence;
  evidence["cc_eventlog"] = log ? json::value(base64_encode(*log)) : json::value(nullptr);
  evidence["quote"] = base64_encode(report.outblob);
  return json::value(std::move(evidence));
}

}  // namespace

Result<json::value> TdxAttester::evidence(const ReportData& report_data, std::stop_token stop) {
  return run_abandonable([files = files_, random = random_, digest = init_data_digest_,
                          report_data] { return make_evidence(*files, *random, report_data, digest); },
                         stop);
}

}  // namespace proplet::attestation
