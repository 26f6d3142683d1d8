// Sources is the worker's ModuleSource: it finds the way a task's module comes by, and goes it.
//
//   file            base64 in the message; NOT_ENCRYPTED if the task demands encryption
//   http(s)://...   downloaded; NOT_ENCRYPTED if the task demands encryption
//   image_url       an image reference, by the operator's PullMode: straight from its registry, or in chunks from a
//   proxy
//
// Encrypted images come straight from their registry or not at all. In the automatic mode a plain image goes to the
// proxy when its registry cannot be reached (network, name, TLS), or wants credentials of which none are configured.
// Every other failure is the registry's answer and stays one: a proxy, which knows no tags and no digests, might
// deliver something else. A digest in the reference is verified on either way. Thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/log.h"
#include "module/chunk_source.h"
#include "module/http_source.h"
#include "module/image_opener.h"
#include "module/module.h"
#include "module/pull_mode.h"
#include "module/unreachable_hosts.h"

namespace proplet::module {

struct SourcesOptions {
  std::size_t max_module_bytes = std::size_t{100} << 20;
  PullMode pull = PullMode::automatic;
  std::chrono::milliseconds unreachable_for{60000};
};

// The ways. All that is borrowed must outlive the Sources.
struct SourceParts {
  oci::OpenImage registry;           // with patience
  oci::OpenImage registry_at_first;  // gives up soon: the attempt before the proxy is asked
  std::function<bool(const oci::Reference&)> has_credentials;
  const ImageOpener& opener;
  const HttpSource& http;
  ChunkSource& chunks;
  Log& log;
};

class Sources final : public ModuleSource {
 public:
  Sources(SourceParts parts, SourcesOptions options)
      : parts_(std::move(parts)), options_(options), unreachable_(options.unreachable_for) {}

  Result<Module> fetch(const ModuleRequest& request, StageObserver* observer, std::stop_token stop) override;

 private:
  [[nodiscard]] Result<Module> decode_inline(const ModuleRequest& request) const;
  Result<Module> download(const ModuleRequest& request, StageObserver* observer, std::stop_token stop) const;
  Result<Module> encrypted_image(const ModuleRequest& request, const oci::Reference& reference, StageObserver* observer,
                                 std::stop_token stop) const;
  Result<Module> plain_image(const ModuleRequest& request, const oci::Reference& reference, StageObserver* observer,
                             std::stop_token stop);
  Result<Module> pull_plain(const oci::OpenImage& open, const oci::Reference& reference, StageObserver* observer,
                            std::stop_token stop) const;
  Result<Module> receive_chunks(const ModuleRequest& request, const oci::Reference& reference, StageObserver* observer,
                                std::stop_token stop) const;
  [[nodiscard]] bool calls_for_proxy(const Error& error, const oci::Reference& reference) const;

  SourceParts parts_;
  SourcesOptions options_;
  UnreachableHosts unreachable_;
};

}  // namespace proplet::module
