// SPDX-License-Identifier: Apache-2.0
//
// Why a connection could not be made, and what that proves of the server. The number of connect(2) does not tell: the
// kernel makes the same one of a RST and of an ICMP error, which a firewall sends in the name of a host that lives. So
// it is asked for the ICMP error itself (IP_RECVERR, see ip(7) and ipv6(7)).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "config/model.h"
#include "healthcheck/verdict.h"

namespace sluice::health {

/// What ended an attempt to connect, or one of its SYNs.
struct IcmpError {
  uint8_t type = 0;  // of ICMP (RFC 792) or ICMPv6 (RFC 4443), as `from` is
  uint8_t code = 0;
  int number = 0;  // the errno that the kernel makes of it
  config::IpAddress from;
};

struct ConnectFailure {
  Evidence evidence = Evidence::kNone;  // kNone: the fault is ours
  std::string why;                      // "refused by ICMP admin-prohibited from 10.0.1.10: a firewall there"
};

/// Of an error of socket(2) or connect(2) that no ICMP error brought about.
Evidence evidence_of_connect_error(int number);

/// Of an ICMP error that came to `ours`, the address that the SYN for `server` left from. That a host or network is
/// unreachable is said where nobody answers, and counts as its number does; unless `server` itself says so.
ConnectFailure failure_of(const IcmpError& error, const config::IpAddress& server, const config::IpAddress& ours);

/// Whether ICMP errors are held for take_icmp_error(). Not wanted once connected: each would break the connection.
void hold_icmp_errors(int socket, bool is_v4, bool hold);

/// The last one that is held; the others are thrown away.
std::optional<IcmpError> take_icmp_error(int socket);

/// Who was refused by ICMP not long ago. Hosts limit how many ICMP errors they send (Linux: one a second to each
/// address), so that of many probes some are refused and others meet silence, which is none. Used from one thread.
class IcmpRefusals {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kStands{30};  // many times the limit of Linux, and its answers may be lost

  void note(const config::IpAddress& server, std::string why, Time now);
  /// Why, if it was.
  std::optional<std::string> recent(const config::IpAddress& server, Time now) const;

 private:
  struct Refusal {
    std::string why;
    Time at;
  };
  std::map<config::IpAddress, Refusal> by_server_;
};

}  // namespace sluice::health
