// SPDX-License-Identifier: Apache-2.0
//
// Types of records as they stand in messages of the DNS (RFC 1035 section 3.2.2, RFC 3596, RFC 2782, RFC 6698).
#pragma once

#include <arpa/nameser.h>

#include <string_view>

#include "config/model.h"

namespace sluice::control {

inline constexpr int kTypeTxt = 16;
inline constexpr int kTypeTlsa = 52;

/// Of those that no service's discovery asks for, but for addresses.
inline std::string_view name_of_wire_type(int type) {
  switch (type) {
    case ns_t_a:
      return "A";
    case ns_t_aaaa:
      return "AAAA";
    case ns_t_mx:
      return "MX";
    case kTypeTxt:
      return "TXT";
    case kTypeTlsa:
      return "TLSA";
    default:
      return "record";
  }
}

inline ns_type wire_type(config::DnsType type) {
  switch (type) {
    case config::DnsType::kA:
      return ns_t_a;
    case config::DnsType::kAaaa:
      return ns_t_aaaa;
    case config::DnsType::kSrv:
      break;
  }
  return ns_t_srv;
}

}  // namespace sluice::control
