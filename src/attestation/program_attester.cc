#include "attestation/program_attester.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/subprocess.h"

namespace proplet::attestation {
namespace {

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kReasonBytes = 300;
constexpr const char* kEnvironment = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string first_line(const BoundedOutput& output) {
  const std::string text = output.text();
  return text.substr(0, std::min(text.find('\n'), kReasonBytes));
}

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
  auto end = run_process({.program = path_,
                          .arguments = {path_},
                          .environment = {kEnvironment},
                          .input = json::serialize(request) + "\n",
                          .output_bytes = limits_.output_bytes,
                          .time = limits_.time},
                         stop);
  if (!end && end.error().code() == Code::cancelled) return fail(std::move(end).error());
  if (!end && end.error().code() == Code::task_timeout) {
    return fail(Code::evidence_failed, "{} took longer than {} ms", path_, limits_.time.count());
  }
  if (!end) return fail(Error(Code::evidence_failed, "the attester program").caused_by(end.error()));
  if (!end->succeeded()) {
    return fail(Code::evidence_failed, "{} failed, {}: {}", path_, end->text(), first_line(end->standard_error));
  }
  if (end->standard_output.dropped() > 0) {
    return fail(Code::evidence_failed, "{} wrote more than {} bytes", path_, limits_.output_bytes);
  }
  auto answer = json::parse_object(end->standard_output.text(), {.bytes = limits_.output_bytes, .depth = kMaxDepth});
  if (!answer)
    return fail(Error(Code::evidence_failed, path_ + " did not write a JSON object").caused_by(answer.error()));
  auto* evidence = answer->if_contains("evidence");
  if (evidence == nullptr) return fail(Code::evidence_failed, "{} wrote no evidence", path_);
  return std::move(*evidence);
}

}  // namespace proplet::attestation
