// Turns the FORMAT_INVALID of the JSON helpers into the code a document's reader expects. Private to oci/.
#pragma once

#include <utility>

#include "base/result.h"

namespace proplet::oci {

inline Error recoded(Error error, Code code) {
  if (error.code() != Code::format_invalid) return error;
  return Error(code, error.message());
}

template <class T>
Result<T> recode(Result<T> result, Code code) {
  if (result) return result;
  return fail(recoded(std::move(result).error(), code));
}

}  // namespace proplet::oci
