// SPDX-License-Identifier: Apache-2.0
//
// Sequence numbers by which we know again whose SYN we have answered, with nothing remembered (RFC 4987 section 3.6): a
// hash, under a secret, of both ends, the client's own number and the time. All 32 bits are of the hash: nothing has to
// be kept in it, as what we say is shorter than any segment that a host may refuse, and needs no option. A guess is
// right once in 2^31. The time counts in periods, so a number is good for one to two of these.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "dataplane/contract/address.h"
#include "dataplane/flow/siphash.h"

namespace sluice {

class SynCookies {
 public:
  static constexpr uint32_t kPeriodBits = 16;
  static constexpr uint64_t kPeriodMs = uint64_t{1} << kPeriodBits;

  /// `secret` may have other uses; it does not come out here.
  explicit SynCookies(uint64_t secret) noexcept
      : key_{siphash({secret, 0}, std::array{uint64_t{1}}), siphash({secret, 0}, std::array{uint64_t{2}})} {}

  /// Our first sequence number in answer to a SYN with the number `client_isn`.
  uint32_t make(const Endpoint& client, const Endpoint& server, uint32_t client_isn, uint64_t now_ms) const noexcept {
    return in_period(client, server, client_isn, now_ms >> kPeriodBits);
  }

  bool is_ours(uint32_t cookie, const Endpoint& client, const Endpoint& server, uint32_t client_isn,
               uint64_t now_ms) const noexcept {
    const uint64_t period = now_ms >> kPeriodBits;
    return cookie == in_period(client, server, client_isn, period) ||
           cookie == in_period(client, server, client_isn, period - 1);
  }

 private:
  uint32_t in_period(const Endpoint& client, const Endpoint& server, uint32_t client_isn,
                     uint64_t period) const noexcept {
    std::array<uint64_t, 6> words;
    std::memcpy(&words[0], client.address.bytes.data(), 16);
    std::memcpy(&words[2], server.address.bytes.data(), 16);
    words[4] = uint64_t{client.port.raw} << 48 | uint64_t{server.port.raw} << 32 | client_isn;
    words[5] = period;
    return static_cast<uint32_t>(siphash(key_, words));
  }

  SipKey key_;
};

}  // namespace sluice
