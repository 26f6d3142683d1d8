// Result<T>: a value or an Error. Status: success or an Error.
//
//   Result<Manifest> parse(std::string_view text) {
//     TRY_ASSIGN(const auto object, json::parse_object(text));
//     if (object.empty()) return fail(Code::manifest_invalid, "empty manifest");
//     TRY(check(object));
//     return Manifest(object);
//   }
#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "base/error.h"

namespace proplet {

template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using Base = tl::expected<T, Error>;
  using Base::Base;
  Result(Base base) : Base(std::move(base)) {}  // NOLINT(google-explicit-constructor)
};

using Status = Result<void>;

template <class... Args>
tl::unexpected<Error> fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error(code, fmt::format(format, std::forward<Args>(args)...)));
}

inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace proplet

#define PROPLET_CONCAT_(a, b) a##b
#define PROPLET_CONCAT(a, b) PROPLET_CONCAT_(a, b)

// Returns the error of `expression` from the enclosing function, or goes on.
#define TRY(expression)                                                                                     \
  do {                                                                                                      \
    if (auto try_status = (expression); !try_status) return ::proplet::fail(std::move(try_status).error()); \
  } while (false)

// Declares `declaration` with the value of `expression`, or returns its error.
#define TRY_ASSIGN(declaration, expression) \
  TRY_ASSIGN_IMPL_(PROPLET_CONCAT(try_result_, __COUNTER__), declaration, expression)
#define TRY_ASSIGN_IMPL_(result, declaration, expression)           \
  auto result = (expression);                                       \
  if (!(result)) return ::proplet::fail(std::move(result).error()); \
  declaration = std::move(*(result))
