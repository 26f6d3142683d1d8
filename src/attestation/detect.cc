#include "attestation/detect.h"

#include <filesystem>

#include "base/fd.h"

namespace proplet::attestation {
namespace {

namespace fs = std::filesystem;

bool exists(const fs::path& root, std::string_view relative) {
  std::error_code error;
  return fs::exists(root / relative, error);
}

bool says(const fs::path& root, std::string_view relative, std::string_view expected) {
  auto text = read_text_file((root / relative).string(), 256);
  if (!text) return false;
  while (!text->empty() && (text->back() == '\n' || text->back() == '\0')) text->pop_back();
  return *text == expected;
}

}  // namespace

std::optional<Tee> detect(const std::string& filesystem_root) {
  const fs::path root(filesystem_root);
  if (exists(root, "dev/tdx_guest")) return Tee::tdx;
  // Gramine offers this file to the program in the enclave.
  if (says(root, "dev/attestation/attestation_type", "dcap")) return Tee::sgx;
  if (exists(root, "sys/devices/platform/sev-guest")) return Tee::snp;
  if (exists(root, "dev/csv-guest")) return Tee::csv;
  if (exists(root, "sys/devices/platform/arm-cca-dev")) return Tee::cca;
  if (says(root, "sys/firmware/uv/prot_virt_guest", "1")) return Tee::se;
  return std::nullopt;
}

}  // namespace proplet::attestation
