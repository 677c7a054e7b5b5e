// SPDX-License-Identifier: Apache-2.0
#include "controlplane/metrics.h"

#include "controlplane/status.h"
#include "healthcheck/prober.h"

namespace sluice::control {

namespace {

constexpr double kMsPerSecond = 1000;

void write_gauge(MetricsWriter& writer, std::string_view name, std::string_view help, double value) {
  writer.begin(name, MetricType::kGauge, help);
  writer.add("", value);
}

std::vector<ServiceRow> service_rows(const ApiContext& context) {
  std::vector<ServiceRow> out;
  for (const ServiceState& service : context.model.services())
    out.push_back({service, context.model.placements()[service.placement], figures_of(context.channel, service)});
  return out;
}

std::vector<BackendRow> backend_rows(const ApiContext& context) {
  std::vector<BackendRow> out;
  const std::vector<double> shares = shares_of(context.model);
  for (size_t i = 0; i < shares.size(); i++) {
    const Member& member = context.model.members()[i];
    out.push_back({member, shares[i], figures_of(context.channel, member),
                   context.prober == nullptr ? std::nullopt : context.prober->state(member.label())});
  }
  return out;
}

std::vector<WorkerCounters> worker_rows(const ChannelMapping* mapping) {
  std::vector<WorkerCounters> out;
  const uint32_t workers = mapping == nullptr ? 0 : mapping->workers();
  out.reserve(workers);
  for (uint32_t worker = 0; worker < workers; worker++) out.push_back(worker_counters(*mapping, worker));
  return out;
}

}  // namespace

void write_control(MetricsWriter& writer, const ApiContext& context) {
  writer.begin("sluice_build_info", MetricType::kGauge, "always 1; which Sluice this is");
  writer.add(joined(label("version", SLUICE_VERSION), label("name", context.config.instance)), 1.0);
  write_gauge(writer, "sluice_dataplane_connected", "1 while control is connected to the data plane",
              context.dataplane.connected ? 1 : 0);
  write_gauge(writer, "sluice_dataplane_settled", "1 if every worker uses what control published last",
              context.channel.is_settled() ? 1 : 0);
  if (const ChannelMapping* mapping = context.channel.mapping()) {
    const channel::StatsHeader& header = mapping->stats_header();
    write_gauge(writer, "sluice_dataplane_start_time_seconds", "when the data plane started, in Unix time",
                static_cast<double>(header.start_time_ms) / kMsPerSecond);
    write_gauge(writer, "sluice_dataplane_workers", "polling workers", mapping->workers());
    write_gauge(writer, "sluice_dataplane_tsc_hertz", "cycles of the time stamp counter in a second",
                static_cast<double>(header.tsc_hz));
  }
  const LatencyHistogram& pushes = context.channel.latencies();
  writer.begin("sluice_push_seconds", MetricType::kHistogram,
               "from the verdict or event behind a change to its use on every worker");
  writer.add("", HistogramSamples{pushes.buckets, LatencyHistogram::kBounds, pushes.sum_seconds});
}

std::string metrics_text(const ApiContext& context) {
  MetricsWriter writer;
  write_control(writer, context);
  write_process(writer);
  write_workers(writer, worker_rows(context.channel.mapping()));
  write_services(writer, service_rows(context));
  write_pools(writer, context.model);
  write_backends(writer, backend_rows(context));
  return writer.take();
}

void add_metrics_routes(Router& router, const ApiContext& context) {
  router.add(boost::beast::http::verb::get, "/metrics", [&context](const ApiRequest&) {
    return ApiResponse{.content_type = std::string(kMetricsContentType), .body = metrics_text(context)};
  });
}

}  // namespace sluice::control
