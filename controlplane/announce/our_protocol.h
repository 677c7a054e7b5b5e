// SPDX-License-Identifier: Apache-2.0
//
// The protocol number by which the kernel knows our routes and addresses, as a state file names it.
#pragma once

#include <linux/rtnetlink.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>

namespace sluice::control {

/// What `announce.protocol` may be, or nothing: the numbers up to RTPROT_STATIC are the kernel's and its operator's,
/// and what bears one of them is never ours to take away.
inline std::optional<uint8_t> our_protocol(const nlohmann::json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto number = value.get<uint64_t>();
  if (number <= RTPROT_STATIC || number > UINT8_MAX) return std::nullopt;
  return static_cast<uint8_t>(number);
}

}  // namespace sluice::control
