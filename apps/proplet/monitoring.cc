#include "monitoring.h"

#include "base/process_stats.h"
#include "propeller/topics.h"

namespace proplet {
namespace {

telemetry::MonitorOptions monitor_options(const worker::WorkerConfig& config) {
  const std::string base = propeller::base_topic(config.tenant_id, config.channel_id) + "/";
  telemetry::MonitorOptions options;
  options.proplet_id = config.entity_id;
  options.namespace_name = config.namespace_name;
  options.metrics_topic = base + std::string(propeller::kMetricsTopic);
  options.task_metrics_topic = base + std::string(propeller::kTaskMetricsTopic);
  options.interval = config.metrics_interval;
  options.machine_memory_bytes = machine_memory_bytes();
  return options;
}

template <class T>
T* pointer(std::optional<T>& part) {
  return part ? &*part : nullptr;
}

}  // namespace

Monitoring::Monitoring(const worker::WorkerConfig& config, const std::string& tee, propeller::Publisher& publisher,
                       const Clock& clock, Random& random, Log& log)
    : log_(log) {
  if (config.metrics_enabled) metrics_.emplace(tee);
  if (config.enable_monitoring) monitor_.emplace(publisher, clock, monitor_options(config));
  if (!config.otel_url.empty()) set_up_traces(config, clock, random);
  observer_.emplace(pointer(metrics_), pointer(monitor_), pointer(tracer_));
}

void Monitoring::set_up_traces(const worker::WorkerConfig& config, const Clock& clock, Random& random) {
  if (config.trace_ratio <= 0) return log_.warn("no traces: PROPLET_OTEL_URL is set, but PROPLET_TRACE_RATIO is 0");
  auto url = net::Url::parse(config.otel_url);
  if (!url) return log_.error("no traces", {{"reason", url.error().text()}});
  net::HttpClientOptions options;
  options.insecure_hosts = {url->host_and_port()};  // the operator wrote http on purpose
  auto client = net::make_http_client(std::move(options));
  if (!client) return log_.error("no traces", {{"reason", client.error().text()}});
  collector_ = *std::move(client);
  telemetry::TracerOptions tracing{
      .url = *std::move(url), .ratio = config.trace_ratio, .instance = config.entity_id, .version = PROPLET_VERSION};
  tracer_.emplace(std::move(tracing), *collector_, clock, random, log_);
}

std::unique_ptr<telemetry::Endpoint> Monitoring::serve(const worker::WorkerConfig& config,
                                                       std::function<telemetry::Load()> load) {
  if (!metrics_) return nullptr;
  auto with_traces = [this, load = std::move(load)] {
    telemetry::Load now = load();
    if (tracer_) now.traces_dropped = tracer_->dropped();
    return now;
  };
  auto endpoint = telemetry::Endpoint::open({.address = config.metrics_address, .port = config.metrics_port}, *metrics_,
                                            std::move(with_traces));
  if (endpoint) return *std::move(endpoint);
  log_.error("no metrics over HTTP", {{"reason", endpoint.error().text()}});
  return nullptr;
}

}  // namespace proplet
