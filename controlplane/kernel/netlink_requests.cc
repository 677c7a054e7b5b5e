// SPDX-License-Identifier: Apache-2.0
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "controlplane/kernel/netlink.h"

namespace sluice::control::netlink {

namespace {

template <typename Payload>
Bytes request(uint16_t type, uint16_t flags, uint32_t sequence, const Payload& payload,
              const config::IpAddress* address = nullptr, uint16_t attribute = 0) {
  Bytes out(256);
  nlmsghdr* header = mnl_nlmsg_put_header(out.data());
  header->nlmsg_type = type;
  header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  header->nlmsg_seq = sequence;
  *static_cast<Payload*>(mnl_nlmsg_put_extra_header(header, sizeof payload)) = payload;
  if (address != nullptr) {
    if (address->is_v4()) {
      mnl_attr_put(header, attribute, 4, &address->bytes[12]);
    } else {
      mnl_attr_put(header, attribute, 16, address->bytes.data());
    }
  }
  out.resize(header->nlmsg_len);
  return out;
}

/// Appends to a request.
void put_u32(Bytes& bytes, uint16_t attribute, uint32_t value) {
  bytes.resize(bytes.size() + sizeof(nlattr) + sizeof value);
  auto* header = reinterpret_cast<nlmsghdr*>(bytes.data());
  mnl_attr_put_u32(header, attribute, value);
}

void put_u8(Bytes& bytes, uint16_t attribute, uint8_t value) {
  bytes.resize(bytes.size() + sizeof(nlattr) + MNL_ALIGN(sizeof value));
  mnl_attr_put_u8(reinterpret_cast<nlmsghdr*>(bytes.data()), attribute, value);
}

uint8_t family_of(const config::IpAddress& address) {
  return address.is_v4() ? AF_INET : AF_INET6;
}

uint8_t bits_of(const config::IpAddress& address) {
  return address.is_v4() ? 32 : 128;
}

}  // namespace

Bytes dump_links(uint32_t sequence) {
  ifinfomsg payload{};
  payload.ifi_family = AF_UNSPEC;
  return request(RTM_GETLINK, NLM_F_DUMP, sequence, payload);
}

Bytes dump_neighbors(uint32_t sequence) {
  ndmsg payload{};
  payload.ndm_family = AF_UNSPEC;
  return request(RTM_GETNEIGH, NLM_F_DUMP, sequence, payload);
}

Bytes dump_addresses(uint32_t sequence) {
  ifaddrmsg payload{};
  payload.ifa_family = AF_UNSPEC;
  return request(RTM_GETADDR, NLM_F_DUMP, sequence, payload);
}

Bytes dump_routes(uint32_t sequence) {
  rtmsg payload{};
  payload.rtm_family = AF_UNSPEC;
  return request(RTM_GETROUTE, NLM_F_DUMP, sequence, payload);
}

Bytes dump_routes(uint8_t family, uint32_t table, uint32_t sequence) {
  rtmsg payload{};
  payload.rtm_family = family;
  Bytes out = request(RTM_GETROUTE, NLM_F_DUMP, sequence, payload);
  put_u32(out, RTA_TABLE, table);
  return out;
}

Bytes dump_rules(uint8_t family, uint32_t sequence) {
  fib_rule_hdr payload{};
  payload.family = family;
  return request(RTM_GETRULE, NLM_F_DUMP, sequence, payload);
}

Bytes get_route(const config::IpAddress& destination, uint32_t sequence) {
  rtmsg payload{};
  payload.rtm_family = family_of(destination);
  payload.rtm_dst_len = bits_of(destination);
  return request(RTM_GETROUTE, 0, sequence, payload, &destination, RTA_DST);
}

Bytes use_neighbor(int link, const config::IpAddress& address, uint32_t sequence) {
  ndmsg payload{};
  payload.ndm_family = family_of(address);
  payload.ndm_ifindex = link;
  payload.ndm_flags = NTF_USE;
  return request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, sequence, payload, &address, NDA_DST);
}

Bytes add_blackhole(const config::IpAddress& address, uint32_t table, uint8_t protocol, uint32_t metric,
                    uint32_t sequence) {
  rtmsg payload{};
  payload.rtm_family = family_of(address);
  payload.rtm_dst_len = bits_of(address);
  payload.rtm_protocol = protocol;
  payload.rtm_type = RTN_BLACKHOLE;
  payload.rtm_scope = RT_SCOPE_UNIVERSE;
  Bytes out = request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, sequence, payload, &address, RTA_DST);
  put_u32(out, RTA_TABLE, table);
  put_u32(out, RTA_PRIORITY, metric);
  return out;
}

Bytes delete_route(const Route& route, uint32_t sequence) {
  rtmsg payload{};
  payload.rtm_family = route.is_v4 ? AF_INET : AF_INET6;
  payload.rtm_dst_len = route.prefix_bits;
  payload.rtm_protocol = route.protocol;
  payload.rtm_type = route.type;
  payload.rtm_scope = RT_SCOPE_NOWHERE;  // of whatever scope
  const bool has_destination = route.prefix_bits != 0;
  Bytes out =
      request(RTM_DELROUTE, NLM_F_ACK, sequence, payload, has_destination ? &route.destination : nullptr, RTA_DST);
  put_u32(out, RTA_TABLE, route.table);
  put_u32(out, RTA_PRIORITY, route.metric);
  return out;
}

Bytes add_address(int link, const config::IpAddress& address, uint8_t protocol, uint32_t sequence) {
  ifaddrmsg payload{};
  payload.ifa_family = family_of(address);
  payload.ifa_prefixlen = bits_of(address);
  payload.ifa_flags = IFA_F_NODAD;
  payload.ifa_scope = RT_SCOPE_UNIVERSE;
  payload.ifa_index = static_cast<uint32_t>(link);
  Bytes out = request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, sequence, payload, &address, IFA_LOCAL);
  put_u8(out, IFA_PROTO, protocol);
  return out;
}

Bytes delete_address(const InterfaceAddress& address, uint32_t sequence) {
  ifaddrmsg payload{};
  payload.ifa_family = family_of(address.address);
  payload.ifa_prefixlen = address.prefix_bits;
  payload.ifa_index = static_cast<uint32_t>(address.link);
  return request(RTM_DELADDR, NLM_F_ACK, sequence, payload, &address.address, IFA_LOCAL);
}

}  // namespace sluice::control::netlink
