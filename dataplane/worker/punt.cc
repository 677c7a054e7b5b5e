// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/punt.h"

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

}  // namespace

Punt::Punt(const Context& context) noexcept
    : setup_(context.setup),
      clock_(context.clock),
      counters_(context.counters),
      egress_(context.egress),
      classifier_(context) {
  const auto bucket = [this](Punt::Budget budget) {
    return TokenBucket(budget.per_second, budget.per_second == 0 ? 0 : budget.burst, clock_.now_ms());
  };
  const Budget strangers = setup_.strangers == Strangers::kKernel ? kStrangers : Budget{0, 0};
  budgets_.fill({bucket(kNeighbors), bucket(kRoutingProtocols), bucket(kProbeReplies), bucket(kLocal), bucket(kRouted),
                 bucket({setup_.echo_per_second, kEcho.burst}), bucket(strangers), bucket({0, 0})});
}

void Punt::punt(uint32_t port, rte_mbuf* mbuf) noexcept {
  const PuntKind kind = classifier_.classify(port, *mbuf);
  rte_ring* ring = setup_.to_main[port][static_cast<size_t>(class_of(kind))];
  mbuf->port = static_cast<uint16_t>(port);
  const bool may = budgets_[port][static_cast<size_t>(kind)].take(clock_.now_ms());
  if (!may || ring == nullptr || rte_ring_sp_enqueue(ring, mbuf) != 0) {
    return egress_.drop(mbuf, kDrops[static_cast<size_t>(kind)]);
  }
  counters_.count(Counter::kPunted);
}

}  // namespace sluice
