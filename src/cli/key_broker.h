// Administration of a key broker, for the commands of propctl that store keys in one.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <string>

#include "base/result.h"
#include "cli/cli.h"
#include "kbs/client.h"
#include "net/http_client.h"

namespace proplet::cli {

struct KeyBrokerFlags {
  std::string url;
  std::string admin_key_file;    // an Ed25519 key that signs a token for each command
  std::string admin_token_file;  // or a token, as Trustee's own tool keeps one; neither: no token is sent
  std::string ca_file;
  bool allow_http = false;

  void add_to(CLI::App& command);
};

// An HTTP client for the broker at `url`: https, or plain HTTP on loopback or when `allow_http` says so.
Result<std::unique_ptr<net::HttpClient>> broker_client(const net::Url& url, const std::string& ca_file,
                                                       bool allow_http);

// Calls `work` with what an administrative call needs: HTTP client, URL and a fresh token.
using AdminWork = std::function<Status(net::HttpClient& http, const net::Url& url, const std::string& token)>;
Status as_administrator(Cli& cli, const KeyBrokerFlags& flags, const AdminWork& work);

Status upload_key(Cli& cli, const KeyBrokerFlags& flags, const kbs::ResourceUri& uri, ByteView key);

}  // namespace proplet::cli
