// An attester that is a program of the operator: for vTPMs, TrustZone, Keystone, or whatever else can attest.
//
// For each attestation the program is started anew, in a process group of its own, with an empty environment but for
// PATH, without arguments, with no open files but its three streams. It reads one line of JSON from
// stdin, {"version":1,"tee":"tpm","report_data":"<base64 of the 32 to 64 bytes to bind>"}, and writes one JSON object
// to stdout, {"evidence":<any JSON value>}, then ends with status 0. The value goes to the key broker as it is. Any
// other status is a failure; the first line of stderr says why. Limits: 1 MiB of stdout, 30 seconds; beyond them, or
// when the task stops, the whole group is killed. docs/tee.md is the protocol's documentation.
#pragma once

#include <chrono>
#include <string>

#include "attestation/attester.h"

namespace proplet::attestation {

struct ProgramLimits {
  std::chrono::milliseconds time{30000};
  std::size_t output_bytes = std::size_t{1} << 20;
};

class ProgramAttester final : public Attester {
 public:
  // `tee` is what the operator says the evidence is of. TEE_UNAVAILABLE if `path` is not absolute, not an executable
  // file, or one that others than its owner may write to.
  static Result<std::unique_ptr<Attester>> make(std::string path, std::string tee, ProgramLimits limits = {});

  [[nodiscard]] std::string_view tee() const override { return tee_; }
  Result<json::value> evidence(const ReportData& report_data, std::stop_token stop) override;

 private:
  ProgramAttester(std::string path, std::string tee, ProgramLimits limits)
      : path_(std::move(path)), tee_(std::move(tee)), limits_(limits) {}

  const std::string path_;
  const std::string tee_;
  const ProgramLimits limits_;
};

}  // namespace proplet::attestation
