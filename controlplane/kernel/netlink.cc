// SPDX-License-Identifier: Apache-2.0
#include "controlplane/kernel/netlink.h"

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>

#include "controlplane/kernel/netlink_walk.h"

namespace sluice::control::netlink {

namespace {

std::optional<config::IpAddress> address_from(const void* bytes, size_t length) {
  config::IpAddress out;
  if (length == 4) {
    out.bytes[10] = out.bytes[11] = 0xff;
    std::memcpy(&out.bytes[12], bytes, 4);
    return out;
  }
  if (length != 16) return std::nullopt;
  std::memcpy(out.bytes.data(), bytes, 16);
  return out;
}

std::optional<config::IpAddress> address_in(const nlattr* attribute) {
  return address_from(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
}

/// RTA_VIA: a next hop of another family than the route's.
std::optional<config::IpAddress> via_in(const nlattr* attribute) {
  const size_t length = mnl_attr_get_payload_len(attribute);
  if (length < sizeof(rtvia)) return std::nullopt;
  const auto* bytes = static_cast<const uint8_t*>(mnl_attr_get_payload(attribute));
  return address_from(bytes + sizeof(rtvia), length - sizeof(rtvia));
}

int index_in(const nlattr* attribute) {
  return mnl_attr_validate(attribute, MNL_TYPE_U32) < 0 ? 0 : static_cast<int>(mnl_attr_get_u32(attribute));
}

Link parse_link(const nlmsghdr* header) {
  const auto* info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(header));
  Link out;
  out.index = info->ifi_index;
  out.up = (info->ifi_flags & IFF_UP) != 0 && (info->ifi_flags & IFF_LOWER_UP) != 0;
  out.gone = header->nlmsg_type == RTM_DELLINK;
  each_attribute(header, sizeof *info, [&](const nlattr* attribute, uint16_t type) {
    if (type == IFLA_IFNAME && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0) {
      out.name = mnl_attr_get_str(attribute);
    } else if (type == IFLA_ADDRESS && mnl_attr_get_payload_len(attribute) == sizeof(MacAddress)) {
      std::memcpy(&out.mac.emplace(), mnl_attr_get_payload(attribute), sizeof(MacAddress));
    }
  });
  return out;
}

std::optional<Neighbor> parse_neighbor(const nlmsghdr* header) {
  const auto* info = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(header));
  if (info->ndm_family != AF_INET && info->ndm_family != AF_INET6) return std::nullopt;
  Neighbor out;
  out.link = info->ndm_ifindex;
  out.state = info->ndm_state;
  out.gone = header->nlmsg_type == RTM_DELNEIGH;
  bool has_address = false;
  each_attribute(header, sizeof *info, [&](const nlattr* attribute, uint16_t type) {
    if (type == NDA_DST) {
      if (const auto address = address_in(attribute)) {
        out.address = *address;
        has_address = true;
      }
    } else if (type == NDA_LLADDR && mnl_attr_get_payload_len(attribute) == sizeof(MacAddress)) {
      out.mac.emplace();
      std::memcpy(out.mac->bytes.data(), mnl_attr_get_payload(attribute), sizeof(MacAddress));
    }
  });
  if (!has_address) return std::nullopt;
  return out;
}

/// RTA_MULTIPATH: what the kernel answers to a request about one address has only one next hop.
void parse_hops(const nlattr* multipath, Route& out) {
  std::span<const uint8_t> left{static_cast<const uint8_t*>(mnl_attr_get_payload(multipath)),
                                mnl_attr_get_payload_len(multipath)};
  while (left.size() >= sizeof(rtnexthop)) {
    const auto* hop = reinterpret_cast<const rtnexthop*>(left.data());
    if (hop->rtnh_len < sizeof *hop || hop->rtnh_len > left.size()) return;
    RouteHop& parsed = out.hops.emplace_back(hop->rtnh_ifindex, std::nullopt);
    each_attribute(left.data() + sizeof *hop, left.data() + hop->rtnh_len, [&](const nlattr* attribute, uint16_t type) {
      if (type == RTA_GATEWAY) parsed.gateway = address_in(attribute);
      if (type == RTA_VIA) parsed.gateway = via_in(attribute);
    });
    left = left.subspan(std::min<size_t>(RTNH_ALIGN(hop->rtnh_len), left.size()));
  }
}

/// Whether a route's metrics (RTA_METRICS) say how long its packets may be.
bool says_mtu(const nlattr* metrics) {
  bool out = false;
  each_attribute_in(metrics, [&](const nlattr*, uint16_t type) { out |= type == RTAX_MTU; });
  return out;
}

std::optional<Route> parse_route(const nlmsghdr* header) {
  const auto* info = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(header));
  if (info->rtm_family != AF_INET && info->rtm_family != AF_INET6) return std::nullopt;
  Route out;
  out.type = info->rtm_type;
  out.prefix_bits = info->rtm_dst_len;
  out.is_v4 = info->rtm_family == AF_INET;
  out.table = info->rtm_table;
  out.protocol = info->rtm_protocol;
  out.dead = (info->rtm_flags & RTNH_F_DEAD) != 0;
  out.special = info->rtm_tos != 0 || info->rtm_src_len != 0;
  each_attribute(header, sizeof *info, [&](const nlattr* attribute, uint16_t type) {
    if (type == RTA_DST) out.destination = address_in(attribute).value_or(config::IpAddress{});
    if (type == RTA_OIF) out.link = index_in(attribute);
    if (type == RTA_GATEWAY) out.gateway = address_in(attribute);
    if (type == RTA_VIA) out.gateway = via_in(attribute);
    if (type == RTA_MULTIPATH) parse_hops(attribute, out);
    if (type == RTA_ENCAP || (type == RTA_METRICS && says_mtu(attribute))) out.special = true;
    if (type == RTA_TABLE && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0) out.table = mnl_attr_get_u32(attribute);
    if (type == RTA_PRIORITY && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0) {
      out.metric = mnl_attr_get_u32(attribute);
    }
  });
  if (!out.hops.empty()) out.link = out.hops.front().link;
  return out;
}

std::optional<Rule> parse_rule(const nlmsghdr* header) {
  const auto* info = static_cast<const fib_rule_hdr*>(mnl_nlmsg_get_payload(header));
  if (info->family != AF_INET && info->family != AF_INET6) return std::nullopt;
  Rule out{.is_v4 = info->family == AF_INET, .priority = 0, .table = info->table};
  bool plain = info->action == FR_ACT_TO_TBL && info->src_len == 0 && info->dst_len == 0 && info->tos == 0 &&
               (info->flags & FIB_RULE_INVERT) == 0;
  each_attribute(header, sizeof *info, [&](const nlattr* attribute, uint16_t type) {
    if (type == FRA_TABLE && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0) out.table = mnl_attr_get_u32(attribute);
    if (type == FRA_PRIORITY && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0) {
      out.priority = mnl_attr_get_u32(attribute);
    }
    const bool suppresses_none = type == FRA_SUPPRESS_PREFIXLEN && index_in(attribute) == -1;
    if (type != FRA_TABLE && type != FRA_PRIORITY && type != FRA_PROTOCOL && !suppresses_none) plain = false;
  });
  // As fib_default_rules_init() and fib6_rules_net_init() of Linux make them.
  const bool from_the_start = (out.priority == 0 && out.table == RT_TABLE_LOCAL) ||
                              (out.priority == 32766 && out.table == RT_TABLE_MAIN) ||
                              (out.priority == 32767 && out.table == RT_TABLE_DEFAULT);
  out.ordinary = plain && from_the_start;
  return out;
}

std::optional<InterfaceAddress> parse_address(const nlmsghdr* header) {
  const auto* info = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(header));
  if (info->ifa_family != AF_INET && info->ifa_family != AF_INET6) return std::nullopt;
  InterfaceAddress out;
  out.link = static_cast<int>(info->ifa_index);
  out.prefix_bits = info->ifa_prefixlen;
  out.gone = header->nlmsg_type == RTM_DELADDR;
  uint32_t flags = info->ifa_flags;
  std::optional<config::IpAddress> address, local;  // with a peer, `address` is the peer's
  each_attribute(header, sizeof *info, [&](const nlattr* attribute, uint16_t type) {
    if (type == IFA_ADDRESS) address = address_in(attribute);
    if (type == IFA_LOCAL) local = address_in(attribute);
    if (type == IFA_FLAGS && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0) flags = mnl_attr_get_u32(attribute);
    if (type == IFA_PROTO && mnl_attr_validate(attribute, MNL_TYPE_U8) >= 0) out.protocol = mnl_attr_get_u8(attribute);
  });
  // An IPv4 secondary address is as good as the first; in IPv6 the same bit marks one for privacy.
  const uint32_t unfit = IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED |
                         (info->ifa_family == AF_INET6 ? uint32_t{IFA_F_TEMPORARY} : 0U);
  out.usable = info->ifa_scope == RT_SCOPE_UNIVERSE && (flags & unfit) == 0;
  if (!local && !address) return std::nullopt;
  out.address = local ? *local : *address;
  return out;
}

template <typename Payload>
bool holds(const nlmsghdr* header) {
  return mnl_nlmsg_get_payload_len(header) >= sizeof(Payload);
}

void parse_one(const nlmsghdr* header, std::vector<Message>& out) {
  if ((header->nlmsg_flags & NLM_F_DUMP_INTR) != 0) out.emplace_back(Interrupted{});
  switch (header->nlmsg_type) {
    case NLMSG_ERROR:
      if (holds<nlmsgerr>(header)) {
        out.emplace_back(Status{-static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header))->error});
      }
      return;
    case NLMSG_DONE:
      if (const int error = netlink::error_of_done(header); error != 0) {
        out.emplace_back(Status{error});
      } else {
        out.emplace_back(Done{});
      }
      return;
    case RTM_NEWLINK:
    case RTM_DELLINK:
      if (holds<ifinfomsg>(header)) out.emplace_back(parse_link(header));
      return;
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      if (!holds<ndmsg>(header)) return;
      if (auto neighbor = parse_neighbor(header)) out.emplace_back(*neighbor);
      return;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      if (!holds<rtmsg>(header)) return;
      if (auto route = parse_route(header)) out.emplace_back(std::move(*route));
      return;
    case RTM_NEWRULE:
      if (!holds<fib_rule_hdr>(header)) return;
      if (auto rule = parse_rule(header)) out.emplace_back(*rule);
      return;
    case RTM_NEWADDR:
    case RTM_DELADDR:
      if (!holds<ifaddrmsg>(header)) return;
      if (auto address = parse_address(header)) out.emplace_back(*address);
      return;
    default:
      return;
  }
}

}  // namespace

std::vector<Message> parse(std::span<const uint8_t> bytes) {
  std::vector<Message> out;
  each_message(bytes, [&out](const nlmsghdr* header) { parse_one(header, out); });
  return out;
}

bool covers(const Route& route, const config::IpAddress& address) {
  if (route.is_v4 != address.is_v4()) return false;
  const unsigned first = route.is_v4 ? 96 : 0;  // v4-mapped: the prefix counts from there
  for (unsigned bit = first; bit < first + route.prefix_bits && bit < 128; bit++) {
    const auto mask = static_cast<uint8_t>(0x80U >> (bit % 8));
    if (((route.destination.bytes[bit / 8] ^ address.bytes[bit / 8]) & mask) != 0) return false;
  }
  return true;
}

}  // namespace sluice::control::netlink
