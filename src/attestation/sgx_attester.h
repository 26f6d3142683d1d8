// Evidence of an Intel SGX enclave under the library OS Gramine: a DCAP quote from Gramine's pseudo files below
// /dev/attestation (Gramine documentation, "Attestation and Secret Provisioning"). Not run on hardware so far.
#pragma once

#include <memory>
#include <mutex>

#include "attestation/attester.h"
#include "attestation/guest_files.h"

namespace proplet::attestation {

inline constexpr const char* kGramineType = "/dev/attestation/attestation_type";
inline constexpr const char* kGramineReportData = "/dev/attestation/user_report_data";
inline constexpr const char* kGramineQuote = "/dev/attestation/quote";

// Evidence {"quote":base64}.
class SgxAttester final : public Attester {
 public:
  SgxAttester(std::shared_ptr<GuestFiles> files, Bytes init_data_digest)
      : state_(std::make_shared<State>(std::move(files), std::move(init_data_digest))) {}

  [[nodiscard]] std::string_view tee() const override { return tee_name(Tee::sgx); }
  Result<json::value> evidence(const ReportData& report_data, std::stop_token stop) override;

 private:
  // Report data and quote are two files of the whole process: one request at a time.
  struct State {
    std::shared_ptr<GuestFiles> files;
    Bytes init_data_digest;
    std::mutex mutex = {};
  };
  static Result<json::value> make_evidence(State& state, const ReportData& report_data);

  const std::shared_ptr<State> state_;  // shared with calls that were given up
};

}  // namespace proplet::attestation
