// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/mac_address.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>

namespace sluice::control {

std::string to_string(const MacAddress& mac) {
  return fmt::format("{:02x}", fmt::join(mac.bytes, ":"));
}

std::optional<MacAddress> parse_mac(const std::string& text) {
  constexpr size_t kEach = 3;  // two digits and a colon
  MacAddress out;
  if (text.size() != kEach * out.bytes.size() - 1) return std::nullopt;
  for (size_t i = 0; i < out.bytes.size(); i++) {
    const char* digits = text.data() + kEach * i;
    const auto [end, error] = std::from_chars(digits, digits + 2, out.bytes[i], 16);
    if (error != std::errc() || end != digits + 2 || (i > 0 && digits[-1] != ':')) return std::nullopt;
  }
  return out;
}

}  // namespace sluice::control
