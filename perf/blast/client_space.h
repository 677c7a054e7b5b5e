// SPDX-License-Identifier: Apache-2.0
//
// The addresses and ports of the synthetic clients: client number to endpoint and back, without a table.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>

#include "dataplane/contract/address.h"

namespace sluice::blast {

class ClientSpace {
 public:
  static constexpr uint32_t kPorts = 50'000;  // per address, from 1024 on

  /// `count` clients from address `first` on.
  ClientSpace(const Address& first, uint32_t count) : first_(first), count_(count) {}

  uint32_t count() const { return count_; }
  bool v6() const { return !first_.is_v4(); }

  Endpoint endpoint(uint32_t n) const {
    Endpoint out{first_, Be16::of(static_cast<uint16_t>(kFirstPort + n % kPorts))};
    const Be32 low = Be32::of(low_part(first_) + n / kPorts);
    std::memcpy(&out.address.bytes[12], &low.raw, 4);
    return out;
  }

  /// The client's number, or nothing if it is none of ours.
  std::optional<uint32_t> number(const Endpoint& endpoint) const {
    if (std::memcmp(endpoint.address.bytes.data(), first_.bytes.data(), 12) != 0) return std::nullopt;
    const uint32_t host = low_part(endpoint.address) - low_part(first_);
    const uint32_t port = uint32_t{endpoint.port.host()} - kFirstPort;
    if (port >= kPorts || host > count_ / kPorts) return std::nullopt;
    const uint64_t n = uint64_t{host} * kPorts + port;
    return n < count_ ? std::optional(static_cast<uint32_t>(n)) : std::nullopt;
  }

 private:
  static constexpr uint32_t kFirstPort = 1024;

  static uint32_t low_part(const Address& address) {
    Be32 out;
    std::memcpy(&out.raw, &address.bytes[12], 4);
    return out.host();
  }

  Address first_;
  uint32_t count_;
};

}  // namespace sluice::blast
