// What proplet doctor looks at. Each finding is one line: whether it is well, and what to do if it is not.
//
// Nothing found here holds a secret: settings that are one are not shown, addresses are shown without user and query.
// For this folder only.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "worker/config.h"

namespace proplet::cli {

struct Finding {
  enum class Level : std::uint8_t { ok, warn, fail };

  Level level = Level::ok;
  std::string check;    // "broker"
  std::string message;  // what was found
  std::string advice;   // what to do; empty if all is well
};
using Findings = std::vector<Finding>;

// What a check may look at. Shared by checks on threads of their own, which may outlive the command.
struct Patient {
  worker::Environment environment;
  worker::LoadedConfig loaded;

  [[nodiscard]] const worker::WorkerConfig& config() const { return loaded.config; }
};
using PatientPointer = std::shared_ptr<const Patient>;

// The settings, the files and folders they name, and the limits of this process and machine. Does not wait.
Findings examine_settings(const Patient& patient);
Findings examine_files(const Patient& patient);
Findings examine_machine(const Patient& patient);

// Those that wait for somebody. They end soon after a stop request, unless the system's name resolution holds them.
struct SlowCheck {
  std::string name;
  std::function<Findings(const std::stop_token& stop)> examine;
};
std::vector<SlowCheck> slow_checks(const PatientPointer& patient);

}  // namespace proplet::cli
