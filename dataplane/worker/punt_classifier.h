// SPDX-License-Identifier: Apache-2.0
//
// Sorts what is not mail: by protocol, and by whether it is for an address of ours, a VIP, or somebody else.
// Thread safety: none; one worker owns it.
#pragma once

#include <cstdint>

#include "dataplane/packet/datagram.h"
#include "dataplane/worker/context.h"
#include "dataplane/worker/punt_class.h"

namespace sluice {

/// What has a budget of its own.
enum class PuntKind : uint8_t {
  kNeighbors,         // ARP and neighbour discovery
  kRoutingProtocols,  // BGP, BFD, OSPF, IS-IS, PIM, VRRP, LACP, LLDP, IGMP, MLD
  kProbeReplies,      // from a backend's address to one of ours
  kLocal,
  kRouted,
  kEcho,  // echo requests to VIPs
  kStrangers,
  kForged,  // to a VIP, from where nobody is
  kCount
};

inline constexpr uint32_t kPuntKinds = static_cast<uint32_t>(PuntKind::kCount);

constexpr PuntClass class_of(PuntKind kind) {
  switch (kind) {
    case PuntKind::kNeighbors:
    case PuntKind::kRoutingProtocols:
    case PuntKind::kProbeReplies:
      return PuntClass::kInfrastructure;
    case PuntKind::kLocal:
      return PuntClass::kLocal;
    case PuntKind::kRouted:
      return PuntClass::kRouted;
    case PuntKind::kEcho:
    case PuntKind::kStrangers:
    case PuntKind::kForged:
    case PuntKind::kCount:
      break;
  }
  return PuntClass::kStrangers;
}

class PuntClassifier {
 public:
  explicit PuntClassifier(const Context& context) noexcept : setup_(context.setup), state_(context.state) {}

  /// The kind of a frame that came through `port`, and says this of itself.
  PuntKind classify(uint32_t port, const Datagram& datagram) const noexcept;

 private:
  PuntKind for_us(const Datagram& datagram, bool from_backend) const noexcept;
  bool is_own(const Address& address) const noexcept;

  const WorkerSetup& setup_;
  const ForwardingState& state_;
};

}  // namespace sluice
