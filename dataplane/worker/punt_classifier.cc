// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/punt_classifier.h"

#include "dataplane/packet/encapsulate.h"
#include "dataplane/packet/packet.h"
#include "dataplane/worker/bad_ends.h"

namespace sluice {
namespace {

constexpr Be16 kBgp = Be16::of(179);
constexpr Be16 kBfd = Be16::of(3784), kBfdEcho = Be16::of(3785), kBfdMultihop = Be16::of(4784);

/// Routing protocols that are spoken with stations or groups on the link.
bool is_routing_on_link(const Datagram& datagram) {
  if (datagram.is_group_membership()) return true;
  if (datagram.protocol == kProtocolVrrp) return datagram.is_unrouted();  // RFC 9568 section 5.1.1.3
  return datagram.protocol == kProtocolOspf || datagram.protocol == kProtocolPim;
}

/// Routing protocols that are spoken with an address of ours.
bool is_routing_session(const Datagram& datagram) {
  const Be16 port = datagram.destination.port;
  if (datagram.protocol == kProtocolTcp) return port == kBgp || datagram.source.port == kBgp;
  if (datagram.protocol != kProtocolUdp) return false;
  if (port == kBfdMultihop) return true;
  return (port == kBfd || port == kBfdEcho) && datagram.is_unrouted();  // RFC 5881 section 5
}

}  // namespace

bool PuntClassifier::is_own(const Address& address) const noexcept {
  return setup_.own_addresses != nullptr && setup_.own_addresses->contains(address);
}

PuntKind PuntClassifier::for_us(const Datagram& datagram, bool from_backend) const noexcept {
  if (is_routing_on_link(datagram) || is_routing_session(datagram)) return PuntKind::kRoutingProtocols;
  const bool may_answer = datagram.protocol == kProtocolTcp || datagram.is_icmp();
  return from_backend && may_answer ? PuntKind::kProbeReplies : PuntKind::kLocal;
}

PuntKind PuntClassifier::classify(uint32_t port, const Datagram& datagram) const noexcept {
  if (datagram.kind == Datagram::Kind::kArp) return PuntKind::kNeighbors;
  if (datagram.kind == Datagram::Kind::kLink) return PuntKind::kRoutingProtocols;
  if (datagram.kind != Datagram::Kind::kIp) return PuntKind::kStrangers;
  if (datagram.is_neighbor_discovery()) return PuntKind::kNeighbors;
  if (datagram.to_group) return is_routing_on_link(datagram) ? PuntKind::kRoutingProtocols : PuntKind::kLocal;
  const Address& to = datagram.destination.address;
  if (state_.is_vip(to)) {
    const Address& from = datagram.source.address;
    if (is_no_source(from) || state_.is_vip(from)) return PuntKind::kForged;
    const bool echo = datagram.is_echo_request() || (datagram.is_icmp() && datagram.fragment);
    return echo ? PuntKind::kEcho : PuntKind::kStrangers;
  }
  const bool from_backend = setup_.port[port].faces != Faces::kClients && state_.is_backend(datagram.source.address);
  if (is_own(to)) return for_us(datagram, from_backend);
  return from_backend || state_.is_backend(to) ? PuntKind::kRouted : PuntKind::kStrangers;
}

}  // namespace sluice
