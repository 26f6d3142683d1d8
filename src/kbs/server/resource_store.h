// Resources in files: <folder>/repository/<repo>/<type>/<tag>, directories 0700, files 0600, replaced in one step.
#pragma once

#include <string>

#include "base/result.h"
#include "base/secret_bytes.h"
#include "kbs/client.h"

namespace proplet::kbs {

// Makes `path` with mode 0700 unless it is a directory already. CONFIG_INVALID.
Status make_private_folder(const std::string& path);

// Thread-safe: the file system orders the operations.
class ResourceStore {
 public:
  explicit ResourceStore(std::string folder) : folder_(std::move(folder)) {}

  // Errors are IO_FAILED or SIZE_LIMIT; a missing resource is one of them.
  [[nodiscard]] Result<SecretBytes> read(const ResourceUri& uri) const;
  [[nodiscard]] Status write(const ResourceUri& uri, ByteView bytes) const;
  [[nodiscard]] Status remove(const ResourceUri& uri) const;

 private:
  [[nodiscard]] std::string file(const ResourceUri& uri) const { return folder_ + "/repository/" + uri.path(); }
  std::string folder_;
};

}  // namespace proplet::kbs
