#include "attestation/attester.h"

#include <array>

namespace proplet::attestation {
namespace {

struct Name {
  Tee tee;
  std::string_view name;
};

// Trustee kbs-types 0.18.
constexpr std::array kNames = {
    Name{Tee::sample, "sample"},
    Name{Tee::tdx, "tdx"},
    Name{Tee::snp, "snp"},
    Name{Tee::sgx, "sgx"},
    Name{Tee::cca, "cca"},
    Name{Tee::csv, "csv"},
    Name{Tee::se, "se"},
    Name{Tee::az_snp_vtpm, "az-snp-vtpm"},
    Name{Tee::az_tdx_vtpm, "az-tdx-vtpm"},
    Name{Tee::tpm, "tpm"},
};

}  // namespace

std::string_view tee_name(Tee tee) {
  for (const auto& entry : kNames) {
    if (entry.tee == tee) return entry.name;
  }
  return "unknown";
}

std::optional<Tee> tee_from_name(std::string_view name) {
  for (const auto& entry : kNames) {
    if (entry.name == name) return entry.tee;
  }
  return std::nullopt;
}

}  // namespace proplet::attestation
