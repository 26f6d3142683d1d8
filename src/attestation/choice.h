// The operator's choice of attester (PROPLET_TEE) and the attester that follows from it.
//
// auto uses what detect() finds and fails without a TEE; off refuses encrypted tasks; a TEE's name pins it. `sample`
// proves nothing and is therefore chosen by name only. This version has no hardware attester: such a choice fails with
// a message that names the TEE, and nothing weaker takes its place.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "attestation/attester.h"
#include "base/result.h"

namespace proplet::attestation {

struct TeeChoice {
  enum class Mode : std::uint8_t { automatic, off, named };
  Mode mode = Mode::automatic;
  Tee tee = Tee::sample;  // meaningful for `named` only

  // "auto" (or empty), "off", or a TEE's name, in lower case. CONFIG_INVALID lists the choices.
  static Result<TeeChoice> parse(std::string_view text);
  // What `parse` would read.
  [[nodiscard]] std::string text() const;
  bool operator==(const TeeChoice&) const = default;
};

// `detected` is the answer of detect(). TEE_UNAVAILABLE when the choice is off, nothing was found, or another TEE than
// the named one was found; UNSUPPORTED when this version cannot produce the TEE's evidence.
Result<std::unique_ptr<Attester>> make_attester(const TeeChoice& choice, std::optional<Tee> detected);

}  // namespace proplet::attestation
