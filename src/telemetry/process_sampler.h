// ProcessSampler reads what this process and its container use. Not thread-safe.
#pragma once

#include <optional>

#include "base/process_stats.h"
#include "propeller/metrics_messages.h"

namespace proplet::telemetry {

class ProcessSampler {
 public:
  ProcessSampler() : last_(read_machine_time()) {}

  // Fills in every number. The machine's CPU use is that since the call before, or since this object was made.
  void sample(propeller::ProcessMetrics& metrics);

 private:
  std::optional<MachineTime> last_;
};

}  // namespace proplet::telemetry
