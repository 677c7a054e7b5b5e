// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "tests/dataplane/support/tunnel_frame.h"
#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {

inline const Address kLocal4 = address("10.0.1.1"), kLocal6 = address("fd00:1::1");
inline const Endpoint kBackend4 = endpoint("10.0.1.10", 25), kBackend6 = endpoint("fd00:1::10", 25);
inline const Endpoint kVip4 = endpoint("192.0.2.25", 25), kVip6 = endpoint("2001:db8:25::25", 25);
inline const Endpoint kClient4 = endpoint("198.51.100.7", 40000), kClient6 = endpoint("2001:db8:1::7", 40000);

/// A mode, the family of what goes through it, and that of the backend's address.
struct Mode {
  const char* name;
  channel::Forwarding forwarding;
  bool inner_v6, outer_v6;
  uint32_t overhead;

  Endpoint client() const { return inner_v6 ? kClient6 : kClient4; }
  Endpoint vip() const { return inner_v6 ? kVip6 : kVip4; }
  Endpoint backend() const { return outer_v6 ? kBackend6 : kBackend4; }
  Address local() const { return outer_v6 ? kLocal6 : kLocal4; }
  uint32_t header_bytes() const { return inner_v6 ? 40 : 20; }
};

inline const Mode kModes[]{
    {"dsr, IPv4", channel::Forwarding::kDsr, false, false, 0},
    {"dsr, IPv6", channel::Forwarding::kDsr, true, true, 0},
    {"dsr, IPv6 to a backend with an IPv4 address", channel::Forwarding::kDsr, true, false, 0},
    {"ipip, IPv4 in IPv4", channel::Forwarding::kIpip, false, false, 20},
    {"ipip, IPv6 in IPv4", channel::Forwarding::kIpip, true, false, 20},
    {"ipip, IPv4 in IPv6", channel::Forwarding::kIpip, false, true, 40},
    {"ipip, IPv6 in IPv6", channel::Forwarding::kIpip, true, true, 40},
    {"gue, IPv4 in IPv4", channel::Forwarding::kGue, false, false, 28},
    {"gue, IPv6 in IPv4", channel::Forwarding::kGue, true, false, 28},
    {"gue, IPv4 in IPv6", channel::Forwarding::kGue, false, true, 48},
    {"gue, IPv6 in IPv6", channel::Forwarding::kGue, true, true, 48},
};

/// A bench with one service in a mode, over backend 0.
struct OneWayBench : WorkerBench {
  explicit OneWayBench(const Mode& of, const BenchOptions& options = {}, uint16_t vlan = 0)
      : WorkerBench(options), mode(of) {
    put_local(0, kLocal4);
    put_local(1, kLocal6);
    put_backend(0, mode.backend(), channel::kBackendReachable, 1, vlan);
    put_service();
    turn();
    EXPECT_EQ(counter(channel::Counter::kCommandsRejected), 0u);
  }
  void put_service(uint16_t mss = 0) {
    channel::PutService service{};
    service.forwarding = mode.forwarding;
    service.mss = mss;
    WorkerBench::put_service(0, mode.vip(), {0}, service);
  }

  Frame client_frame() const { return Frame().from(mode.client()).to(mode.vip()); }

  /// What came out for the backend, outer headers checked and taken off. nullopt unless it was one frame.
  std::optional<Bytes> take_at_backend() {
    const auto frames = back().take();
    if (frames.size() != 1) return std::nullopt;
    if (mode.forwarding == channel::Forwarding::kDsr) {
      MacAddress to;
      std::copy_n(frames[0].begin(), 6, to.bytes.begin());
      EXPECT_EQ(to, backend_mac(0));
      return frames[0];
    }
    outer = unwrap(frames[0]);
    EXPECT_TRUE(outer.has_value()) << "not tunnelled, or a wrong checksum";
    if (!outer) return std::nullopt;
    EXPECT_EQ(outer->destination_mac, backend_mac(0));
    EXPECT_EQ(outer->source, mode.local());
    EXPECT_EQ(outer->destination, mode.backend().address);
    EXPECT_FALSE(outer->may_fragment);
    if (mode.forwarding == channel::Forwarding::kGue) {
      EXPECT_EQ(outer->protocol, 17);
      EXPECT_EQ(outer->destination_port, 6080);
      EXPECT_GE(outer->source_port, 0xc000);
    }
    return outer->inner;
  }
  std::optional<Bytes> pass(const Bytes& frame) {
    front().arrive(frame);
    turn();
    return take_at_backend();
  }
  std::optional<ReadFrame> pass(const Frame& frame) {
    const auto inner = pass(Frame(frame).to_mac(front_mac()).bytes());
    return inner ? read(*inner) : std::nullopt;
  }
  /// The client's half of a handshake.
  bool open(uint32_t client_isn = 1000, uint32_t server_isn = 5000) {
    return pass(client_frame().syn().seq(client_isn)).has_value() &&
           pass(client_frame().seq(client_isn + 1).ack(server_isn + 1)).has_value();
  }
  /// A client's half of a connection up to where it is believed in.
  void converse(const Endpoint& client) {
    const auto send = [&](const Frame& frame) {
      client_sends(Frame(frame).from(client).to(mode.vip()));
      turn();
      back().take();
    };
    send(Frame().syn().seq(1000));
    send(Frame().seq(1001).ack(5001));
    send(Frame().seq(1001).ack(5031).psh().payload("EHLO x\r\n"));
    send(Frame().seq(1009).ack(5101));
  }
  /// So many such connections, of the client's ports from 1000 on.
  void fill(uint16_t connections) {
    for (uint16_t i = 0; i < connections; i++) {
      Endpoint client = mode.client();
      client.port = Be16::of(static_cast<uint16_t>(1000 + i));
      converse(client);
    }
    ASSERT_EQ(counter(channel::Counter::kFlowsEstablishedNow), connections);
  }

  Mode mode;
  std::optional<Unwrapped> outer;  // of what was last taken
};

}  // namespace sluice::testing
