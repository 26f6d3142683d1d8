// Mirrors: other places that hold the images of a registry, such as a pull-through cache in the same rack.
//
// A rule "docker.io=mirror.example:5000" or "ghcr.io=cache.example/ghcr" says where to look first; several rules for
// one registry are tried in the order written, then the registry itself. What comes by digest is verified whoever sent
// it. What a *tag* means is believed of a mirror as it is of the registry, so a task that must be sure names a digest.
// Each place gets its own credentials, never another's. Mirrors are for reading only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/image.h"
#include "oci/reference.h"

namespace proplet::oci {

class Mirrors {
 public:
  Mirrors() = default;
  // One rule each. CONFIG_INVALID names the one that is not REGISTRY=HOST[:PORT][/PREFIX].
  static Result<Mirrors> parse(const std::vector<std::string>& rules);

  // Where else the image of `reference` may be, best first; empty when no rule is for its registry.
  [[nodiscard]] std::vector<Reference> places(const Reference& reference) const;

 private:
  struct Rule {
    std::string registry;
    std::string place;  // host[:port][/prefix]
  };
  std::vector<Rule> rules_;
};

// Tries `sources` in order and goes on after any failure but a stop; the last one is the registry itself, gives the
// name and, when all fail, the error. A source that could not be reached is not tried again.
std::unique_ptr<ImageSource> first_of(std::vector<std::unique_ptr<ImageSource>> sources);

}  // namespace proplet::oci
