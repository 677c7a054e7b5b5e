// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/server_router.h"

#include <cstring>

#include "dataplane/flow/translate.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/encapsulate.h"
#include "dataplane/worker/bad_ends.h"
#include "dataplane/worker/next_hop_check.h"

namespace sluice {
namespace {

uint16_t tag_of(const rte_mbuf& mbuf) noexcept {
  if ((mbuf.ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) return mbuf.vlan_tci & 0x0fff;
  const auto* data = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  if (load<uint16_t>(data + 12) != Be16::of(kEtherTypeVlan).raw) return 0;
  return Be16{load<uint16_t>(data + 14)}.host() & 0x0fff;
}

bool came_from(const rte_mbuf& mbuf, const MacAddress& station) noexcept {
  return std::memcmp(rte_pktmbuf_mtod_offset(&mbuf, const void*, 6), station.bytes.data(), station.bytes.size()) == 0;
}

}  // namespace

/// Whether a packet that is routed may have the address at one of its ends.
bool ServerRouter::is_end(const Address& address) const noexcept {
  if (is_no_source(address) || is_link_local(address) || state_.is_vip(address)) return false;
  return setup_.own_addresses == nullptr || !setup_.own_addresses->contains(address);
}

ServerRouter::From ServerRouter::whence(uint32_t port, const rte_mbuf& mbuf, const Datagram& datagram) const noexcept {
  const channel::BackendId id = state_.find_backend_at(datagram.source.address);
  if (id == channel::kNoBackend) return From::kElsewhere;
  const Faces faces = setup_.port[port].faces;
  if (faces == Faces::kClients) return From::kNowhere;
  Packet packet;
  packet.vlan = tag_of(mbuf);
  if (!is_vouched_for(faces, mbuf, packet, state_.backend(id))) return From::kNowhere;
  if (datagram.protocol != kProtocolTcp) return From::kServer;
  const bool may_be_reply = datagram.fragment || state_.find_backend(datagram.source) != channel::kNoBackend;
  return may_be_reply ? From::kNowhere : From::kServer;
}

/// Whether a packet may be for what a mail server serves, past the VIP. Sessions of clients end there as well: whoever
/// forges their segments is to get no further than the kernel's budget.
bool ServerRouter::may_be_for_service(const Datagram& datagram) const noexcept {
  const Endpoint& to = datagram.destination;
  switch (datagram.protocol) {
    case kProtocolTcp:
      return datagram.fragment ? state_.is_backend(to.address) : state_.find_backend(to) != channel::kNoBackend;
    case kProtocolIpv4:  // within, any packet at all may come out of a tunnel
    case kProtocolIpv6:
      return state_.is_backend(to.address);
    case kProtocolUdp:
      return (datagram.fragment || to.port == Be16::of(kGuePort)) && state_.is_backend(to.address);
    default:
      return false;
  }
}

/// Whether what the datagram was judged by is what a server would find in it: no extension headers, whose number no
/// standard limits, but for one that says which part of a datagram this is.
bool ServerRouter::is_plain(const uint8_t* l3, const Datagram& datagram) noexcept {
  uint8_t next = l3[ipv6::kNextHeader];
  if (next == kFragmentHeader) next = l3[ipv6::kBytes];
  return next == datagram.protocol && !is_extension_header(next);
}

/// Fills in what is needed of `packet`, if there is nothing out of the ordinary about it.
bool ServerRouter::read_plain(uint32_t port, const rte_mbuf& mbuf, const Datagram& datagram,
                              Packet& packet) const noexcept {
  packet.vlan = tag_of(mbuf);
  if (packet.vlan != setup_.port[port].vlan) return false;
  const auto* data = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  const bool has_tag = load<uint16_t>(data + 12) == Be16::of(kEtherTypeVlan).raw;
  packet.l3_offset = kEthernetBytes + (has_tag ? kVlanBytes : 0);
  packet.l4_offset = packet.l3_offset;
  const uint8_t* l3 = data + packet.l3_offset;
  uint32_t bytes;
  if (packet.v6) {
    if (!is_plain(l3, datagram)) return false;
    bytes = ipv6::kBytes + Be16{load<uint16_t>(l3 + ipv6::kPayloadLength)}.host();
  } else {
    if (l3[0] != 0x45 || ipv4_checksum(l3, ipv4::kBytes) != 0) return false;
    bytes = Be16{load<uint16_t>(l3 + ipv4::kTotalLength)}.host();
    if (bytes < ipv4::kBytes) return false;
  }
  if (packet.l3_offset + bytes > rte_pktmbuf_pkt_len(&mbuf) || bytes > 0xffff) return false;
  packet.ip_bytes = static_cast<uint16_t>(bytes);
  return true;
}

bool ServerRouter::pass(uint32_t port, rte_mbuf* mbuf, const Datagram& datagram) noexcept {
  if (state_.server_routes().is_empty() || datagram.kind != Datagram::Kind::kIp || datagram.to_group) return false;
  const Address& to = datagram.destination.address;
  const channel::RouteHop* found = state_.server_routes().find(to);
  if (found == nullptr || datagram.hops <= 1) return false;
  const channel::RouteHop hop = *found;  // what is checked is what is used: control may write meanwhile
  const uint32_t out = hop.port_index;
  if (out >= setup_.ports) return false;
  if (setup_.port[port].faces == Faces::kClients && setup_.port[out].faces == Faces::kClients) return false;
  if (!is_end(datagram.source.address) || !is_end(to)) return false;
  const From from = whence(port, *mbuf, datagram);
  if (from == From::kNowhere || may_be_for_service(datagram)) return false;
  if (out == port && came_from(*mbuf, hop.mac)) return false;  // the station may send it here again, for ever
  // Of strangers, only those that are on a network of the mail servers' alone, or speak with it.
  const bool is_of_server = from == From::kServer || state_.is_backend(to);
  const bool is_behind = setup_.port[port].faces == Faces::kBackends || setup_.port[out].faces == Faces::kBackends;
  if (!is_of_server && !is_behind) return false;
  Packet packet;
  packet.v6 = !to.is_v4();
  if (!read_plain(port, *mbuf, datagram, packet) || packet.ip_bytes > egress_.mtu(out)) return false;
  const uint32_t padding = mbuf->pkt_len - packet.l3_offset - packet.ip_bytes;
  if (padding != 0 && rte_pktmbuf_trim(mbuf, static_cast<uint16_t>(padding)) != 0) return false;
  take_hop(*mbuf, packet);
  write_ethernet(*mbuf, packet, hop.mac, egress_.mac_word(out), hop.vlan & 0x0fff);
  egress_.send(out, mbuf);
  const bool outward = setup_.port[port].faces == Faces::kBackends || from == From::kServer;
  counters_.count(outward ? Counter::kRoutedOut : Counter::kRoutedIn);
  counters_.count(outward ? Counter::kRoutedOutBytes : Counter::kRoutedInBytes, packet.ip_bytes);
  return true;
}

}  // namespace sluice
