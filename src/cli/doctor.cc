// proplet doctor: whether this worker would work here, and what to do if not.
#include "cli/doctor.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "cli/cli.h"

namespace proplet::cli {
namespace {

constexpr std::chrono::seconds kStopAfter{10};
constexpr std::chrono::seconds kGiveUpAfter{12};

std::string_view level_name(Finding::Level level) {
  switch (level) {
    case Finding::Level::ok:
      return "ok";
    case Finding::Level::warn:
      return "warn";
    default:
      return "fail";
  }
}

// Results of checks that run beside each other. Shared with their threads: one that the system's name resolution holds
// is left behind.
struct Ward {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::optional<Findings>> results;
  std::size_t missing = 0;
};

void start(const std::shared_ptr<Ward>& ward, std::size_t index, SlowCheck check, std::stop_token stop) {
  std::thread([ward, index, check = std::move(check), stop = std::move(stop)] {
    Findings found;
    try {
      found = check.examine(stop);
    } catch (const std::exception& error) {
      found = {{Finding::Level::fail, check.name, error.what(), "Report this as an error of the program."}};
    }
    const std::lock_guard lock(ward->mutex);
    ward->results[index] = std::move(found);
    --ward->missing;
    ward->changed.notify_all();
  }).detach();
}

Findings run_all(const std::vector<SlowCheck>& checks, const std::stop_token& cancelled) {
  const auto ward = std::make_shared<Ward>();
  ward->results.resize(checks.size());
  ward->missing = checks.size();
  std::stop_source stop;
  const std::stop_callback forward(cancelled, [&stop] { stop.request_stop(); });
  for (std::size_t i = 0; i < checks.size(); ++i) start(ward, i, checks[i], stop.get_token());

  std::unique_lock lock(ward->mutex);
  const auto done = [&] { return ward->missing == 0; };
  if (!ward->changed.wait_for(lock, kStopAfter, done)) {
    stop.request_stop();
    ward->changed.wait_for(lock, kGiveUpAfter - kStopAfter, done);
  }
  Findings all;
  for (std::size_t i = 0; i < checks.size(); ++i) {
    if (ward->results[i]) {
      all.insert(all.end(), ward->results[i]->begin(), ward->results[i]->end());
    } else {
      all.push_back({Finding::Level::fail, checks[i].name, "no answer, not even from name resolution",
                     "Check the resolver in /etc/resolv.conf, or give an address instead of a name."});
    }
  }
  return all;
}

std::string text_of(const Findings& findings) {
  std::string text;
  for (const auto& [level, check, message, advice] : findings) {
    text += fmt::format("{}{:<5} {:<13} {}", text.empty() ? "" : "\n", level_name(level), check, message);
    if (!advice.empty()) text += "; " + advice;
  }
  return text;
}

json::array array_of(const Findings& findings) {
  json::array array;
  for (const auto& [level, check, message, advice] : findings) {
    array.push_back(
        json::object{{"level", level_name(level)}, {"check", check}, {"message", message}, {"advice", advice}});
  }
  return array;
}

Status examine(const Cli& cli) {
  const auto environment = worker::process_environment();
  const PatientPointer patient =
      std::make_shared<Patient>(Patient{.environment = environment, .loaded = worker::load_config(environment)});
  Findings findings = examine_settings(*patient);
  for (Findings more : {examine_files(*patient), examine_machine(*patient), run_all(slow_checks(patient), cli.stop)}) {
    findings.insert(findings.end(), more.begin(), more.end());
  }
  const auto failures =
      std::ranges::count_if(findings, [](const Finding& finding) { return finding.level == Finding::Level::fail; });
  cli.print(text_of(findings), {{"ok", failures == 0}, {"findings", array_of(findings)}});
  if (cli.stop.stop_requested()) return fail(Code::cancelled, "stopped before everything was examined");
  if (failures > 0) return fail(Code::config_invalid, "{} of {} findings are failures", failures, findings.size());
  return {};
}

}  // namespace

void add_doctor_command(Cli& cli) {
  CLI::App* command = cli.app.add_subcommand(
      "doctor", "Examine settings, broker, registries, key broker, TEE and limits, and say what to do");
  command->callback([&cli] { cli.action = [&cli] { return examine(cli); }; });
}

}  // namespace proplet::cli
