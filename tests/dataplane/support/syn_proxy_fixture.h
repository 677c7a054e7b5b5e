// SPDX-License-Identifier: Apache-2.0
//
// Clients and servers of services whose SYNs are answered in the server's place.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "tests/dataplane/support/worker_fixture.h"

namespace sluice::testing {

inline std::string text(const ReadFrame& frame) {
  return {frame.payload.begin(), frame.payload.end()};
}

inline Bytes network_order(uint32_t value) {
  return {static_cast<uint8_t>(value >> 24), static_cast<uint8_t>(value >> 16), static_cast<uint8_t>(value >> 8),
          static_cast<uint8_t>(value)};
}

inline void append(Bytes& bytes, const Bytes& more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

/// What one side's SYN announces, in Linux' order.
struct TcpTraits {
  uint16_t mss = 1460;
  std::optional<uint8_t> scale = 7;
  bool sack = true;
  std::optional<uint32_t> clock = 1000;  // its timestamps begin there

  Bytes syn_options(uint32_t echo) const {
    Bytes out{2, 4, static_cast<uint8_t>(mss >> 8), static_cast<uint8_t>(mss)};
    if (sack && !clock) append(out, {1, 1, 4, 2});
    if (clock) append(out, stamp(*clock, echo));
    if (sack && clock) std::copy_n(Bytes{4, 2}.begin(), 2, out.begin() + 4);
    if (scale) append(out, {1, 3, 3, *scale});
    return out;
  }
  static Bytes stamp(uint32_t value, uint32_t echo) {
    Bytes out{1, 1, 8, 10};
    append(out, network_order(value));
    append(out, network_order(echo));
    return out;
  }
};

inline uint32_t word_at(const Bytes& bytes, size_t at) {
  return uint32_t{bytes.at(at)} << 24 | uint32_t{bytes.at(at + 1)} << 16 | uint32_t{bytes.at(at + 2)} << 8 |
         bytes.at(at + 3);
}

/// Where an option begins; none if it is not there.
inline std::optional<size_t> find_option(const Bytes& options, uint8_t kind) {
  for (size_t at = 0; at < options.size() && options[at] != 0; at += options[at] == 1 ? 1 : options.at(at + 1)) {
    if (options[at] == kind) return at;
  }
  return std::nullopt;
}

struct Stamp {
  uint32_t value, echo;
  friend bool operator==(const Stamp&, const Stamp&) = default;
};
inline std::optional<Stamp> stamp_of(const ReadFrame& frame) {
  const auto at = find_option(frame.tcp_options, 8);
  if (!at) return std::nullopt;
  return Stamp{word_at(frame.tcp_options, *at + 2), word_at(frame.tcp_options, *at + 6)};
}

/// Services 0 (IPv4) over backends 0 and 1, and 1 (IPv6) over 3 and 4, all of whose SYNs we answer.
class SynProxyTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kIsn = 0xffff'fff0;
  static constexpr uint32_t kServerIsn = 0x1234'5678;
  static constexpr uint32_t kServerClock = 77'000;

  explicit SynProxyTest(const BenchOptions& options = {}) : bench_(options) {}

  void SetUp() override { configure({}); }
  void TearDown() override { bench_.expect_counter_law(); }

  void configure(channel::PutService message, channel::SynProxy syn_proxy = channel::SynProxy::kAlways) {
    message.syn_proxy = syn_proxy;
    if (message.forwarding == channel::Forwarding::kFullnat) {
      bench_.put_local(0, address("10.0.1.1"));
      bench_.put_local(1, address("fd00:1::1"));
    }
    for (uint16_t id = 0; id < 2; id++) {
      bench_.put_backend(id, backend4(id));
      bench_.put_backend(static_cast<uint16_t>(id + 3), backend6(static_cast<uint16_t>(id + 3)));
    }
    bench_.put_service(0, kVip, {0, 1}, message);
    bench_.put_service(1, kVip6, {3, 4}, message);
    turns();
    ASSERT_EQ(bench_.counter(channel::Counter::kCommandsRejected), 0u);
  }

  void turns(uint64_t advance_ms = 0) {
    bench_.turn(advance_ms);
    bench_.turns(2);  // what other workers have to do with it
  }

  struct Came {
    std::vector<ReadFrame> to_clients, to_backends;
  };
  Came after_turns(uint64_t advance_ms = 0) {
    turns(advance_ms);
    return {bench_.to_clients(), bench_.to_backends()};
  }
  Came client(const Frame& frame) {
    bench_.client_sends(frame);
    return after_turns();
  }
  Came backend(const Frame& frame) {
    bench_.backend_sends(frame);
    return after_turns();
  }

  static Frame from(const Endpoint& who, const Endpoint& vip = kVip) { return Frame().from(who).to(vip); }

  /// A session's two ends, as each knows it.
  struct Session {
    Endpoint client, vip, backend, client_at_backend;
    uint32_t cookie = 0;  // our first number to the client
    Stamp cookie_stamp{};
    uint32_t shift() const { return cookie - kServerIsn; }
    uint32_t clock_shift() const { return cookie_stamp.value - kServerClock; }
    Frame up(uint32_t seq, uint32_t ack) const { return Frame().from(client).to(vip).seq(seq).ack(ack); }
    Frame down(uint32_t seq, uint32_t ack) const {
      return Frame().from(backend).to(client_at_backend).seq(seq).ack(ack);
    }
  };

  /// The client's SYN. Nothing of it is to be kept.
  std::optional<ReadFrame> syn(const Endpoint& who = kClient, const Endpoint& vip = kVip,
                               const TcpTraits& traits = {}) {
    const size_t flows = bench_.worker().flows().size();
    const Came came = client(from(who, vip).syn().seq(kIsn).tcp_options(traits.syn_options(0)));
    EXPECT_TRUE(came.to_backends.empty());
    EXPECT_LE(bench_.worker().flows().size(), flows) << "one that is over may go";
    EXPECT_EQ(came.to_clients.size(), 1u);
    return came.to_clients.size() == 1 ? std::optional(came.to_clients[0]) : std::nullopt;
  }

  /// The client's ACK: the SYN that some backend gets for it.
  std::optional<ReadFrame> ack(Session& session, const TcpTraits& traits = {}) {
    const auto answer = syn(session.client, session.vip, traits);
    if (!answer) return std::nullopt;
    session.cookie = answer->seq;
    session.cookie_stamp = stamp_of(*answer).value_or(Stamp{});
    Frame frame = session.up(kIsn + 1, session.cookie + 1).window(502);
    if (traits.clock) frame.tcp_options(TcpTraits::stamp(*traits.clock + 5, session.cookie_stamp.value));
    const Came came = client(frame);
    EXPECT_TRUE(came.to_clients.empty());
    EXPECT_EQ(came.to_backends.size(), 1u);
    if (came.to_backends.size() != 1) return std::nullopt;
    session.backend = came.to_backends[0].destination;
    session.client_at_backend = came.to_backends[0].source;
    return came.to_backends[0];
  }

  /// The backend's SYN-ACK, and what comes of it.
  Came syn_ack(const Session& session, const TcpTraits& traits = {.clock = kServerClock}) {
    return backend(session.down(kServerIsn, kIsn + 1).syn().window(64240).tcp_options(traits.syn_options(1005)));
  }

  /// All three.
  Session open(const Endpoint& who = kClient, const Endpoint& vip = kVip, const TcpTraits& client_traits = {},
               const TcpTraits& server_traits = {.clock = kServerClock}) {
    Session session{.client = who, .vip = vip, .backend = {}, .client_at_backend = {}};
    EXPECT_TRUE(ack(session, client_traits));
    const Came came = syn_ack(session, server_traits);
    EXPECT_EQ(came.to_clients.size(), 1u);
    EXPECT_EQ(came.to_backends.size(), 1u);
    return session;
  }

  uint64_t count(channel::Counter counter) const { return bench_.counter(counter); }

  WorkerBench bench_;
};

}  // namespace sluice::testing
