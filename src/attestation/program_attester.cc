#include "attestation/program_attester.h"

#include <sys/stat.h>
#include <unistd.h>

#include "attestation/helper_program.h"
#include "base/encoding.h"

namespace proplet::attestation {
namespace {

constexpr std::size_t kMaxDepth = 32;

}  // namespace

Result<std::unique_ptr<Attester>> ProgramAttester::make(std::string path, std::string tee, ProgramLimits limits) {
  if (!path.starts_with('/')) return fail(Code::tee_unavailable, "the attester program {} is no absolute path", path);
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode) || ::access(path.c_str(), X_OK) != 0) {
    return fail(Code::tee_unavailable, "the attester program {} is no executable file", path);
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(Code::tee_unavailable, "the attester program {} can be changed by others than its owner; chmod go-w it",
                path);
  }
  return std::unique_ptr<Attester>(new ProgramAttester(std::move(path), std::move(tee), limits));
}

Result<json::value> ProgramAttester::evidence(const ReportData& report_data, std::stop_token stop) {
  json::object request;
  request["version"] = 1;
  request["tee"] = tee_;
  request["report_data"] = base64_encode(report_data.digest());
  TRY_ASSIGN(const auto outcome, run_helper(path_, json::serialize(request) + "\n",
                                            {.time = limits_.time, .output_bytes = limits_.output_bytes}, stop));
  if (outcome.exit_status != 0) {
    return fail(Code::evidence_failed, "{} ended with status {}: {}", path_, outcome.exit_status, outcome.error_line);
  }
  auto answer = json::parse_object(outcome.output, {.bytes = limits_.output_bytes, .depth = kMaxDepth});
  if (!answer)
    return fail(Error(Code::evidence_failed, path_ + " did not write a JSON object").caused_by(answer.error()));
  auto* evidence = answer->if_contains("evidence");
  if (evidence == nullptr) return fail(Code::evidence_failed, "{} wrote no evidence", path_);
  return std::move(*evidence);
}

}  // namespace proplet::attestation
