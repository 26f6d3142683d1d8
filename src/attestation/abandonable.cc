#include "attestation/abandonable.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

namespace proplet::attestation {
namespace {

struct Rendezvous {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::optional<Result<json::value>> result;
};

}  // namespace

Result<json::value> run_abandonable(std::function<Result<json::value>()> work, const std::stop_token& stop) {
  const auto meeting = std::make_shared<Rendezvous>();  // shared: either side may be the last
  try {
    std::thread([meeting, work = std::move(work)] {
      auto result = work();
      const std::lock_guard lock(meeting->mutex);
      meeting->result = std::move(result);
      meeting->changed.notify_all();
    }).detach();
  } catch (const std::system_error& error) {
    return fail(Code::evidence_failed, "no thread for the attester: {}", error.code().message());
  }
  std::unique_lock lock(meeting->mutex);
  if (!meeting->changed.wait(lock, stop, [&] { return meeting->result.has_value(); })) {
    return fail(Code::cancelled, "stopped while the TEE produced its evidence");
  }
  return *std::move(meeting->result);
}

}  // namespace proplet::attestation
