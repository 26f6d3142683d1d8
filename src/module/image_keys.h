// Which key opens an image: what the task names, what the image names, and what may be asked of the key broker.
//
// The annotations of an image are chosen by whoever could write to the registry. So a key id is only a
// wish: it must be a kbs:/// resource, must not send us to another key broker (KBS_NOT_ALLOWED), and must be the key
// that the task names, if it names one (KEY_MISMATCH).
#pragma once

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
  std::string broker_host;                      // the only host a key id may name
};

// Fails unless at least one recipient of the layer could be opened under the rules. Asks nobody.
Status check_key_ids(const ocicrypt::Annotations& annotations, const KeyRules& rules);

// Unwraps the keys of a layer with what `broker` releases, under the rules.
Result<ocicrypt::LayerKeys> release_layer_keys(const ocicrypt::Annotations& annotations, const KeyRules& rules,
                                               kbs::Client& broker, StageObserver* observer,
                                               const std::stop_token& stop);

}  // namespace proplet::module
