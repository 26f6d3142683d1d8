#include "cli/key_access.h"

#include "attestation/choice.h"
#include "attestation/detect.h"
#include "cli/images.h"
#include "cli/key_broker.h"

namespace proplet::cli {

void KeyAccessFlags::add_to(CLI::App& command) {
  command.add_option("--key", key_file, "Key at hand: key encryption key, or a recipient's private key");
  command.add_option("--kbs", kbs_url, "Key broker to get the key from")->envname("PROPLET_KBS_URI");
  command.add_option("--kbs-ca", kbs_ca_file, "PEM file of the authorities to trust for the key broker");
  command.add_flag("--kbs-allow-http", kbs_allow_http, "Speak plain HTTP with a broker not on loopback");
  command.add_option("--tee", tee, "TEE to prove: auto, sample, tdx, ...")->envname("PROPLET_TEE");
  command.add_option("--attester", attester_program, "Program that produces the TEE's evidence")
      ->envname("PROPLET_ATTESTER_PROGRAM");
}

Result<KeyAccess> KeyAccess::open(Cli& cli, const KeyAccessFlags& flags) {
  KeyAccess keys;
  if (!flags.key_file.empty()) {
    TRY_ASSIGN(SecretBytes key, read_key_file(flags.key_file));
    keys.client = std::make_unique<kbs::GivenKey>(std::move(key));
    keys.default_key = kbs::GivenKey::name();
    return keys;
  }
  if (flags.kbs_url.empty()) return fail(Code::kbs_not_configured, "give --kbs URL, or --key FILE");
  TRY_ASSIGN(const auto choice, attestation::TeeChoice::parse(flags.tee, !flags.attester_program.empty()));
  TRY_ASSIGN(keys.attester,
             attestation::make_attester(choice, attestation::detect("/"), {.program = flags.attester_program}));
  TRY_ASSIGN(const net::Url url, net::Url::parse(flags.kbs_url));
  TRY_ASSIGN(keys.http, broker_client(url, flags.kbs_ca_file, flags.kbs_allow_http));
  TRY_ASSIGN(keys.client, kbs::make_client({.url = url}, *keys.http, *keys.attester, cli.clock));
  keys.broker_host = url.authority();
  return keys;
}

module::ImageOpener make_opener(const Result<KeyAccess>& keys) {
  module::ImageOpenerOptions options;
  options.max_module_bytes = kMaxModuleBytes;
  if (!keys) return {std::move(options), fail(Error(keys.error()))};
  options.broker_host = keys->broker_host;
  options.default_key = keys->default_key;
  return {std::move(options), keys->client.get()};
}

}  // namespace proplet::cli
