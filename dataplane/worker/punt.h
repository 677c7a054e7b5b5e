// SPDX-License-Identifier: Apache-2.0
//
// Frames for the kernel: to the main lcore, which writes them to the twin of the port they came through. Each kind has
// a budget at each port, each class a ring: what is beyond either is dropped, and costs no other class. Within a kind
// no source uses up the budget alone, and those that were heard before a flood of forged ones are heard on
// (flow/source_budget.h). Routers on the link are told apart from those who say so from afar. What the kernel would
// only pass on is routed here where control has said how (server_router.h). Thread safety: none; one worker owns it.
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>

#include "dataplane/flow/source_budget.h"
#include "dataplane/worker/punt_classifier.h"
#include "dataplane/worker/server_router.h"

namespace sluice {

class Punt {
 public:
  /// Of each worker and port. The kernel takes some 200,000 to 450,000 packets a second from one core, and passes on
  /// 100,000. Kinds that share a ring leave each other room in it.
  struct Budget {
    uint32_t per_second;
    uint32_t burst;
  };
  static constexpr Budget kNeighbors{5'000, 128};          // 4,000 neighbours are resolved within a second
  static constexpr Budget kRoutingProtocols{20'000, 128};  // a full table in some seconds
  static constexpr Budget kProbeReplies{50'000, 255};      // of 5,000 backends, checked each second
  static constexpr Budget kLocal{50'000, 127};
  static constexpr Budget kRouted{50'000, 127};  // half of what the kernel passes on
  static constexpr Budget kEcho{0, 64};          // as many a second as echo_per_second says
  static constexpr Budget kStrangers{1'000, 48};

  /// Routers speak seldom: a session of BGP every 60 seconds, if there is nothing to tell (RFC 4271 section 10).
  static constexpr uint32_t kRoutingIdleMs = 180'000;

  explicit Punt(const Context& context) noexcept;

  void punt(uint32_t port, rte_mbuf* mbuf) noexcept;

 private:
  using Budgets = std::array<SourceBudget, kPuntKinds>;  // by kind

  bool may_be_routed(PuntKind kind) const noexcept;
  uint64_t name_of_source(PuntKind kind, const Datagram& datagram, const rte_mbuf& mbuf, bool on_link) const noexcept;

  const WorkerSetup& setup_;
  const PollClock& clock_;
  Counters& counters_;
  Egress& egress_;
  const PuntClassifier classifier_;
  ServerRouter router_;
  std::array<Budgets, channel::kMaxPorts> budgets_;
};

}  // namespace sluice
