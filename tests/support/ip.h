// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

#include "config/model.h"

namespace sluice {

/// The address that a test writes down. Not in sluice::testing, which would hide ::testing from the tests of other
/// modules.
inline config::IpAddress ip(const std::string& text) {
  const auto address = config::IpAddress::parse(text);
  if (!address) throw std::invalid_argument("no IP address: " + text);
  return *address;
}

}  // namespace sluice
