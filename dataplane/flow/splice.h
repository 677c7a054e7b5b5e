// SPDX-License-Identifier: Apache-2.0
//
// How two halves of one connection differ whose handshakes were two: the client's with us, and ours with the backend.
// Beside each flow in flow memory, and of meaning only where `Flow::spliced` is set. The client's numbers go to the
// backend as they are (but for a PROXY header). The backend's own numbers and timestamps are not those that we promised
// the client, and differ from them by what stays the same for the connection's whole life. Everywhere but on the
// backend's wire, numbers are those that the client counts. Any bits are good ones: a successor of this process may
// find damaged ones.
#pragma once

#include <algorithm>
#include <cstdint>

#include "dataplane/packet/renumber.h"
#include "dataplane/packet/window_scale.h"

namespace sluice {

struct Splice {
  static constexpr uint8_t kNoScale = 15;

  // Until the backend has answered, what we promised; from then on, how much further the client counts.
  uint32_t sequence;   // our first number; then of the backend's stream
  uint32_t timestamp;  // likewise of timestamps (RFC 7323)
  uint32_t client_timestamp;  // value in the client's ACK
  uint32_t pending;           // place in the queue of those that wait for the backend, which dies with the process
  uint16_t mss;               // that the client announced, rounded down
  uint16_t window;            // of the client's ACK, in bytes, at most 65535
  uint8_t client_scale;       // window scales (RFC 7323 section 2.2): kNoScale for none
  uint8_t our_scale;
  uint8_t server_scale;
  bool sack : 1;
  bool timestamps : 1;
  bool moved : 1;  // another backend was asked before
  uint32_t reserved[2];

  /// How a segment of the backend is to be changed for the client.
  Renumbering to_client() const noexcept {
    return {.sequence = sequence, .timestamp = timestamps ? timestamp : 0, .window = shift(server_scale, our_scale)};
  }
  /// And one of the client for the backend. A backend that scales no windows takes the client's as they are.
  Renumbering to_backend() const noexcept {
    const bool scaled = scale(server_scale) != kNoScale;
    return {.acknowledgement = 0 - sequence,
            .echo = timestamps ? 0 - timestamp : 0,
            .window = scaled ? int8_t{0} : shift(client_scale, kNoScale)};
  }

 private:
  static constexpr uint8_t scale(uint8_t value) noexcept { return value > kLargestWindowScale ? kNoScale : value; }
  /// From windows counted by one scale to windows counted by another.
  static constexpr int8_t shift(uint8_t from, uint8_t to) noexcept {
    const auto bits = [](uint8_t value) { return scale(value) == kNoScale ? 0 : int{value}; };
    return static_cast<int8_t>(bits(from) - bits(to));
  }
};

static_assert(sizeof(Splice) == 32);

}  // namespace sluice
