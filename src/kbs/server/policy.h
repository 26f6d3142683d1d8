// The development broker's resource policy: which TEE kind may read which resource.
//
//   {"rules": [{"tee": ["sample"], "path": "default/key/*"}]}
//
// A request is allowed when one rule names its TEE and matches its path. Patterns have three segments; a segment is
// literal, `*`, or a literal beginning followed by `*`. What no rule allows is denied. A Policy is a value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "attestation/attester.h"
#include "base/result.h"

namespace proplet::kbs {

class Policy {
 public:
  // CONFIG_INVALID says which rule is wrong. Unknown members are errors: a misspelt one must not widen access.
  static Result<Policy> parse(std::string_view text);
  // Without a policy file: everything for these TEEs, nothing for others.
  static Policy allow_all_for(std::vector<attestation::Tee> tees);

  // `path` is "repository/type/tag", not yet validated.
  [[nodiscard]] bool allows(attestation::Tee tee, std::string_view path) const;

 private:
  struct Rule {
    std::vector<attestation::Tee> tees;
    std::vector<std::string> segments;  // empty: every path
  };
  std::vector<Rule> rules_;
};

}  // namespace proplet::kbs
