// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/punt.h"

#include "dataplane/packet/packet.h"

namespace sluice {
namespace {

constexpr std::array<Counter, kPuntKinds> kDrops{Counter::kDropPuntInfrastructure, Counter::kDropPuntInfrastructure,
                                                 Counter::kDropPuntInfrastructure, Counter::kDropPuntLocal,
                                                 Counter::kDropPuntRouted,         Counter::kDropEcho,
                                                 Counter::kDropStrangers,          Counter::kDropBadSource};

constexpr uint32_t room(PuntClass punt_class) {
  return kPuntRingEntries[static_cast<size_t>(punt_class)] - 1;
}

static_assert(Punt::kNeighbors.burst + Punt::kRoutingProtocols.burst + Punt::kProbeReplies.burst <=
              room(PuntClass::kInfrastructure));
static_assert(Punt::kLocal.burst <= room(PuntClass::kLocal) && Punt::kRouted.burst <= room(PuntClass::kRouted));
static_assert(Punt::kEcho.burst + Punt::kStrangers.burst <= room(PuntClass::kStrangers));

/// Of a router that nobody from afar can pass for: LACP, BFD on the link (RFC 5881), BGP with GTSM (RFC 5082).
bool is_router_on_link(PuntKind kind, const Datagram& datagram) {
  return kind == PuntKind::kRoutingProtocols && (datagram.kind != Datagram::Kind::kIp || datagram.is_unrouted());
}

}  // namespace

Punt::Punt(const Context& context) noexcept
    : setup_(context.setup),
      clock_(context.clock),
      counters_(context.counters),
      egress_(context.egress),
      classifier_(context),
      router_(context) {
  const auto bucket = [this](Punt::Budget budget, uint32_t idle_ms = SourceBudget::kUsualIdleMs) {
    return SourceBudget(budget.per_second, budget.per_second == 0 ? 0 : budget.burst, clock_.now_ms(), idle_ms);
  };
  const Budget strangers = setup_.strangers == Strangers::kKernel ? kStrangers : Budget{0, 0};
  budgets_.fill({bucket(kNeighbors), bucket(kRoutingProtocols, kRoutingIdleMs), bucket(kProbeReplies), bucket(kLocal),
                 bucket(kRouted), bucket({setup_.echo_per_second, kEcho.burst}), bucket(strangers), bucket({0, 0})});
}

/// What the kernel gets, if it gets it, only to pass it on.
bool Punt::may_be_routed(PuntKind kind) const noexcept {
  return kind == PuntKind::kRouted || (kind == PuntKind::kStrangers && setup_.strangers == Strangers::kKernel);
}

/// Neighbours, and what has no address, are told apart by their stations: what they say of themselves is of any.
uint64_t Punt::name_of_source(PuntKind kind, const Datagram& datagram, const rte_mbuf& mbuf,
                              bool on_link) const noexcept {
  if (kind != PuntKind::kNeighbors && datagram.kind == Datagram::Kind::kIp) {
    constexpr uint16_t kOnLink = 0x100;  // beside protocols
    const auto kind_of_packet = static_cast<uint16_t>(datagram.protocol | (on_link ? kOnLink : 0));
    return source_name(datagram.source.address, kind_of_packet, setup_.hash_seed, on_link);
  }
  Address station;
  if (mbuf.data_len >= kEthernetBytes)
    std::memcpy(station.bytes.data(), rte_pktmbuf_mtod_offset(&mbuf, const void*, 6), 6);
  return source_name(station, 0, setup_.hash_seed);
}

void Punt::punt(uint32_t port, rte_mbuf* mbuf) noexcept {
  const Datagram datagram = read_datagram(*mbuf);
  const PuntKind kind = classifier_.classify(port, datagram);
  if (may_be_routed(kind) && router_.pass(port, mbuf, datagram)) return;
  rte_ring* ring = setup_.to_main[port][static_cast<size_t>(class_of(kind))];
  mbuf->port = static_cast<uint16_t>(port);
  const bool on_link = is_router_on_link(kind, datagram);
  const uint64_t name = name_of_source(kind, datagram, *mbuf, on_link);
  const bool may = budgets_[port][static_cast<size_t>(kind)].take(name, clock_.now_ms(), on_link);
  if (!may || ring == nullptr || rte_ring_sp_enqueue(ring, mbuf) != 0) {
    return egress_.drop(mbuf, kDrops[static_cast<size_t>(kind)]);
  }
  counters_.count(Counter::kPunted);
}

}  // namespace sluice
