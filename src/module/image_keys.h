// Which key opens an image: what the task names, what the image names, and what may be asked of the key broker.
//
// The annotations of an image are chosen by whoever could write to the registry. So a key id is only a
// wish: it must be a kbs:/// resource, must not send us to another key broker (KBS_NOT_ALLOWED), and must be the key
// that the task names, if it names one (KEY_MISMATCH). Nor may an image have us ask for keys without end: at most
// KeyRing::kMaxKeys different ones, each once.
#pragma once

#include <map>
#include <optional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "base/stage.h"
#include "kbs/client.h"
#include "ocicrypt/key_wrap.h"

namespace proplet::module {

struct KeyRules {
  std::optional<kbs::ResourceUri> wanted;       // by the task
  std::optional<kbs::ResourceUri> default_key;  // for JWE recipients when the task names none
  std::string broker_host;                      // the only host that a key id, or the task, may name
};

// Fails unless the layer's annotations are well formed and at least one recipient could be opened under the rules.
// Asks nobody.
Status check_key_ids(const ocicrypt::Annotations& annotations, const KeyRules& rules);

// The keys that the layers of one image need, as the broker releases them. Lives as long as one image is being opened;
// used from one thread. The references must outlive it.
class KeyRing {
 public:
  static constexpr std::size_t kMaxKeys = 8;

  KeyRing(const KeyRules& rules, kbs::Client& broker, StageObserver* observer, std::stop_token stop)
      : rules_(rules), broker_(broker), observer_(observer), stop_(std::move(stop)) {}

  // Unwraps the keys of a layer with what the broker releases, under the rules. Errors are those of the broker and of
  // ocicrypt::unwrap_layer.
  Result<ocicrypt::LayerKeys> unwrap(const ocicrypt::Annotations& annotations);

 private:
  Result<SecretBytes> resource(const kbs::ResourceUri& uri);

  const KeyRules& rules_;
  kbs::Client& broker_;
  StageObserver* observer_;
  std::stop_token stop_;
  std::map<std::string, Result<SecretBytes>> answers_;  // by path
};

}  // namespace proplet::module
