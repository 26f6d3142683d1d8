// Whether a text is JSON (RFC 8259, UTF-8), for texts that are handed on as they are: it takes no memory, whatever the
// text holds. Repeated member names are let be: who reads the text has to judge them.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace proplet::json {

// FORMAT_INVALID with the offset of the fault; SIZE_LIMIT when the text is longer than the limit.
Status check(std::string_view text, Limits limits);

}  // namespace proplet::json
