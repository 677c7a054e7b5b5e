// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/proven_clients.h"

namespace sluice {

void ProvenClients::begin(Burst& burst, uint32_t i, channel::ServiceId service, const ProvenClient& proven) noexcept {
  const Packet& packet = burst.packet[i];
  Flow client{};
  client.client = packet.source.address;
  client.client_port = packet.source.port;
  client.service = service;
  client.client_next = packet.sequence;
  __builtin_memcpy(client.client_mac.bytes.data(), rte_pktmbuf_mtod(burst.mbuf[i], const uint8_t*) + 6, 6);
  client.vlan_and_port = static_cast<uint16_t>(packet.vlan | burst.port[i] << 12);
  counters_.count(Counter::kAnswered);
  counters_.count(Counter::kSynCookiesAccepted);
  rte_pktmbuf_free(burst.mbuf[i]);
  Counter refusal = Counter::kDropNoBackend;
  if (!ask(client, proven, channel::kNoBackend, refusal)) refuse(client, proven.splice.sequence + 1, refusal);
}

void ProvenClients::ask_another(FlowIndex index, Counter reason) noexcept {
  const Flow& flow = flows_[index];
  Flow client{};
  client.client = flow.client;
  client.client_port = flow.client_port;
  client.service = flow.service;
  client.client_next = flow.client_next;
  client.client_mac = flow.client_mac;
  client.vlan_and_port = flow.vlan_and_port;
  const channel::BackendId before = flow.backend;
  ProvenClient proven = parts_.syn_proxy.waiting(index);
  if (reason != Counter::kDropReset) parts_.resets.to_backend(flow);  // it may have heard of it after all
  parts_.lifecycle.forget(index);
  if (!state_.service(client.service).in_use) return;
  const bool again = proven.splice.moved == 0;
  proven.splice.moved = 1;
  if (again && ask(client, proven, before, reason)) return counters_.count(Counter::kSynProxyMoved);
  refuse(client, proven.splice.sequence + 1, reason);
}

/// `client`: a flow that has all of its client's. False: `refusal` says why.
bool ProvenClients::ask(const Flow& client, const ProvenClient& proven, channel::BackendId avoid,
                        Counter& refusal) noexcept {
  const FlowPlace place = flows_.place(flows_.hash(client.client_endpoint()));
  Flow filled = client;
  filled.backend = parts_.placement.choose(client.service, syn_of(client), place, true, refusal, avoid);
  if (filled.backend == channel::kNoBackend) return false;
  filled.backend_generation = state_.backend(filled.backend).generation;
  filled.deadline_ms = clock_.deadline_ms(TcpState::kSynSent);
  filled.spliced = true;  // from when on other nodes are told of it
  const FlowIndex index = parts_.maker.make(place, filled, refusal);
  if (index == kNoFlow) return false;
  parts_.proxy.prepare(flows_[index], true);
  parts_.lifecycle.begin(index, true, parts_.placement.rule());
  if (parts_.syn_proxy.ask(index, proven)) return true;
  parts_.lifecycle.forget(index);
  return refusal = Counter::kDropTableFull, false;
}

/// As NewFlows refuses who sends a SYN. `sequence`: the next of our numbers.
void ProvenClients::refuse(const Flow& client, uint32_t sequence, Counter reason) noexcept {
  counters_.count(Counter::kSynProxyFailed);
  counters_.service(client.service).flows_refused++;
  parts_.records.refuse(syn_of(client), client.service, reason);
  if (state_.service(client.service).on_no_backend == channel::OnNoBackend::k421)
    return parts_.responder.tell(client, sequence);
  Flow refused = client;
  refused.server_next = sequence;
  parts_.resets.to_client(refused);
}

/// What the client has sent, as far as placement and records look at it.
Packet ProvenClients::syn_of(const Flow& client) const noexcept {
  Packet out{};
  out.source = client.client_endpoint();
  out.destination = state_.service(client.service).vip;
  out.tcp_flags = kTcpSyn;
  out.v6 = !client.client.is_v4();
  return out;
}

}  // namespace sluice
