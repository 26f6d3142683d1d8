#include "attestation/choice.h"

#include <algorithm>

#include "attestation/cca_attester.h"
#include "attestation/program_attester.h"
#include "attestation/sample_attester.h"
#include "attestation/sgx_attester.h"
#include "attestation/snp_attester.h"
#include "attestation/tdx_attester.h"
#include "attestation/tsm_report.h"

namespace proplet::attestation {
namespace {

constexpr std::size_t kMaxNameBytes = 32;

bool is_name(std::string_view text) {
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  return text.size() <= kMaxNameBytes && std::ranges::all_of(text, fits);
}

// Makes the attester of one kind, or says what is missing.
class Maker {
 public:
  explicit Maker(AttesterOptions options)
      : options_(std::move(options)), files_(std::make_shared<SystemFiles>(options_.filesystem_root)) {}

  Result<std::unique_ptr<Attester>> make(Tee tee, std::string_view how) {
    switch (tee) {
      case Tee::sample:
        return std::make_unique<SampleAttester>();
      case Tee::tdx:
        return tdx();
      case Tee::snp:
        return snp();
      case Tee::cca:
        return cca();
      case Tee::sgx:
        return sgx();
      default:
        return fail(Code::unsupported,
                    "{} {}, for which there is no attester here; PROPLET_ATTESTER_PROGRAM can name one (docs/tee.md)",
                    how, tee_name(tee));
    }
  }

 private:
  [[nodiscard]] bool has_reports() const { return files_->exists(std::string(kTsmFolder)); }

  Result<std::unique_ptr<Attester>> tdx() {
    if (has_reports()) {
      return std::make_unique<TdxAttester>(files_, random_, std::move(options_.init_data_digest));
    }
    return fail(Code::tee_unavailable,
                "there is no {}, through which a TDX guest gets its quotes: it needs Linux 6.7 or newer, the module "
                "tdx_guest, and configfs (mount -t configfs none /sys/kernel/config){}",
                kTsmFolder,
                files_->exists("/dev/tdx_guest")
                    ? "; /dev/tdx_guest alone gives a report that only this machine can check"
                    : "");
  }

  Result<std::unique_ptr<Attester>> snp() {
    if (has_reports() || files_->exists(kSevGuestDevice)) {
      return std::make_unique<SnpAttester>(files_, random_, system_devices(options_.filesystem_root),
                                           std::move(options_.init_data_digest));
    }
    return fail(Code::tee_unavailable,
                "there is neither {} nor {}: an SEV-SNP guest needs the module sev-guest (modprobe sev-guest)",
                kTsmFolder, kSevGuestDevice);
  }

  Result<std::unique_ptr<Attester>> cca() {
    if (has_reports()) return std::make_unique<CcaAttester>(files_, random_);
    return fail(Code::tee_unavailable,
                "there is no {}: an Arm CCA realm needs Linux 6.13 or newer, the module arm-cca-guest, and configfs "
                "(mount -t configfs none /sys/kernel/config)",
                kTsmFolder);
  }

  Result<std::unique_ptr<Attester>> sgx() {
    if (short_text(*files_, kGramineType) == "dcap") {
      return std::make_unique<SgxAttester>(files_, std::move(options_.init_data_digest));
    }
    return fail(Code::tee_unavailable,
                "{} does not say dcap: an SGX enclave is attested under Gramine whose manifest has "
                "sgx.remote_attestation = \"dcap\"",
                kGramineType);
  }

  AttesterOptions options_;
  std::shared_ptr<GuestFiles> files_;
  std::shared_ptr<Random> random_ = std::make_shared<SystemRandom>();
};

}  // namespace

Result<TeeChoice> TeeChoice::parse(std::string_view text, bool with_program) {
  if (text.empty() || text == "auto") return TeeChoice{};
  if (text == "off") return TeeChoice{.mode = Mode::off, .name = ""};
  if (tee_from_name(text) || (with_program && is_name(text))) {
    return TeeChoice{.mode = Mode::named, .name = std::string(text)};
  }
  return fail(Code::config_invalid,
              "the TEE is one of auto, off, sample, tdx, snp, sgx, cca, csv, se, az-snp-vtpm, az-tdx-vtpm, tpm; any "
              "other name needs PROPLET_ATTESTER_PROGRAM");
}

std::string TeeChoice::text() const {
  switch (mode) {
    case Mode::automatic:
      return "auto";
    case Mode::off:
      return "off";
    case Mode::named:
      return name;
  }
  return "";
}

Result<std::unique_ptr<Attester>> make_attester(const TeeChoice& choice, std::optional<Tee> detected,
                                                AttesterOptions options) {
  if (choice.mode == TeeChoice::Mode::off) return fail(Code::tee_unavailable, "the use of a TEE is switched off");
  if (!options.program.empty()) {
    // Only the operator can know what a program's evidence proves.
    if (choice.mode == TeeChoice::Mode::named) return ProgramAttester::make(options.program, choice.name);
    return fail(Code::tee_unavailable, "PROPLET_ATTESTER_PROGRAM needs PROPLET_TEE to name the TEE that it attests");
  }
  if (choice.mode == TeeChoice::Mode::automatic) {
    if (!detected) return fail(Code::tee_unavailable, "no trusted execution environment was detected");
    return Maker(std::move(options)).make(*detected, "detected");
  }
  const auto tee = tee_from_name(choice.name);
  if (!tee) return fail(Code::config_invalid, "{} needs PROPLET_ATTESTER_PROGRAM", choice.name);
  if (tee != Tee::sample && detected && detected != tee) {
    return fail(Code::tee_unavailable, "{} was asked for, but this is {}", choice.name, tee_name(*detected));
  }
  return Maker(std::move(options)).make(*tee, "asked for");
}

}  // namespace proplet::attestation
