#include "attestation/choice.h"

#include "attestation/sample_attester.h"

namespace proplet::attestation {

Result<TeeChoice> TeeChoice::parse(std::string_view text) {
  if (text.empty() || text == "auto") return TeeChoice{};
  if (text == "off") return TeeChoice{.mode = Mode::off};
  if (const auto tee = tee_from_name(text)) return TeeChoice{.mode = Mode::named, .tee = *tee};
  return fail(Code::config_invalid,
              "the TEE is one of auto, off, sample, tdx, snp, sgx, cca, csv, se, az-snp-vtpm, az-tdx-vtpm, tpm");
}

std::string TeeChoice::text() const {
  switch (mode) {
    case Mode::automatic:
      return "auto";
    case Mode::off:
      return "off";
    case Mode::named:
      return std::string(tee_name(tee));
  }
  return "";
}

namespace {

Result<std::unique_ptr<Attester>> attester_for(Tee tee, std::string_view how) {
  if (tee == Tee::sample) return std::make_unique<SampleAttester>();
  return fail(Code::unsupported, "{} {}; this version cannot produce its evidence yet", how, tee_name(tee));
}

}  // namespace

Result<std::unique_ptr<Attester>> make_attester(const TeeChoice& choice, std::optional<Tee> detected) {
  switch (choice.mode) {
    case TeeChoice::Mode::off:
      return fail(Code::tee_unavailable, "the use of a TEE is switched off");
    case TeeChoice::Mode::automatic:
      if (!detected) return fail(Code::tee_unavailable, "no trusted execution environment was detected");
      return attester_for(*detected, "detected");
    case TeeChoice::Mode::named:
      break;
  }
  if (choice.tee != Tee::sample && detected && *detected != choice.tee) {
    return fail(Code::tee_unavailable, "{} was asked for, but this is {}", tee_name(choice.tee), tee_name(*detected));
  }
  return attester_for(choice.tee, "asked for");
}

}  // namespace proplet::attestation
