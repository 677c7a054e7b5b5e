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
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "controlplane/api/api.h"
#include "controlplane/figures/figures.h"
#include "controlplane/metrics/metrics_page.h"
#include "controlplane/metrics/writer.h"
#include "controlplane/model/ports.h"
#include "controlplane/security/mail_security.h"
#include "dataplane/contract/peers.h"
#include "healthcheck/watch.h"

namespace sluice::control {

inline constexpr size_t kSeriesPerBackend = 110;
inline constexpr size_t kSeriesPerService = 170;

/// The whole page, to be made in turns. `bytes`: as of MetricsPage::take().
LongAnswer metrics_answer(const ApiContext& context, std::shared_ptr<size_t> bytes);

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

/// Rows of a kind with their labels, which every family uses again. They fill while the page is made.
template <typename Row>
struct LabelledRows {
  std::vector<Row> rows;
  std::vector<std::string> labels;

  void add(Row row);
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
  const std::map<RecordSet, SignedKnown>& signatures;
  std::map<std::string, const StsKnown*> policies;  // by domain, though several checks may believe it
};
void write_security(MetricsWriter& writer, const SecurityRows& rows, SystemTime now);

void write_pools(MetricsWriter& writer, const Model& model);
/// `count`: how many rows there will be when they are written.
void add_services(MetricsPage& page, std::shared_ptr<const LabelledRows<ServiceRow>> rows, size_t count);
void add_backends(MetricsPage& page, std::shared_ptr<const LabelledRows<BackendRow>> rows, size_t count);

/// Watched dialogues of services or backends.
struct SmtpRow {
  std::string_view labels;
  const channel::SmtpCounters* counters;  // null: there are none
};
/// `subject`: "service" or "backend"; `row`: the one of each number below `count`. `detailed`: every counter, and every
/// bucket of the histograms. Otherwise refusals by class alone, and every other bucket.
void add_smtp(MetricsPage& page, std::string_view subject, size_t count, const std::function<SmtpRow(size_t)>& row,
              bool detailed);

}  // namespace sluice::control
