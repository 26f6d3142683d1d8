#include "support/docker_registry.h"

#include <fstream>
#include <iostream>

namespace proplet::test_support {
namespace {

std::string configuration(const std::string& folder, int port, const DockerRegistry::Options& options) {
  std::string text = "version: 0.1\nlog: {level: warn}\nstorage:\n  filesystem: {rootdirectory: " + folder +
                     "/storage}\nhttp: {addr: '127.0.0.1:" + std::to_string(port) + "'}\n";
  if (!options.user.empty()) text += "auth:\n  htpasswd: {realm: test, path: " + folder + "/accounts}\n";
  if (!options.token_realm.empty()) {
    text += "auth:\n  token: {realm: '" + options.token_realm +
            "', service: reg, issuer: issuer, rootcertbundle: " + options.token_certificate + "}\n";
  }
  return text;
}

}  // namespace

std::unique_ptr<DockerRegistry> DockerRegistry::start(const Options& options) {
  std::unique_ptr<DockerRegistry> registry(new DockerRegistry());
  const auto& folder = registry->folder_.path();
  const bool with_accounts = !options.user.empty();
  if (with_accounts &&
      run({"htpasswd", "-Bbc", folder + "/accounts", options.user, options.password}, folder + "/htpasswd.log") != 0) {
    return nullptr;
  }
  registry->port_ = free_port();
  write_text(folder + "/config.yml", configuration(folder, registry->port_, options));
  const auto log = folder + "/registry.log";
  registry->process_ =
      std::make_unique<ChildProcess>(std::vector<std::string>{"docker-registry", "serve", folder + "/config.yml"}, log);
  if (wait_for_port(registry->port_, *registry->process_)) return registry;
  std::cerr << std::ifstream(log).rdbuf();
  return nullptr;
}

}  // namespace proplet::test_support
