// Commands from the Manager: whatever is accepted has an id, and what we encode is read back the same.
#include "fuzz.h"
#include "propeller/messages.h"

namespace propeller = proplet::propeller;
using proplet::fuzz::check;

namespace {

void check_start(const propeller::StartCommand& command) {
  check(!command.id.empty() && command.id.size() <= propeller::kMaxIdBytes, "a task has an id");
  check(!command.image_url.empty() || !command.file_base64.empty(), "a task has a module");
  const auto again = propeller::parse_start(proplet::bytes_of(propeller::encode(command)));
  check(again.has_value(), "a command we write can be read");
  check(again->id == command.id && again->name == command.name && again->image_url == command.image_url &&
            again->file_base64 == command.file_base64 && again->inputs == command.inputs &&
            again->cli_args == command.cli_args && again->env == command.env && again->daemon == command.daemon &&
            again->latent == command.latent && again->encrypted == command.encrypted &&
            again->kbs_resource_path == command.kbs_resource_path && again->report_stages == command.report_stages,
        "a command we write says the same");
  check(again->target.includes("somebody") == command.target.includes("somebody"), "it is for the same workers");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const proplet::ByteView payload(data, size);
  const auto start = propeller::parse_start(payload);
  if (start) {
    check_start(*start);
  } else {
    check(start.error().id.size() <= propeller::kMaxIdBytes, "ids are bounded");
  }
  const auto stop = propeller::parse_stop(payload);
  check(!stop || !stop->id.empty(), "a stop names a task");
  const auto invoke = propeller::parse_invoke(payload);
  check(!invoke || !invoke->id.empty(), "an invocation names a task");
  const auto result = propeller::parse_result(payload);
  if (result) {
    const auto again = propeller::parse_result(proplet::bytes_of(propeller::encode(*result)));
    check(again && again->task_id == result->task_id && again->results == result->results &&
              again->error == result->error,
          "a result we write says the same");
  }
  return 0;
}
