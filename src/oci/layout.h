// Layout: an OCI image layout on disk (OCI image specification 1.1, image-layout.md).
//
// A folder with `oci-layout`, `index.json` and blobs/<algorithm>/<hex>. Names are the annotation
// org.opencontainers.image.ref.name of entries of index.json; an empty name means the only entry. Paths are built from
// validated digests alone, never from annotations. Blobs are verified on reading; every file is written in one step,
// index.json last, so that a reader never sees half an image. Sources and targets of one Layout are thread-safe;
// several processes writing into one folder are not coordinated.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "oci/image.h"

namespace proplet::oci {

class Layout {
 public:
  // An existing layout. IO_FAILED when there is none, MANIFEST_INVALID when its version is unknown.
  static Result<std::unique_ptr<Layout>> open(std::string path);
  // Makes the folder and an empty layout unless there is one.
  static Result<std::unique_ptr<Layout>> create(std::string path);

  // The layout must outlive them.
  std::unique_ptr<ImageSource> source(std::string name);
  std::unique_ptr<ImageTarget> target(std::string name);

 private:
  friend class LayoutSource;
  friend class LayoutTarget;
  explicit Layout(std::string path) : path_(std::move(path)) {}

  std::string path_;
  std::mutex index_mutex_;  // read-modify-write of index.json
};

}  // namespace proplet::oci
