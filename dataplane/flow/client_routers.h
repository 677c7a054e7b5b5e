// SPDX-License-Identifier: Apache-2.0
//
// The routers through which clients are reached, as new flows tell: the way to a client of whom nothing is known yet.
// Shared by all workers, as a session may be adopted by one that has heard of no client so far. Any thread may call
// either function; the last to tell is believed.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "dataplane/flow/return_paths.h"

namespace sluice {

class ClientRouters {
 public:
  /// A packet from a client came this way. Writes only what has changed: workers read the same line.
  void heard(bool v4, const ReturnPath& path) noexcept {
    std::atomic<uint64_t>& last = last_[v4 ? 0 : 1];
    const uint64_t word = to_word(path);
    if (last.load(std::memory_order_relaxed) != word) last.store(word, std::memory_order_relaxed);
  }

  /// What was behind a port at one address is at another now.
  void moved(uint8_t port, const MacAddress& from, const MacAddress& to) noexcept {
    for (const bool v4 : {true, false}) {
      const std::optional<ReturnPath> path = towards(v4);
      if (path && path->port == port && path->mac == from) heard(v4, {to, path->vlan, port});
    }
  }

  /// The way on which others of the family were last heard from; nothing if none was.
  std::optional<ReturnPath> towards(bool v4) const noexcept {
    const uint64_t word = last_[v4 ? 0 : 1].load(std::memory_order_relaxed);
    if (word == 0) return std::nullopt;
    return to_path(word);
  }

 private:
  // Bits: 48 of the MAC, 12 of the VLAN, 4 of the port. No station has the MAC 0, so that no path is 0.
  static uint64_t to_word(const ReturnPath& path) noexcept {
    uint64_t word = 0;
    for (const uint8_t byte : path.mac.bytes) word = word << 8 | byte;
    return word << 16 | uint64_t{path.vlan} << 4 | path.port;
  }
  static ReturnPath to_path(uint64_t word) noexcept {
    ReturnPath out{.vlan = static_cast<uint16_t>(word >> 4 & 0xfff), .port = static_cast<uint8_t>(word & 0xf)};
    word >>= 16;
    for (size_t i = out.mac.bytes.size(); i-- > 0; word >>= 8) out.mac.bytes[i] = static_cast<uint8_t>(word);
    return out;
  }

  alignas(64) std::array<std::atomic<uint64_t>, 2> last_{};  // by family
};

}  // namespace sluice
