// Access to images for the commands of propctl: registries and OCI layouts behind one name.
//
// An image name is "oci:FOLDER[:TAG]" for a layout on disk, anything else is a registry reference.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/cli.h"
#include "kbs/given_key.h"
#include "net/http_client.h"
#include "oci/layout.h"
#include "oci/registry.h"

namespace proplet::cli {

// The largest module that the commands read or make.
inline constexpr std::size_t kMaxModuleBytes = std::size_t{512} << 20;

struct RegistryFlags {
  std::vector<std::string> insecure_hosts;
  std::string auth_file;  // empty: where docker, podman and skopeo keep theirs
  std::string ca_file;
  std::vector<std::string> mirrors;

  void add_to(CLI::App& command);
};

class Images {
 public:
  // `cli` must outlive the object.
  static Result<std::unique_ptr<Images>> make(Cli& cli, const RegistryFlags& flags);

  // Valid as long as this object.
  Result<std::unique_ptr<oci::ImageSource>> source(const std::string& name);
  Result<std::unique_ptr<oci::ImageTarget>> target(const std::string& name);
  static bool is_layout(const std::string& name) { return name.starts_with("oci:"); }

 private:
  Images(std::unique_ptr<net::HttpClient> http, Cli& cli, oci::RegistryOptions options);

  std::unique_ptr<net::HttpClient> http_;
  oci::Registry registry_;
  std::vector<std::unique_ptr<oci::Layout>> layouts_;
};

// A key from a file of at most 64 KiB.
Result<SecretBytes> read_key_file(const std::string& path);

}  // namespace proplet::cli
