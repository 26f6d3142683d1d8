// Sources is the worker's ModuleSource: it finds the way a task's module comes by, and goes it.
//
//   file            base64 in the message; NOT_ENCRYPTED if the task demands encryption
//   image_url       an image reference, pulled straight from its registry; encrypted if the task says so
//   http(s)://...   not in this version: UNSUPPORTED
//
// Thread-safe.
#pragma once

#include <functional>
#include <memory>

#include "module/image_opener.h"
#include "module/module.h"

namespace proplet::module {

struct SourcesOptions {
  std::size_t max_module_bytes = std::size_t{100} << 20;
  bool pull_images = true;  // false: the operator wants no connections to registries
};

class Sources final : public ModuleSource {
 public:
  // `open_image` makes the source of a reference; `opener` must outlive this object.
  Sources(oci::OpenImage open_image, const ImageOpener& opener, SourcesOptions options)
      : open_image_(std::move(open_image)), opener_(opener), options_(options) {}

  Result<Module> fetch(const ModuleRequest& request, StageObserver* observer, std::stop_token stop) override;

 private:
  [[nodiscard]] Result<Module> decode_inline(const ModuleRequest& request) const;
  Result<Module> pull_image(const ModuleRequest& request, StageObserver* observer, std::stop_token stop) const;

  oci::OpenImage open_image_;
  const ImageOpener& opener_;
  SourcesOptions options_;
};

}  // namespace proplet::module
