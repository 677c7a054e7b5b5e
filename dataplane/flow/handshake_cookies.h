// SPDX-License-Identifier: Apache-2.0
//
// First sequence numbers and timestamps by which a connection can begin of which nothing is remembered (RFC 4987
// section 3.6): both are of a hash, under a secret, of both ends, the client's own number, what its SYN announced, and
// the time. What it announced comes back in the number itself, so it holds for clients without timestamps too. Where
// the client sends timestamps, ours has to come back as well, and a guess is right once in 2^55; where it does not,
// once in 2^23, and wins no more than a SYN would. The time counts in periods, so an answer is good for one to two of
// these. One bit of the number says whether its period is even or odd: so one hash says whether it is right.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "dataplane/contract/address.h"
#include "dataplane/flow/siphash.h"

namespace sluice {

/// What a SYN announced, as far as it is kept.
struct CookieOptions {
  static constexpr uint8_t kNoScale = 15;
  /// The usual ones: a client's is rounded down.
  static constexpr std::array<uint16_t, 8> kMss{256, 536, 1220, 1360, 1400, 1440, 1460, 8940};

  uint8_t mss_class = 0;
  uint8_t window_scale = kNoScale;
  bool sack = false;

  static constexpr uint8_t class_of(uint16_t mss) {
    uint8_t out = 0;
    while (out + 1U < kMss.size() && kMss[out + 1U] <= mss) out++;
    return out;
  }
  uint16_t mss() const { return kMss[mss_class]; }

  uint8_t byte() const { return static_cast<uint8_t>(mss_class << 5 | (sack ? 0x10 : 0) | window_scale); }
  static CookieOptions of(uint8_t byte) {
    return {static_cast<uint8_t>(byte >> 5), static_cast<uint8_t>(byte & 0x0f), (byte & 0x10) != 0};
  }
};

/// Numbers of our SYN-ACK.
struct HandshakeCookie {
  uint32_t sequence;
  uint32_t timestamp;
};

enum class CookiePurpose : uint8_t {
  kBackend,  // a backend is asked for who acknowledges it
  kRefusal,  // who does is told 421
};

class HandshakeCookies {
 public:
  static constexpr uint32_t kPeriodBits = 16;
  static constexpr uint64_t kPeriodMs = uint64_t{1} << kPeriodBits;

  /// `secret` may have other uses; it does not come out here. What is made for one purpose is good for no other.
  HandshakeCookies(uint64_t secret, CookiePurpose purpose) noexcept
      : key_{siphash({secret, 0}, std::array{static_cast<uint64_t>(purpose), uint64_t{1}}),
             siphash({secret, 0}, std::array{static_cast<uint64_t>(purpose), uint64_t{2}})} {}

  HandshakeCookie make(const Endpoint& client, const Endpoint& server, uint32_t client_isn, CookieOptions options,
                       uint64_t now_ms) const noexcept {
    return in_period(client, server, client_isn, options.byte(), now_ms >> kPeriodBits);
  }

  /// What was announced by the SYN whose answer is acknowledged. `echo`: of the timestamps option, if there is one.
  std::optional<CookieOptions> read(uint32_t sequence, std::optional<uint32_t> echo, const Endpoint& client,
                                    const Endpoint& server, uint32_t client_isn, uint64_t now_ms) const noexcept {
    const auto options = static_cast<uint8_t>(sequence);
    const uint64_t now = now_ms >> kPeriodBits;
    const uint64_t age = (now ^ sequence >> kOptionBits) & 1;
    const HandshakeCookie ours = in_period(client, server, client_isn, options, now - age);
    if (ours.sequence != sequence || (echo && *echo != ours.timestamp)) return std::nullopt;
    return CookieOptions::of(options);
  }

 private:
  static constexpr uint32_t kOptionBits = 8;

  HandshakeCookie in_period(const Endpoint& client, const Endpoint& server, uint32_t client_isn, uint8_t options,
                            uint64_t period) const noexcept {
    FastSipState state(key_);
    if (client.address.is_v4()) {
      uint64_t addresses;
      std::memcpy(&addresses, client.address.bytes.data() + 12, 4);
      std::memcpy(reinterpret_cast<uint8_t*>(&addresses) + 4, server.address.bytes.data() + 12, 4);
      state.add(addresses);
    } else {
      std::array<uint64_t, 4> addresses;
      std::memcpy(&addresses[0], client.address.bytes.data(), 16);
      std::memcpy(&addresses[2], server.address.bytes.data(), 16);
      for (const uint64_t word : addresses) state.add(word);
    }
    state.add(uint64_t{client.port.raw} << 48 | uint64_t{server.port.raw} << 32 | client_isn);
    const auto told = static_cast<uint32_t>((period & 1) << kOptionBits | options);
    state.add(period << kOptionBits | options);
    const uint64_t hash = state.end();
    return {static_cast<uint32_t>(hash & 0xfffffe00) | told, static_cast<uint32_t>(hash >> 32)};
  }

  SipKey key_;
};

}  // namespace sluice
