// SecretJson: a parsed JSON object with secrets in it, such as a private JWK; every string in it is wiped when the
// owner dies.
//
// Boost.JSON hands an unescaped string from the text to its final place in one copy, so that wiping the final places
// leaves nothing behind. Moves, never copies.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"

namespace proplet::crypto {

class SecretJson {
 public:
  // FORMAT_INVALID or SIZE_LIMIT, as json::parse_object.
  static Result<SecretJson> parse(ByteView text, json::Limits limits = {});

  explicit SecretJson(json::object object) : object_(std::move(object)) {}
  SecretJson(SecretJson&& other) noexcept = default;
  SecretJson& operator=(SecretJson&& other) noexcept = delete;
  SecretJson(const SecretJson&) = delete;
  SecretJson& operator=(const SecretJson&) = delete;
  ~SecretJson();

  [[nodiscard]] const json::object& object() const { return object_; }

 private:
  json::object object_;
};

// A view of a string member, without the copy json::required_string makes. FORMAT_INVALID names the member.
Result<std::string_view> string_member(const json::object& object, std::string_view name);

}  // namespace proplet::crypto
