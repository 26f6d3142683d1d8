// A Module is verified bytes in memory plus what is known about them.
//
// Where the bytes come from (inline, HTTP, chunks, a plain or an encrypted image) ends here; how they run does not
// depend on it. Bytes of encrypted images are confidential: they live in SecretBytes like all module bytes do, never
// touch a file, and are wiped once compiled.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "base/secret_bytes.h"
#include "base/stage.h"

namespace proplet::module {

struct Module {
  SecretBytes bytes;
  std::string digest;  // of the bytes: "sha256:<hex>"; for confidential modules of the manifest, which is public
  std::string source;  // for people: "inline", or the reference with its manifest digest
  bool confidential = false;
};

// What a task says about its module.
struct ModuleRequest {
  std::string image_url;    // empty for inline modules
  std::string file_base64;  // empty unless inline
  bool encrypted = false;
  std::string kbs_resource_path;  // empty: whatever the image names
};

// Thread-safe; `fetch` blocks and ends within 100 ms of a stop request.
class ModuleSource {
 public:
  virtual ~ModuleSource() = default;
  virtual Result<Module> fetch(const ModuleRequest& request, StageObserver* observer, std::stop_token stop) = 0;
};

}  // namespace proplet::module
