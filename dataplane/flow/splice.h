// SPDX-License-Identifier: Apache-2.0
//
// How two halves of one connection differ whose handshakes were two: the client's with us, and ours with the backend.
// Beside each flow in flow memory, and of meaning only where `Flow::spliced` is set. The client's numbers go to the
// backend as they are (but for a PROXY header). The backend's own numbers and timestamps are not those that we promised
// the client, and differ from them by what stays the same for the connection's whole life. Everywhere but on the
// backend's wire, numbers are those that the client counts. Any bits are good ones: a successor of this process may
// find damaged ones.
#pragma once

#include <cstdint>

#include "dataplane/packet/renumber.h"
#include "dataplane/packet/window_scale.h"

namespace sluice {

struct Splice {
  static constexpr uint8_t kNoScale = 15;
  /// Of our windows, whatever the backend's is: the most common one.
  static constexpr uint8_t kOurScale = 7;
  static constexpr uint32_t kNotPending = 0x1ffff;

  // Until the backend has answered, what we promised; from then on, how much further the client counts.
  uint32_t sequence;          // our first number; then of the backend's stream
  uint32_t timestamp;         // likewise of timestamps (RFC 7323)
  uint32_t client_timestamp;  // value in the client's ACK, network order
  uint32_t pending : 17;      // place in the queue of those that wait for the backend, which dies with the process
  uint32_t client_scale : 4;  // of windows (RFC 7323 section 2.2); kNoScale for none, then none of ours either
  uint32_t server_scale : 4;
  uint32_t mss_class : 3;  // of CookieOptions
  uint32_t sack : 1;
  uint32_t timestamps : 1;
  uint32_t moved : 1;  // another backend was asked before

  bool is_scaled() const noexcept { return scale(client_scale) != kNoScale; }
  bool is_server_scaled() const noexcept { return scale(server_scale) != kNoScale; }

  /// How a segment of the backend is to be changed for the client.
  Renumbering to_client() const noexcept {
    const int ours = is_scaled() ? kOurScale : 0;
    return {.sequence = sequence,
            .timestamp = timestamps != 0 ? timestamp : 0,
            .window = static_cast<int8_t>((is_server_scaled() ? static_cast<int>(server_scale) : 0) - ours)};
  }
  /// And one of the client for the backend. A backend that scales no windows takes the client's as they are.
  Renumbering to_backend() const noexcept {
    const bool as_they_are = is_server_scaled() || !is_scaled();
    return {.acknowledgement = 0 - sequence,
            .echo = timestamps != 0 ? 0 - timestamp : 0,
            .window = as_they_are ? int8_t{0} : static_cast<int8_t>(client_scale)};
  }

 private:
  static constexpr uint32_t scale(uint32_t value) noexcept { return value > kLargestWindowScale ? kNoScale : value; }
};

static_assert(sizeof(Splice) == 16);

}  // namespace sluice
