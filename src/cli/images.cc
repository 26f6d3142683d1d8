#include "cli/images.h"

#include <unistd.h>

#include <cstdlib>

#include "base/fd.h"

namespace proplet::cli {
namespace {

constexpr std::size_t kMaxKeyFile = 65536;    // bytes
constexpr std::size_t kMaxCaFile = 1U << 20;  // bytes

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// Where the tools keep credentials (containers-auth.json(5), docker login).
std::string usual_auth_file() {
  if (const std::string file = environment("REGISTRY_AUTH_FILE"); !file.empty()) return file;
  std::vector<std::string> places;
  if (const std::string run = environment("XDG_RUNTIME_DIR"); !run.empty())
    places.push_back(run + "/containers/auth.json");
  if (const std::string home = environment("HOME"); !home.empty()) {
    places.push_back(home + "/.config/containers/auth.json");
    places.push_back(home + "/.docker/config.json");
  }
  for (const auto& place : places) {
    if (::access(place.c_str(), R_OK) == 0) return place;
  }
  return "";
}

struct LayoutName {
  std::string folder;
  std::string tag;
};

// "oci:FOLDER[:TAG]". The last colon separates, as in skopeo.
LayoutName split_layout(const std::string& name) {
  const std::string rest = name.substr(4);
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string::npos || rest.find('/', colon) != std::string::npos) return {rest, ""};
  return {rest.substr(0, colon), rest.substr(colon + 1)};
}

}  // namespace

void RegistryFlags::add_to(CLI::App& command) {
  command.add_option("--insecure-registry", insecure_hosts, "host[:port] to speak plain HTTP with, besides loopback");
  command.add_option("--registry-auth", auth_file, "Docker config.json or containers auth.json with credentials");
  command.add_option("--registry-ca", ca_file, "PEM file of the authorities to trust instead of the system's");
  command.add_option("--registry-mirror", mirrors, "REGISTRY=HOST[:PORT][/PREFIX] to look at first; repeatable");
}

Images::Images(std::unique_ptr<net::HttpClient> http, Cli& cli, oci::RegistryOptions options)
    : http_(std::move(http)), registry_(*http_, cli.clock, cli.random, std::move(options)) {}

Result<std::unique_ptr<Images>> Images::make(Cli& cli, const RegistryFlags& flags) {
  oci::RegistryOptions options;
  options.insecure_hosts.insert(flags.insecure_hosts.begin(), flags.insecure_hosts.end());
  TRY_ASSIGN(options.mirrors, oci::Mirrors::parse(flags.mirrors));
  const std::string auth_file = flags.auth_file.empty() ? usual_auth_file() : flags.auth_file;
  if (!auth_file.empty()) {
    TRY_ASSIGN(options.credentials, oci::AuthFile::load(auth_file));
  }
  net::HttpClientOptions http_options;
  http_options.insecure_hosts = options.insecure_hosts;
  if (!flags.ca_file.empty()) {
    TRY_ASSIGN(http_options.tls.ca_pem, read_text_file(flags.ca_file, kMaxCaFile));
  }
  TRY_ASSIGN(auto http, net::make_http_client(std::move(http_options)));
  return std::unique_ptr<Images>(new Images(std::move(http), cli, std::move(options)));
}

Result<std::unique_ptr<oci::ImageSource>> Images::source(const std::string& name) {
  if (is_layout(name)) {
    const LayoutName layout = split_layout(name);
    TRY_ASSIGN(auto opened, oci::Layout::open(layout.folder));
    layouts_.push_back(std::move(opened));
    return layouts_.back()->source(layout.tag);
  }
  TRY_ASSIGN(const auto reference, oci::Reference::parse(name));
  return registry_.source(reference);
}

Result<std::unique_ptr<oci::ImageTarget>> Images::target(const std::string& name) {
  if (is_layout(name)) {
    const LayoutName layout = split_layout(name);
    TRY_ASSIGN(auto opened, oci::Layout::create(layout.folder));
    layouts_.push_back(std::move(opened));
    return layouts_.back()->target(layout.tag);
  }
  TRY_ASSIGN(const auto reference, oci::Reference::parse(name));
  return registry_.target(reference);
}

Result<SecretBytes> read_key_file(const std::string& path) { return read_secret_file(path, kMaxKeyFile); }

}  // namespace proplet::cli
