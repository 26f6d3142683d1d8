// Topics of the Propeller protocol, below the base topic m/{tenant}/c/{channel}.
#pragma once

#include <string>
#include <string_view>

namespace proplet::propeller {

inline constexpr std::string_view kCreateTopic = "control/proplet/create";
inline constexpr std::string_view kAliveTopic = "control/proplet/alive";
inline constexpr std::string_view kMetricsTopic = "control/proplet/metrics";
inline constexpr std::string_view kTaskMetricsTopic = "control/proplet/task_metrics";
inline constexpr std::string_view kResultsTopic = "control/proplet/results";
inline constexpr std::string_view kInvokeResultsTopic = "control/proplet/invoke_results";
inline constexpr std::string_view kStartTopic = "control/manager/start";
inline constexpr std::string_view kStopTopic = "control/manager/stop";
inline constexpr std::string_view kInvokeTopic = "control/manager/invoke";
inline constexpr std::string_view kChunkRequestTopic = "registry/proplet";
inline constexpr std::string_view kChunkTopic = "registry/server";

inline std::string base_topic(std::string_view tenant, std::string_view channel) {
  return "m/" + std::string(tenant) + "/c/" + std::string(channel);
}

}  // namespace proplet::propeller
