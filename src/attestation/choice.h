// The operator's choice of attester (PROPLET_TEE, PROPLET_ATTESTER_PROGRAM) and the attester that follows from it.
//
// auto uses what detect() finds and fails without a TEE; off refuses encrypted tasks; a TEE's name pins it. `sample`
// proves nothing and is therefore chosen by name only. A program of the operator needs a name as well, which may be one
// that we do not know. Where the interface of the chosen TEE is missing the error names it and says what to do; nothing
// weaker takes its place.
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
  std::string name;  // of `named`

  // "auto" (or empty), "off", or a TEE's name, in lower case. With a program also names we do not know, of letters,
  // digits and dashes. CONFIG_INVALID lists the choices.
  static Result<TeeChoice> parse(std::string_view text, bool with_program = false);
  // What `parse` would read.
  [[nodiscard]] std::string text() const;
  bool operator==(const TeeChoice&) const = default;
};

struct AttesterOptions {
  std::string filesystem_root = {};  // "" in production
  std::string program = {};          // an external attester's absolute path; empty: none
  Bytes init_data_digest = {};       // what the machine must have been launched with; empty: not compared
};

// `detected` is the answer of detect(). TEE_UNAVAILABLE when the choice is off, nothing was found, another TEE than the
// named one was found, or its interface is missing; UNSUPPORTED when only an external program can produce the evidence.
Result<std::unique_ptr<Attester>> make_attester(const TeeChoice& choice, std::optional<Tee> detected,
                                                AttesterOptions options = {});

}  // namespace proplet::attestation
