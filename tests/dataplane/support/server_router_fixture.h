// SPDX-License-Identifier: Apache-2.0
//
// A worker that has routes for what mail servers say and hear for themselves.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "tests/dataplane/support/punt_fixture.h"

namespace sluice::testing {

inline const MacAddress kRouter = mac(0xd1), kRouter6 = mac(0xd6), kServer = mac(0xb0), kServer6 = mac(0xb3);
inline const Endpoint kFar6 = endpoint("2001:db8:ffff::9", 53);
inline const Endpoint kServerOwn = at(backend4(0).address, 33333), kServerOwn6 = at(backend6(3).address, 33333);

/// Its protocol is another now: so is the sum of its IPv4 header.
inline Bytes right(Bytes frame) {
  if (frame[12] != 0x08 || frame[13] != 0) return frame;
  frame[14 + 10] = frame[14 + 11] = 0;
  uint32_t sum = 0;
  for (size_t i = 14; i < 34; i += 2) sum += static_cast<uint32_t>(frame[i] << 8 | frame[i + 1]);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  frame[14 + 10] = static_cast<uint8_t>(~sum >> 8);
  frame[14 + 11] = static_cast<uint8_t>(~sum);
  return frame;
}
inline Bytes sound_udp(const Endpoint& from, const Endpoint& to, uint32_t port, uint8_t hops = 64) {
  return right(udp(from, to, port, hops));
}

/// The world behind a router at the front, two mail servers and a host of no service at the back.
inline void put_routes(WorkerBench& bench) {
  const auto next = [](const char* text) { return address(text); };
  bench.put_server_routes(
      {{next("0.0.0.0"), 1},
       {next("10.0.1.0"), 0},
       {next("10.0.1.10"), 2},
       {next("10.0.1.11"), 0},
       {next("10.0.1.77"), 2},
       {next("10.0.1.78"), 0},
       {next("10.0.2.0"), 1}},
      {{next("2000::"), 3}, {next("4000::"), 0}, {next("fd00:1::13"), 4}, {next("fd00:1::14"), 0}},
      {{kRouter, 0, kFront, {}}, {kServer, 0, kBack, {}}, {kRouter6, 0, kFront, {}}, {kServer6, 0, kBack, {}}});
}

inline void put_backends(WorkerBench& bench) {
  for (uint16_t id = 0; id < 3; id++) bench.put_backend(id, backend4(id));
  for (uint16_t id = 3; id < 6; id++) bench.put_backend(id, backend6(id));
  bench.put_service(0, kVip, {0, 1, 2});
  bench.put_service(1, kVip6, {3, 4, 5});
}

class ServerRouterTest : public PuntTest {
 protected:
  void SetUp() override {
    PuntTest::SetUp();
    put_routes(bench_);
    bench_.turn();
  }

  /// What leaves by a port for a frame that arrives at another.
  std::vector<Bytes> routed(WorkerBench& bench, uint32_t in, const Bytes& frame, uint32_t out) {
    arrive(bench, in, frame);
    bench.turn(10);
    return (out == kFront ? bench.front() : bench.back()).take();
  }
  void expect_kernels(WorkerBench& bench, uint32_t in, const Bytes& frame) {
    arrive(bench, in, frame);
    bench.turn(10);
    EXPECT_EQ(bench.punted(), std::vector<Bytes>{frame});
    EXPECT_TRUE(bench.front().take().empty());
    EXPECT_TRUE(bench.back().take().empty());
    EXPECT_EQ(bench.counter(Counter::kRoutedOut) + bench.counter(Counter::kRoutedIn), 0u);
  }
};

}  // namespace sluice::testing
