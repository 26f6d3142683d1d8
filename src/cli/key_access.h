// Where the commands of propctl get keys from that open images: a file at hand, or a key broker that wants the TEE
// proven.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <optional>
#include <string>

#include "attestation/attester.h"
#include "base/result.h"
#include "cli/cli.h"
#include "kbs/client.h"
#include "module/image_opener.h"
#include "net/http_client.h"

namespace proplet::cli {

struct KeyAccessFlags {
  std::string key_file;
  std::string kbs_url;
  std::string kbs_ca_file;
  bool kbs_allow_http = false;
  std::string tee = "auto";
  std::string attester_program;

  void add_to(CLI::App& command);
  [[nodiscard]] bool given() const { return !key_file.empty() || !kbs_url.empty(); }
};

// What a KeyAccess holds lives as long as it does.
struct KeyAccess {
  std::unique_ptr<attestation::Attester> attester;
  std::unique_ptr<net::HttpClient> http;
  std::unique_ptr<kbs::Client> client;
  std::string broker_host;
  // A key at hand has no name: it stands for whatever key a recipient's message needs.
  std::optional<kbs::ResourceUri> default_key;

  // Contacts nobody. KBS_NOT_CONFIGURED when the flags name neither a key nor a broker.
  static Result<KeyAccess> open(Cli& cli, const KeyAccessFlags& flags);
};

// An opener for modules up to 512 MiB. `keys` must outlive it; without keys it opens plain images and says why no
// other.
module::ImageOpener make_opener(const Result<KeyAccess>& keys);

}  // namespace proplet::cli
