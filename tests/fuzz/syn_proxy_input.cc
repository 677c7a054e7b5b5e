// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>

#include "tests/dataplane/support/worker_fixture.h"
#include "tests/fuzz/inputs.h"

namespace sluice::testing {
namespace {

/// What an input's bytes stand for, one after the other; zeros when they are used up.
class Choices {
 public:
  explicit Choices(FuzzInput bytes) : rest_(bytes) {}

  bool is_over() const { return rest_.empty(); }
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const uint8_t out = rest_[0];
    rest_ = rest_.subspan(1);
    return out;
  }
  uint16_t word() { return static_cast<uint16_t>(byte() << 8 | byte()); }
  uint32_t number() { return uint32_t{word()} << 16 | word(); }
  Bytes some() {
    Bytes out(std::min<size_t>(byte() % 41, rest_.size()));
    std::generate(out.begin(), out.end(), [this] { return byte(); });
    return out;
  }

 private:
  FuzzInput rest_;
};

/// One client and what it, the balancer and the backend have said so far.
struct Connection {
  Endpoint client, vip, backend, client_at_backend;
  uint32_t isn = 0, server_isn = 0;
  std::optional<uint32_t> cookie;
  bool asked = false;

  void see_client(const ReadFrame& frame) {
    if (frame.source == vip && frame.destination == client && (frame.flags & 0x12) == 0x12) cookie = frame.seq;
  }
  void see_backend(const ReadFrame& frame) {
    if ((frame.flags & 0x12) != 0x02) return;
    asked = true;
    backend = frame.destination;
    client_at_backend = frame.source;
  }
};

class Play {
 public:
  explicit Play(Choices& choices) : choices_(choices), bench_(options_of(choices.byte())) { configure(choices.byte()); }

  void run() {
    while (!choices_.is_over()) {
      step(connections_[choices_.byte() % connections_.size()]);
      turn(0);
    }
    for (int i = 0; i < 4; i++) turn(3000);
  }

 private:
  static BenchOptions options_of(uint8_t choice) {
    BenchOptions out;
    out.flow_capacity = (choice & 1) != 0 ? 64 : 4096;
    out.workers = 1U + (choice >> 1 & 1);
    return out;
  }

  void configure(uint8_t choice) {
    channel::PutService message{};
    message.syn_proxy = (choice & 1) != 0 ? channel::SynProxy::kAuto : channel::SynProxy::kAlways;
    message.proxy = static_cast<channel::ProxyHeader>((choice >> 1 & 3) % 3);
    message.on_no_backend = static_cast<channel::OnNoBackend>((choice >> 3 & 3) % 3);
    if ((choice & 0x20) != 0) message.forwarding = channel::Forwarding::kFullnat;
    if ((choice & 0x40) != 0) message.mss = 1300;
    bench_.put_local(0, address("10.0.1.1"));
    bench_.put_local(1, address("fd00:1::1"));
    for (uint16_t id = 0; id < 2; id++) {
      bench_.put_backend(id, backend4(id));
      bench_.put_backend(static_cast<uint16_t>(id + 2), backend6(static_cast<uint16_t>(id + 2)));
    }
    bench_.put_service(0, kVip, {0, 1}, message);
    bench_.put_service(1, kVip6, {2, 3}, message);
    turn(0);
    connections_[0] = {.client = kClient, .vip = kVip, .backend = {}, .client_at_backend = {}};
    connections_[1] = {.client = kClient6, .vip = kVip6, .backend = {}, .client_at_backend = {}};
    connections_[2] = {.client = endpoint("198.51.100.8", 40000), .vip = kVip, .backend = {}, .client_at_backend = {}};
  }

  void turn(uint64_t wait_ms) {
    for (unsigned i = 0; i <= bench_.workers(); i++) {
      bench_.turn(i == 0 ? wait_ms : 0);
      for (const ReadFrame& frame : bench_.to_clients()) {
        for (Connection& connection : connections_) connection.see_client(frame);
      }
      for (const ReadFrame& frame : bench_.to_backends()) {
        for (Connection& connection : connections_) {
          if (frame.source.address.is_v4() == connection.client.address.is_v4()) connection.see_backend(frame);
        }
      }
    }
    bench_.expect_counter_law();
    bench_.punted();
  }

  Frame dress(Frame frame) {
    frame.tcp_options(choices_.some()).window(choices_.word());
    if ((choices_.byte() & 3) == 0) frame.payload(choices_.some());
    return frame;
  }
  Frame up(const Connection& c, uint32_t seq, uint32_t ack) const {
    return Frame().from(c.client).to(c.vip).seq(seq).ack(ack);
  }
  Frame down(const Connection& c, uint32_t seq, uint32_t ack) const {
    return Frame().from(c.backend).to(c.client_at_backend).seq(seq).ack(ack);
  }
  /// Mostly 0, else anything.
  uint32_t off() { return (choices_.byte() & 7) == 0 ? choices_.number() : 0; }

  void step(Connection& c) {
    switch (choices_.byte() % 10) {
      case 0:
        c.isn = choices_.number();
        return bench_.client_sends(dress(Frame().from(c.client).to(c.vip).syn().seq(c.isn)));
      case 1:
      case 2:
        return bench_.client_sends(dress(up(c, c.isn + 1 + off(), c.cookie.value_or(0) + 1 + off())));
      case 3:
        c.server_isn = choices_.number();
        [[fallthrough]];
      case 4:
        return bench_.backend_sends(dress(down(c, c.server_isn + off(), c.isn + 1 + off()).syn()));
      case 5:
        return bench_.backend_sends(dress(down(c, c.server_isn + 1 + off(), c.isn + 1 + off())));
      case 6:
        return bench_.backend_sends(down(c, off(), c.isn + 1 + off()).rst());
      case 7:
        return bench_.client_sends(up(c, c.isn + 1 + off(), c.cookie.value_or(0) + 1).rst());
      case 8: {
        const uint16_t id = choices_.byte() % 4;
        return bench_.put_backend(id, id < 2 ? backend4(id) : backend6(id), choices_.byte() & 15);
      }
      default:
        return turn(uint64_t{choices_.byte()} * 50);
    }
  }

  Choices& choices_;
  WorkerBench bench_;
  std::array<Connection, 3> connections_;
};

}  // namespace

void play_syn_proxy(FuzzInput bytes) {
  {
    Choices choices(bytes);
    Play(choices).run();
  }
  EXPECT_EQ(WorkerBench::buffers_in_use(), 0u);
}

}  // namespace sluice::testing
