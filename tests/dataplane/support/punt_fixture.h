// SPDX-License-Identifier: Apache-2.0
//
// Frames that are no mail, made by hand.
#pragma once

#include <algorithm>

#include "dataplane/worker/punt.h"
#include "tests/dataplane/support/icmp_frame.h"
#include "tests/dataplane/support/worker_fixture.h"

namespace sluice::testing {

using channel::Counter;

inline constexpr uint32_t kFront = WorkerBench::kFront, kBack = WorkerBench::kBack;
inline const Address kOwn = WorkerBench::own_front(), kOwnBack = WorkerBench::own_back();
inline const Address kOwn6 = address("2001:db8:25::1");
inline const Endpoint kFar = endpoint("203.0.113.9", 4321);
inline const MacAddress kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

inline Endpoint at(const Address& address, uint16_t port) {
  return {address, Be16::of(port)};
}

inline MacAddress mac_of(uint32_t port) {
  return port == kFront ? WorkerBench::front_mac() : WorkerBench::back_mac();
}

inline Bytes tcp(const Endpoint& from, const Endpoint& to, uint32_t port, uint8_t hops = 64) {
  return Frame().from(from).to(to).syn().seq(1).ttl(hops).to_mac(mac_of(port)).bytes();
}

/// The same of another protocol.
inline Bytes of_protocol(uint8_t protocol, const Endpoint& from, const Endpoint& to, uint32_t port, uint8_t hops = 64) {
  Bytes out = Frame().from(from).to(to).ack(1).payload("12345678").ttl(hops).to_mac(mac_of(port)).bytes();
  out[from.address.is_v4() ? 14 + 9 : 14 + 6] = protocol;
  return out;
}
inline Bytes udp(const Endpoint& from, const Endpoint& to, uint32_t port, uint8_t hops = 64) {
  return of_protocol(17, from, to, port, hops);
}

inline Bytes with_type(uint16_t type, const MacAddress& to = kBroadcast) {
  Bytes out(60, 0);
  std::copy(to.bytes.begin(), to.bytes.end(), out.begin());
  out[12] = static_cast<uint8_t>(type >> 8);
  out[13] = static_cast<uint8_t>(type);
  return out;
}

inline Bytes icmp(const Address& from, const Address& to, uint8_t type, uint32_t port, uint8_t hops = 64) {
  IcmpFrame out;
  out.source = from;
  out.destination = to;
  out.destination_mac = mac_of(port);
  out.type = type;
  out.ttl = hops;
  out.quoted = Bytes(40, 0);
  return out.bytes();
}

inline Bytes to_group(Bytes frame) {
  frame[0] |= 1;
  return frame;
}

class PuntTest : public WorkerTest {
 protected:
  void arrive(WorkerBench& bench, uint32_t port, const Bytes& frame) {
    (port == kFront ? bench.front() : bench.back()).arrive(frame);
  }
};

}  // namespace sluice::testing
