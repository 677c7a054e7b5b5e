// SPDX-License-Identifier: Apache-2.0
//
// One question to one server of the DNS, over UDP, by c-ares: whether it answers, and whether it knows such a record.
// The record itself is not looked at. Blocking, with a time limit.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/model.h"

namespace sluice::ctl {

/// RFC 1035 section 3.2.2, and those that came later.
enum class DnsType : uint16_t { kA = 1, kMx = 15, kTxt = 16, kAaaa = 28, kSrv = 33, kTlsa = 52 };

/// "A", "SRV".
std::string_view name_of(DnsType type);

struct DnsSaid {
  enum class What : uint8_t {
    kRecords,  // there are some
    kNone,     // there is no such name, or no such record of it
    kFault,    // it does not say: `fault` does
    kSilent,   // it has not answered in time, or cannot be reached
  };
  What what = What::kSilent;
  std::string fault;  // "SERVFAIL"
};

struct DnsServer {
  config::SocketAddress address;
  std::string scope;  // of a link-local address: its interface's name; "" = none

  /// "[fe80::1%eth0]:53".
  std::string to_string() const;
  friend auto operator<=>(const DnsServer&, const DnsServer&) = default;
};

/// Asks twice, some seconds in all. Of a name that the DNS cannot have there is no record.
DnsSaid ask_dns(const DnsServer& server, const std::string& name, DnsType type);

}  // namespace sluice::ctl
