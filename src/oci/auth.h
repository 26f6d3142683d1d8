// Registry credentials from a file of Docker (config.json) or containers (auth.json).
//
// `auths` maps a registry ("ghcr.io"), a namespace or repository below it ("ghcr.io/acme/app"), or Docker's
// "https://host/v1/" form to `auth` (base64 of user:password), `username` and `password`, or an `identitytoken`.
// Credential helpers and stores (`credHelpers`, `credsStore`) are external programs; they are not run, and entries that
// rely on them count as absent. An AuthFile is immutable after parsing, therefore thread-safe. Passwords live in
// SecretBytes.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret_bytes.h"
#include "oci/reference.h"

namespace proplet::oci {

struct Credentials {
  std::string username;
  SecretBytes password;        // empty when there is an identity token
  SecretBytes identity_token;  // OAuth 2.0 refresh token
};

class AuthFile {
 public:
  // No credentials: everything is anonymous.
  AuthFile() = default;
  // CONFIG_INVALID names the entry, never its content.
  static Result<AuthFile> parse(ByteView text);
  // IO_FAILED or CONFIG_INVALID; at most 1 MiB.
  static Result<AuthFile> load(const std::string& path);

  // One set of credentials, for people who gave them on the command line.
  void add(std::string_view key, Credentials credentials);

  // The most specific entry: host/a/b, then host/a, then host; null when there is none. Entries for docker.io,
  // index.docker.io and registry-1.docker.io are the same.
  [[nodiscard]] const Credentials* find(const Reference& reference) const;
  // The registries that have entries, without namespaces, each once.
  [[nodiscard]] std::vector<std::string> hosts() const;

 private:
  std::map<std::string, Credentials, std::less<>> entries_;  // by normalised key
};

}  // namespace proplet::oci
