// What workers publish, shown on a terminal: no byte that a terminal obeys comes through.
#include "cli/worker_report.h"
#include "fuzz.h"

using proplet::fuzz::check;

namespace {

void check_harmless(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    check(byte >= 0x20 && byte != 0x7F, "no control character");
    if (byte == 0xC2 && i + 1 < text.size()) {
      check(static_cast<unsigned char>(text[i + 1]) >= 0xA0 || static_cast<unsigned char>(text[i + 1]) < 0x80, "no C1");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const proplet::ByteView payload(data, size);
  proplet::cli::Roster roster;
  for (const char* topic :
       {"control/proplet/create", "control/proplet/alive", "control/proplet/metrics", "control/proplet/task_metrics",
        "control/proplet/results", "control/proplet/invoke_results"}) {
    const auto line = proplet::cli::describe(topic, payload);
    check_harmless(line.worker);
    check_harmless(line.text);
    roster.hear(topic, payload, {});
  }
  for (const auto& [id, worker] : roster.workers()) check_harmless(id);
  return 0;
}
