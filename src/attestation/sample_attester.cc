#include "attestation/sample_attester.h"

#include "base/encoding.h"

namespace proplet::attestation {

Result<json::value> SampleAttester::evidence(const ReportData& report_data, std::stop_token /*stop*/) {
  json::object evidence;
  evidence["svn"] = "1";
  evidence["report_data"] = base64_encode(report_data.digest());
  return json::value(std::move(evidence));
}

}  // namespace proplet::attestation
