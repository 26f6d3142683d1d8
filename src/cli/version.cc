// proplet --version
#include "attestation/choice.h"
#include "cli/cli.h"
#include "kbs/protocol.h"
#include "wasm/engine.h"

namespace proplet::cli {
namespace {

// Making an attester opens nothing yet; UNSUPPORTED is how it says that there is none.
std::string supported_tees() {
  using attestation::Tee;
  std::string names;
  for (auto index = static_cast<unsigned>(Tee::sample); index <= static_cast<unsigned>(Tee::tpm); ++index) {
    const std::string name(attestation::tee_name(static_cast<Tee>(index)));
    const auto attester =
        attestation::make_attester({.mode = attestation::TeeChoice::Mode::named, .name = name}, std::nullopt);
    if (!attester && attester.error().code() == Code::unsupported) continue;
    names += (names.empty() ? "" : ", ") + name;
  }
  return names;
}

}  // namespace

std::string version_text(std::string_view version) {
  return fmt::format(
      "proplet {}\nengine     {}, core modules with WASI 0.1\n"
      "protocols  Propeller (worker 0.5), MQTT 3.1.1, Key Broker Service {}\nTEEs       {}",
      version, wasm::engine_version(), kbs::kProtocolVersion, supported_tees());
}

}  // namespace proplet::cli
