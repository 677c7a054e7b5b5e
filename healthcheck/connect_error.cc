// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/connect_error.h"

#include <fmt/format.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/system/error_code.hpp>
#include <cerrno>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "healthcheck/sockets.h"

namespace sluice::health {

namespace {

struct ConnectError {
  int number;
  Evidence evidence;
};

/// Errors of socket(2) and connect(2), and why each means what it does. An error that is not here is the backend's, and
/// a judgement: it takes no session down.
constexpr std::array kConnectErrors{
    // The host speaks, and says no: a RST.
    ConnectError{ECONNREFUSED, Evidence::kRefused},
    // Nothing came back. EHOSTUNREACH is how the kernel tells that ARP or ND went unanswered, or a router did; where a
    // route of ours says "unreachable" it is the same number, and control, which knows the routes, disbelieves it.
    ConnectError{ETIMEDOUT, Evidence::kUnanswered},
    ConnectError{EHOSTUNREACH, Evidence::kUnanswered},
    ConnectError{EHOSTDOWN, Evidence::kUnanswered},
    // No way there: the route, the address or the twin is gone, or a router on the way has no route.
    ConnectError{ENETUNREACH, Evidence::kNone},
    ConnectError{ENETDOWN, Evidence::kNone},
    ConnectError{ENODEV, Evidence::kNone},
    ConnectError{ENONET, Evidence::kNone},
    ConnectError{EINVAL, Evidence::kNone},  // a blackhole route
    // No address or port of ours to speak from.
    ConnectError{EADDRNOTAVAIL, Evidence::kNone},
    ConnectError{EADDRINUSE, Evidence::kNone},
    ConnectError{EAGAIN, Evidence::kNone},
    // Out of descriptors or memory.
    ConnectError{EMFILE, Evidence::kNone},
    ConnectError{ENFILE, Evidence::kNone},
    ConnectError{ENOBUFS, Evidence::kNone},
    ConnectError{ENOMEM, Evidence::kNone},
    ConnectError{ENOSPC, Evidence::kNone},
    // Not allowed to, by the firewall or by the system's security rules, or a prohibiting route.
    ConnectError{EACCES, Evidence::kNone},
    ConnectError{EPERM, Evidence::kNone},
    // The kernel has no IPv6, or no TCP.
    ConnectError{EAFNOSUPPORT, Evidence::kNone},
    ConnectError{EPFNOSUPPORT, Evidence::kNone},
    ConnectError{EPROTONOSUPPORT, Evidence::kNone},
    // Given up by ourselves.
    ConnectError{ECANCELED, Evidence::kNone},
    ConnectError{EINTR, Evidence::kNone},
};

/// By code, of ICMP_UNREACH and ICMP6_DST_UNREACH, in the words of nft(8) where it has one.
constexpr auto kUnreachable4 = std::to_array<std::string_view>(
    {"net-unreachable", "host-unreachable", "prot-unreachable", "port-unreachable", "fragmentation-needed",
     "source-route-failed", "net-unknown", "host-unknown", "host-isolated", "net-prohibited", "host-prohibited",
     "net-unreachable-for-tos", "host-unreachable-for-tos", "admin-prohibited", "precedence-violation",
     "precedence-cutoff"});
constexpr auto kUnreachable6 =
    std::to_array<std::string_view>({"no-route", "admin-prohibited", "beyond-scope", "addr-unreachable",
                                     "port-unreachable", "policy-fail", "reject-route"});

bool is_unreachable(const IcmpError& error) {
  return error.type == (error.from.is_v4() ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH);
}

/// What a router says, and our own kernel, where nobody answers or no way leads.
bool is_for_want_of_an_answer(const IcmpError& error) {
  if (!is_unreachable(error)) return false;
  if (error.from.is_v4()) return error.code == ICMP_NET_UNREACH || error.code == ICMP_HOST_UNREACH;
  return error.code == ICMP6_DST_UNREACH_NOROUTE || error.code == ICMP6_DST_UNREACH_ADDR;
}

std::string name_of(const IcmpError& error) {
  const std::span<const std::string_view> names = error.from.is_v4() ? std::span<const std::string_view>(kUnreachable4)
                                                                     : std::span<const std::string_view>(kUnreachable6);
  if (is_unreachable(error) && error.code < names.size()) return std::string(names[error.code]);
  return fmt::format("type {} code {}", error.type, error.code);
}

config::IpAddress address_of(const sockaddr_in6& offender) {
  if (offender.sin6_family == AF_INET6) {
    config::IpAddress address;
    std::memcpy(address.bytes.data(), &offender.sin6_addr, address.bytes.size());
    return address;
  }
  sockaddr_in v4{};
  std::memcpy(&v4, &offender, sizeof v4);
  return from_asio(boost::asio::ip::address_v4(ntohl(v4.sin_addr.s_addr)));
}

/// One message of a socket's error queue; nothing: it is no ICMP error.
std::optional<IcmpError> read_icmp_error(msghdr& message) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    const bool is_error = (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR) ||
                          (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR);
    // The offender's address stands behind it, a sockaddr_in or a sockaddr_in6.
    if (!is_error || part->cmsg_len < CMSG_LEN(sizeof(sock_extended_err) + sizeof(sockaddr_in))) continue;
    sock_extended_err error{};
    std::memcpy(&error, CMSG_DATA(part), sizeof error);
    if (error.ee_origin != SO_EE_ORIGIN_ICMP && error.ee_origin != SO_EE_ORIGIN_ICMP6) continue;
    sockaddr_in6 offender{};
    const size_t bytes = std::min<size_t>(part->cmsg_len - CMSG_LEN(sizeof error), sizeof offender);
    std::memcpy(&offender, CMSG_DATA(part) + sizeof error, bytes);
    return IcmpError{.type = error.ee_type,
                     .code = error.ee_code,
                     .number = static_cast<int>(error.ee_errno),
                     .from = address_of(offender)};
  }
  return std::nullopt;
}

}  // namespace

Evidence evidence_of_connect_error(int number) {
  const auto known = std::ranges::find(kConnectErrors, number, &ConnectError::number);
  return known == kConnectErrors.end() ? Evidence::kJudged : known->evidence;
}

ConnectFailure failure_of(const IcmpError& error, const config::IpAddress& server, const config::IpAddress& ours) {
  if (error.from != server && is_for_want_of_an_answer(error)) {
    return {evidence_of_connect_error(error.number),
            in_words(boost::system::error_code(error.number, boost::system::system_category()))};
  }
  const std::string what = fmt::format("refused by ICMP {} from {}", name_of(error), error.from.to_string());
  if (error.from != server && error.from == ours) return {Evidence::kNone, what + ": a firewall of our own"};
  return {Evidence::kJudged, is_unreachable(error) ? what + ": a firewall there" : what};
}

void hold_icmp_errors(int socket, bool is_v4, bool hold) {
  const int value = hold ? 1 : 0;
  // Without it, as where the kernel has no IPv6, errors are told by their numbers alone.
  setsockopt(socket, is_v4 ? IPPROTO_IP : IPPROTO_IPV6, is_v4 ? IP_RECVERR : IPV6_RECVERR, &value, sizeof value);
}

std::optional<IcmpError> take_icmp_error(int socket) {
  constexpr int kMost = 64;  // more SYNs than a probe's timeout has room for
  std::optional<IcmpError> last;
  for (int i = 0; i < kMost; i++) {
    alignas(cmsghdr) std::array<char, 256> control{};
    msghdr message{};
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (recvmsg(socket, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) break;
    if (const auto error = read_icmp_error(message)) last = error;
  }
  return last;
}

void IcmpRefusals::note(const config::IpAddress& server, std::string why, Time now) {
  std::erase_if(by_server_, [now](const auto& entry) { return now - entry.second.at >= kStands; });
  by_server_.insert_or_assign(server, Refusal{.why = std::move(why), .at = now});
}

std::optional<std::string> IcmpRefusals::recent(const config::IpAddress& server, Time now) const {
  const auto found = by_server_.find(server);
  if (found == by_server_.end() || now - found->second.at >= kStands) return std::nullopt;
  return found->second.why;
}

}  // namespace sluice::health
