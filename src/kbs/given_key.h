// GivenKey stands in for a key broker when the key is at hand: it gives the same key whatever is asked for.
//
// For operators' tools, and for development without a broker: nothing attests, and nobody can take the key back.
// Immutable, therefore thread-safe.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "base/secret_bytes.h"
#include "kbs/client.h"

namespace proplet::kbs {

class GivenKey final : public Client {
 public:
  explicit GivenKey(SecretBytes key) : key_(std::move(key)) {}
  // CONFIG_INVALID when anybody but its owner may read the file or it belongs to another user; IO_FAILED, SIZE_LIMIT.
  static Result<std::unique_ptr<GivenKey>> from_private_file(const std::string& path);

  Result<SecretBytes> get_resource(const ResourceUri&, StageObserver*, std::stop_token) override {
    return key_.clone();
  }
  // What the key goes by where a name is needed.
  static ResourceUri name() { return ResourceUri::parse("local/key/file").value(); }

 private:
  SecretBytes key_;
};

}  // namespace proplet::kbs
