#include "attestation/cca_attester.h"

#include "attestation/abandonable.h"
#include "attestation/tsm_report.h"

namespace proplet::attestation {
namespace {

Result<json::value> make_evidence(GuestFiles& files, Random& random, const ReportData& report_data) {
  const auto field = report_data.padded();
  TRY_ASSIGN(const auto report, request_tsm_report(files, random, {.provider = "arm_cca_guest", .inblob = field}));
  if (report.outblob.empty()) return fail(Code::evidence_failed, "the CCA token is empty");
  json::object evidence;
  evidence["token"] = json::array(report.outblob.begin(), report.outblob.end());
  return json::value(std::move(evidence));
}

}  // namespace

Result<json::value> CcaAttester::evidence(const ReportData& report_data, std::stop_token stop) {
  return run_abandonable(
      [files = files_, random = random_, report_data] { return make_evidence(*files, *random, report_data); }, stop);
}

}  // namespace proplet::attestation
