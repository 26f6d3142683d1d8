// An attester for tests: counts its calls, remembers the report data, and fails on demand.
#pragma once

#include <atomic>
#include <mutex>
#include <utility>

#include "attestation/attester.h"

namespace proplet::attestation {

class FakeAttester final : public Attester {
 public:
  explicit FakeAttester(Tee tee = Tee::sample, Result<json::value> evidence = json::value(json::object()))
      : tee_(tee), evidence_(std::move(evidence)) {}

  [[nodiscard]] std::string_view tee() const override { return tee_name(tee_); }
  Result<json::value> evidence(const ReportData& report_data, std::stop_token) override {
    ++calls_;
    const std::lock_guard lock(mutex_);
    report_data_.assign(report_data.digest().begin(), report_data.digest().end());
    return evidence_;
  }

  [[nodiscard]] int calls() const { return calls_; }
  [[nodiscard]] Bytes report_data() const {
    const std::lock_guard lock(mutex_);
    return report_data_;
  }

 private:
  Tee tee_;
  Result<json::value> evidence_;
  std::atomic<int> calls_ = 0;
  mutable std::mutex mutex_;
  Bytes report_data_;
};

}  // namespace proplet::attestation
