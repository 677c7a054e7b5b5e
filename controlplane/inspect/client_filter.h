// SPDX-License-Identifier: Apache-2.0
//
// Whose packets or flows somebody wants to see: "192.0.2.7", "192.0.2.7:40001", "192.0.2.0/24", "2001:db8::/32",
// "[2001:db8::7]:40001".
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "dataplane/contract/address.h"

namespace sluice::control {

struct ClientFilter {
  Address address;
  uint32_t prefix_bits = 0;  // of 128; 0 = every client
  uint16_t port = 0;         // 0 = any

  /// "" is every client. The error says what is allowed.
  static std::expected<ClientFilter, std::string> parse(const std::string& text);
};

}  // namespace sluice::control
