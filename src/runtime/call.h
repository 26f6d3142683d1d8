// Which function of a core module a task means, and how its arguments and results are written as text.
//
// The rules are those of the Propeller protocol's embedded runtime for core modules. Argument texts come from
// strangers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/runtime.h"
#include "wasm/module.h"
#include "wasm/run.h"

namespace proplet::runtime {

// The function that has the task's name; if there is none, and none was demanded: main, run, _start, in this order.
// Names are free text (empty, a title, "fl-round-..."), so not finding one is no error yet. EXPORT_NOT_FOUND lists
// the exports.
Result<const wasm::FunctionExport*> choose_function(const wasm::Module& module, const RunRequest& request);

// One value per parameter: integers are decimal with an optional sign, floats decimal with an optional exponent, or
// "inf", "infinity", "nan" in any case. No white space. ARGUMENT_MISMATCH names the argument by position.
Result<std::vector<wasm::Value>> parse_arguments(const wasm::FunctionExport& function,
                                                 const std::vector<std::string>& arguments);

// Signed decimal for integers; for floats the shortest decimal that reads back the same, without an exponent and
// without ".0"; "NaN", "inf", "-inf".
std::string format_value(const wasm::Value& value);

}  // namespace proplet::runtime
