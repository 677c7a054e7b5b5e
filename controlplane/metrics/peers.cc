// SPDX-License-Identifier: Apache-2.0
//
// The exchange with other nodes. Nothing is written where none is configured.
#include <algorithm>

#include "controlplane/api/flow_names.h"
#include "controlplane/channel/mapping.h"
#include "controlplane/metrics/metrics.h"

namespace sluice::control {

using channel::read_counter;

namespace {

void write_one(MetricsWriter& writer, std::string_view name, MetricType type, std::string_view help, uint64_t value) {
  writer.begin(name, type, help);
  writer.add("", value);
}

/// A figure of each peer.
void write_each(MetricsWriter& writer, const channel::PeersStatus& status, std::string_view name, std::string_view help,
                uint64_t channel::PeerStatus::* figure) {
  const uint64_t count = std::min<uint64_t>(read_counter(status.peers), channel::kMaxPeers);
  writer.begin(name, MetricType::kCounter, help);
  for (uint64_t i = 0; i < count; i++)
    writer.add(label("peer", text_of(status.peer[i].at)), read_counter(status.peer[i].*figure));
}

}  // namespace

void write_peers(MetricsWriter& writer, const channel::PeersStatus& status, uint64_t now_ms) {
  using channel::PeerStatus;
  const uint64_t count = std::min<uint64_t>(read_counter(status.peers), channel::kMaxPeers);
  if (count == 0) return;
  writer.begin("sluice_peer_heard_seconds", MetricType::kGauge, "since a node was heard of last; -1 = never yet");
  for (uint64_t i = 0; i < count; i++) {
    const uint64_t heard_ms = read_counter(status.peer[i].last_heard_ms);
    const double ago_s = now_ms > heard_ms ? static_cast<double>(now_ms - heard_ms) / 1000 : 0;
    writer.add(label("peer", text_of(status.peer[i].at)), heard_ms == 0 ? -1.0 : ago_s);
  }
  write_each(writer, status, "sluice_peer_datagrams_total", "datagrams of a node that are its own",
             &PeerStatus::datagrams);
  write_each(writer, status, "sluice_peer_flows_learned_total", "flows that a node told of, refreshed ones among them",
             &PeerStatus::flows_learned);
  write_each(writer, status, "sluice_peer_ends_learned_total", "ends of flows that a node told of",
             &PeerStatus::ends_learned);
  write_each(writer, status, "sluice_peer_send_errors_total", "datagrams to a node that the kernel did not take",
             &PeerStatus::send_errors);
  const auto one = [&](std::string_view name, MetricType type, std::string_view help, const uint64_t& figure) {
    write_one(writer, name, type, help, read_counter(figure));
  };
  one("sluice_peers_flows_known", MetricType::kGauge, "flows of other nodes that are known here", status.table_now);
  one("sluice_peers_flows_known_at_most", MetricType::kGauge, "how many there is room for", status.table_capacity);
  one("sluice_peers_flows_told_total", MetricType::kCounter, "flows told to the other nodes, refreshed ones among them",
      status.flows_told);
  one("sluice_peers_ends_told_total", MetricType::kCounter, "ends of flows told to the other nodes", status.ends_told);
  one("sluice_peers_datagrams_sent_total", MetricType::kCounter, "datagrams sent to other nodes",
      status.datagrams_sent);
  one("sluice_peers_bytes_sent_total", MetricType::kCounter, "bytes in them", status.bytes_sent);
  one("sluice_peers_displaced_total", MetricType::kCounter, "flows of other nodes for which there was no room",
      status.displaced);
  one("sluice_peers_expired_total", MetricType::kCounter, "flows of other nodes that were told no more",
      status.expired);
  writer.begin("sluice_peers_dropped_total", MetricType::kCounter, "datagrams that were not believed, by why");
  writer.add(label("why", "stranger"), read_counter(status.drop_stranger));
  writer.add(label("why", "forged"), read_counter(status.drop_forged));
  writer.add(label("why", "replayed"), read_counter(status.drop_replayed));
  writer.add(label("why", "malformed"), read_counter(status.drop_malformed));
}

}  // namespace sluice::control
