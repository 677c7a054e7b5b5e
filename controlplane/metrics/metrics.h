// SPDX-License-Identifier: Apache-2.0
//
// What /metrics says. Names: sluice_SUBJECT_WHAT_UNIT, with the unit in Prometheus' base units; subjects are
// process-wide (none), worker, port, service, pool and backend. A figure that is given for services and for backends
// has two families, so that a sum over one of them counts nothing twice.
//
// Bounds. Series come from the configuration (workers, ports, services, pools, backends) and from fixed lists of
// reasons and codes, never from clients or from what servers say. A backend has at most kSeriesPerBackend, a service at
// most kSeriesPerService. Figures of the data plane are absent while it is not connected: a stale figure would look
// alive.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "controlplane/api/api.h"
#include "controlplane/figures/figures.h"
#include "controlplane/metrics/writer.h"
#include "controlplane/model/ports.h"
#include "controlplane/security/mail_security.h"
#include "dataplane/contract/peers.h"
#include "healthcheck/watch.h"

namespace sluice::control {

inline constexpr size_t kSeriesPerBackend = 110;
inline constexpr size_t kSeriesPerService = 170;

/// The whole page. Cost: some 30 ms with 1,000 backends.
std::string metrics_text(const ApiContext& context);

// The parts, each with the rows it is about.

/// A service, or a backend (member), with what the workers counted of it, if they did.
struct ServiceRow {
  const ServiceState& service;
  const Placement& placement;
  std::optional<ServiceFigures> figures;
};
struct BackendRow {
  const Member& member;
  double share = 0;  // of its pool's new flows
  std::optional<BackendFigures> figures;
  std::optional<health::TargetState> checks;
};

void write_control(MetricsWriter& writer, const ApiContext& context);
void write_process(MetricsWriter& writer);
void write_workers(MetricsWriter& writer, std::span<const WorkerCounters> workers);
/// `published`: empty while the data plane is not connected.
void write_ports(MetricsWriter& writer, std::span<const PublishedPort> published, std::span<const BoundPort> ours);
/// `now_ms`: CLOCK_MONOTONIC.
void write_peers(MetricsWriter& writer, const channel::PeersStatus& status, uint64_t now_ms);

/// What is known of mail security.
struct SecurityRows {
  std::vector<PoolSecurity> pools;
  const std::map<std::string, TlsaKnown>& records;
  std::map<std::string, const StsKnown*> policies;  // by domain, though several checks may believe it
};
void write_security(MetricsWriter& writer, const SecurityRows& rows, SystemTime now);

void write_services(MetricsWriter& writer, std::span<const ServiceRow> rows);
void write_pools(MetricsWriter& writer, const Model& model);
void write_backends(MetricsWriter& writer, std::span<const BackendRow> rows);

/// Watched dialogues of services or backends.
struct SmtpRow {
  std::string_view labels;
  const channel::SmtpCounters* counters;  // not null
};
/// `subject`: "service" or "backend". `detailed`: every counter, and every bucket of the histograms. Otherwise refusals
/// by class alone, and every other bucket.
void write_smtp(MetricsWriter& writer, std::string_view subject, std::span<const SmtpRow> rows, bool detailed);

}  // namespace sluice::control
