// SPDX-License-Identifier: Apache-2.0
#include "controlplane/metrics/metrics.h"

#include "config/choices.h"
#include "controlplane/announce/announcer.h"
#include "controlplane/api/status_json.h"
#include "controlplane/base/times.h"
#include "controlplane/changes/sources.h"
#include "controlplane/channel/published_ports.h"
#include "controlplane/discovery/discovery.h"
#include "controlplane/figures/limit_figures.h"
#include "controlplane/fleet/fleet.h"
#include "controlplane/records/session_records.h"
#include "healthcheck/prober.h"

namespace sluice::control {

namespace {

constexpr double kMsPerSecond = 1000;

void write_gauge(MetricsWriter& writer, std::string_view name, std::string_view help, double value) {
  writer.begin(name, MetricType::kGauge, help);
  writer.add("", value);
}

void add_services(MetricsPage& page, const ApiContext& context) {
  const auto rows = std::make_shared<LabelledRows<ServiceRow>>();
  const size_t count = context.model.services().size();
  page.gather(count, [&context, rows](size_t i) {
    const ServiceState& service = context.model.services()[i];
    rows->add({service, context.model.placements()[service.placement], figures_of(context.channel, service)});
  });
  add_services(page, rows, count);
}

void add_backends(MetricsPage& page, const ApiContext& context) {
  std::vector<size_t> shown;
  for (size_t i = 0; i < context.model.members().size(); i++)
    if (!context.model.members()[i].removal) shown.push_back(i);  // else its labels may be another's by now
  const size_t count = shown.size();
  const auto rows = std::make_shared<LabelledRows<BackendRow>>();
  page.gather(count, [&context, rows, shown = std::move(shown), shares = shares_of(context.model)](size_t i) {
    const Member& member = context.model.members()[shown[i]];
    rows->add({member, shares[shown[i]], figures_of(context.channel, member),
               context.prober == nullptr ? std::nullopt : context.prober->state(member.label())});
  });
  add_backends(page, rows, count);
}

/// What left the file and drains. By no name, which may be another's by now.
void write_removed(MetricsWriter& writer, const ApiContext& context) {
  size_t backends = 0;
  double flows = 0;
  for (const Member& member : context.model.members()) {
    if (!member.removal) continue;
    backends++;
    if (const auto figures = figures_of(context.channel, member))
      flows += static_cast<double>(figures->flows.flows_now);
  }
  write_gauge(writer, "sluice_removed_services", "services that left the file and still have open flows",
              static_cast<double>(context.model.removed_services().size()));
  write_gauge(writer, "sluice_removed_backends", "backends that left the file and still have open flows",
              static_cast<double>(backends));
  if (context.channel.mapping() == nullptr) return;  // nobody counts them
  write_gauge(writer, "sluice_removed_backend_flows", "open flows of backends that left the file", flows);
}

void write_blocked(MetricsWriter& writer, const Sources* sources) {
  if (sources == nullptr) return;
  writer.begin("sluice_blocked_prefixes", MetricType::kGauge, "prefixes that may begin no sessions");
  writer.add(label("by", "file"), static_cast<double>(sources->file_prefixes()));
  writer.add(label("by", "hand"), static_cast<double>(sources->by_hand().size()));
  writer.add(label("by", "fleet"), static_cast<double>(sources->on_all_nodes().entries().size()));
  const Offenders& offenders = sources->offenders();
  const auto count = [&](Offence offence) {
    return static_cast<double>(
        std::ranges::count_if(offenders.entries(), [&](const auto& entry) { return entry.second.offence == offence; }));
  };
  for (const Offence offence : {Offence::kAuthFailures, Offence::kEarlyTalker})
    writer.add(label("by", std::string(name_of(offence))), count(offence));
  writer.begin("sluice_offences_total", MetricType::kCounter,
               "refused AUTH commands and early talkers that sources.auth_failures and sources.early_talkers count");
  writer.add(label("kind", "auth_failures"), static_cast<double>(offenders.auth_failures()));
  writer.add(label("kind", "short_tls_sessions"), static_cast<double>(offenders.short_tls_sessions()));
  writer.add(label("kind", "early_talker"), static_cast<double>(offenders.early_talkers()));
  write_gauge(writer, "sluice_block_file_refused", "1 while the block file has a fault and the last good one stays",
              sources->file_fault().empty() ? 0 : 1);
}

void write_discovered(MetricsWriter& writer, const Discovery* discovery) {
  if (discovery == nullptr) return;
  const auto each = [&](std::string_view name, std::string_view help, auto value) {
    writer.begin(name, MetricType::kGauge, help);
    for (const auto& [pool, known] : discovery->pools()) {
      if (known.discover) writer.add(label("pool", pool), static_cast<double>(value(known)));
    }
  };
  each("sluice_discovered_backends", "backends that the source of a pool has told of",
       [](const DiscoveredPool& pool) { return pool.found.size(); });
  each("sluice_discovered_missing", "backends that vanished from the source at once, and are kept",
       [](const DiscoveredPool& pool) { return pool.missing(); });
  each("sluice_discovery_refused", "1 while the source has a fault, or is gone, and what was known stays",
       [](const DiscoveredPool& pool) { return pool.fault.empty() ? 0 : 1; });
}

void write_fleet(MetricsWriter& writer, const Fleet* fleet) {
  if (fleet == nullptr || !fleet->etcd()) return;
  write_gauge(writer, "sluice_fleet_etcd_refused",
              "1 while etcd does not answer, or is not believed, and what was known stays",
              fleet->fault().empty() ? 0 : 1);
  write_gauge(writer, "sluice_fleet_write_refused", "1 while etcd answers, and does not take what this node writes",
              fleet->write_fault().empty() ? 0 : 1);
  write_gauge(writer, "sluice_fleet_name_taken", "1 while another node that lives has the same name",
              fleet->name().rival ? 1 : 0);
  write_gauge(writer, "sluice_fleet_nodes", "nodes that say in etcd that they are there",
              static_cast<double>(fleet->nodes().size()));
  write_gauge(writer, "sluice_fleet_differences", "things in which these nodes differ, and should not",
              static_cast<double>(differences(fleet->nodes()).size()));
}

SecurityRows rows_of(const MailSecurity& security) {
  SecurityRows out{security.pools(), security.records(), security.signatures(), {}};
  for (const auto& [key, known] : security.policies()) out.policies.emplace(key.first, known);
  return out;
}

void write_limits(MetricsWriter& writer, const ApiContext& context) {
  const auto& limits = context.config.sources.limits;
  if (limits.empty() || context.channel.mapping() == nullptr) return;
  const auto each = [&](auto write) {
    for (uint32_t i = 0; i < limits.size(); i++) {
      const std::string labels =
          joined(label("rule", std::to_string(i + 1)), label("action", std::string(config::name_of(limits[i].action))));
      if (const auto counters = limit_counters(context.channel, i)) write(labels, *counters);
    }
  };
  writer.begin("sluice_source_limit_refused_total", MetricType::kCounter,
               "connections of sources at a limit of sources.limits, by its place there, and by why; counted from the "
               "beginning when the rules count otherwise");
  each([&](const std::string& labels, const channel::LimitCounters& counters) {
    writer.add(labels, counters.refused_connections, label("why", "connections"));
    writer.add(labels, counters.refused_rate, label("why", "rate"));
    writer.add(labels, counters.cut, label("why", "handshakes"));
  });
  writer.begin("sluice_source_limit_uncounted_total", MetricType::kCounter,
               "sessions that a limit does not count, as there was no place for their source");
  each([&](const std::string& labels, const channel::LimitCounters& counters) {
    writer.add(labels, counters.uncounted);
  });
}

void write_announcement(MetricsWriter& writer, const Announcer* announcer) {
  if (announcer == nullptr) return;
  write_gauge(writer, "sluice_node_draining", "1 while this node drains by hand", announcer->node().wish() ? 1 : 0);
  if (announcer->config().mode == config::AnnounceMode::kNone) return;  // nobody is told
  const auto& vips = announcer->announcement().vips();
  const auto is = [&](VipState state) {
    for (const auto& [address, vip] : vips)
      writer.add(label("vip", address.to_string()), vip.state == state ? 1.0 : 0.0);
  };
  writer.begin("sluice_vip_announced", MetricType::kGauge, "1 while the VIP is announced as in service");
  is(VipState::kAnnounced);
  writer.begin("sluice_vip_draining", MetricType::kGauge,
               "1 while the VIP is announced, and others should be preferred");
  is(VipState::kDraining);
  writer.begin("sluice_vip_changes_total", MetricType::kCounter, "changes of what the network is told of the VIP");
  for (const auto& [address, vip] : vips) writer.add(label("vip", address.to_string()), vip.changes);
  write_gauge(writer, "sluice_announce_refused",
              "1 while the kernel refuses a route or an address that announces a VIP, or another is in its way",
              announcer->fault().empty() ? 0 : 1);
  writer.begin("sluice_announce_routes_remade_total", MetricType::kCounter,
               "routes made again after others had removed them");
  writer.add("", announcer->routes().remade());
  writer.begin("sluice_announce_addresses_remade_total", MetricType::kCounter,
               "addresses put on a twin again after others had removed them");
  writer.add("", announcer->addresses().remade());
}

void write_records(MetricsWriter& writer, const SessionRecords* records) {
  if (records == nullptr) return;
  const SessionWriter::Figures figures = records->figures();
  const std::string to = label("to", records->output());
  writer.begin("sluice_session_records_written_total", MetricType::kCounter, "records of sessions that were written");
  writer.add(to, figures.written);
  writer.begin("sluice_session_records_lost_total", MetricType::kCounter,
               "records of sessions that control had and could not write, by why");
  writer.add(to, figures.lost, label("why", "output"));
  writer.add(to, figures.overrun, label("why", "too_many_waiting"));
  writer.begin("sluice_session_records_sampled_out_total", MetricType::kCounter,
               "ordinary sessions that were not written, as records.share says");
  writer.add(to, figures.sampled_out);
  const Hellos::Figures& hellos = records->hello_figures();
  writer.begin("sluice_tls_hellos_total", MetricType::kCounter,
               "ClientHellos that were handed to control, by what became of them");
  writer.add(label("result", "read"), hellos.read);
  writer.add(label("result", "unreadable"), hellos.unreadable);
  writer.begin("sluice_tls_hellos_forgotten_total", MetricType::kCounter,
               "ClientHellos that others displaced before their session ended");
  writer.add("", hellos.forgotten);
  write_gauge(writer, "sluice_session_records_failing", "1 while records of sessions cannot be written",
              figures.failing ? 1 : 0);
}

std::vector<WorkerCounters> worker_rows(const ChannelMapping* mapping) {
  std::vector<WorkerCounters> out;
  const uint32_t workers = mapping == nullptr ? 0 : mapping->workers();
  out.reserve(workers);
  for (uint32_t worker = 0; worker < workers; worker++) out.push_back(worker_counters(*mapping, worker));
  return out;
}

std::vector<PublishedPort> port_rows(const ChannelMapping* mapping) {
  return mapping == nullptr ? std::vector<PublishedPort>{} : published_ports(*mapping);
}

}  // namespace

void write_control(MetricsWriter& writer, const ApiContext& context) {
  writer.begin("sluice_build_info", MetricType::kGauge, "always 1; which Sluice this is");
  writer.add(joined(label("version", SLUICE_VERSION), label("name", context.config.instance)), 1.0);
  write_gauge(writer, "sluice_dataplane_connected", "1 while control is connected to the data plane",
              context.dataplane.connected ? 1 : 0);
  write_gauge(writer, "sluice_dataplane_settled", "1 if every worker uses what control published last",
              context.channel.is_settled() ? 1 : 0);
  if (context.configuration != nullptr) {
    write_gauge(writer, "sluice_config_refused", "1 if the configuration file was refused when it was last read",
                context.configuration->fault.empty() ? 0 : 1);
  }
  if (const ChannelMapping* mapping = context.channel.mapping()) {
    const channel::StatsHeader& header = mapping->stats_header();
    write_gauge(writer, "sluice_dataplane_start_time_seconds", "when the data plane started, in Unix time",
                static_cast<double>(header.start_time_ms) / kMsPerSecond);
    write_gauge(writer, "sluice_dataplane_workers", "polling workers", mapping->workers());
    write_gauge(writer, "sluice_dataplane_tsc_hertz", "cycles of the time stamp counter in a second",
                static_cast<double>(header.tsc_hz));
  }
  write_removed(writer, context);
  write_blocked(writer, context.sources);
  write_discovered(writer, context.discovery);
  write_fleet(writer, context.fleet);
  write_limits(writer, context);
  write_announcement(writer, context.announcer);
  write_records(writer, context.records);
  const LatencyHistogram& pushes = context.channel.latencies();
  writer.begin("sluice_push_seconds", MetricType::kHistogram,
               "from the verdict or event behind a change to its use on every worker");
  writer.add("", HistogramSamples{pushes.buckets, LatencyHistogram::kBounds, pushes.sum_seconds});
}

LongAnswer metrics_answer(const ApiContext& context, std::shared_ptr<size_t> bytes) {
  MetricsPage page;
  page.write([&context](MetricsWriter& writer) {
    write_control(writer, context);
    write_process(writer);
    write_workers(writer, worker_rows(context.channel.mapping()));
    write_ports(writer, port_rows(context.channel.mapping()), context.model.ports());
    if (const ChannelMapping* mapping = context.channel.mapping())
      write_peers(writer, mapping->stats_header().peers, monotonic_ms());
  });
  add_services(page, context);
  page.write([&context](MetricsWriter& writer) { write_pools(writer, context.model); });
  add_backends(page, context);
  if (context.security != nullptr)
    page.write([&context](MetricsWriter& writer) {
      write_security(writer, rows_of(*context.security), context.journal.now());
    });
  return std::move(page).take(std::move(bytes));
}

void add_metrics_routes(Router& router, const ApiContext& context) {
  constexpr size_t kBytesPerBackend = 9000;
  const auto bytes = std::make_shared<size_t>(context.model.members().size() * kBytesPerBackend);
  router.add_later(boost::beast::http::verb::get, "/metrics", [&context, bytes](const ApiRequest&, const Reply& reply) {
    context.answer_in_turns([&context, bytes] { return metrics_answer(context, bytes); }, reply);
  });
}

}  // namespace sluice::control
