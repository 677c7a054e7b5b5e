// SPDX-License-Identifier: Apache-2.0
//
// A tracker between two ends over a network that loses, repeats and reorders on both sides of it. What it knows is
// never ahead of what both ends have done, nor does it let go of a connection that they keep; and when the network is
// quiet for a moment it knows all.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <random>
#include <string>

#include "dataplane/worker/tcp_tracker.h"
#include "tests/dataplane/support/parts_fixture.h"
#include "tests/dataplane/support/tcp_end.h"
#include "tests/support/seed.h"

namespace sluice::testing {
namespace {

struct Network {
  uint32_t loss, repeat, reorder;  // of 256
};

class TcpModelTest : public FlowPartsTest {
 protected:
  struct Setting {
    uint8_t scale;
    Network network;
    uint8_t proxy_bytes = 0;
    bool sees_server = true;
  };

  void begin(const Setting& setting, unsigned seed) {
    random_.seed(seed);
    setting_ = setting;
    const auto client_isn = 0U - static_cast<uint32_t>(random_() % 20'000);  // wraps soon
    const auto server_isn = static_cast<uint32_t>(random_());
    const uint64_t window = uint64_t{0xffff} << setting.scale;
    client_.emplace(client_isn, server_isn, random_() % 200'000, window);
    server_.emplace(server_isn, client_isn, random_() % 200'000, window);
    index_ = begin_flow(*lifecycle_);
    lifecycle_->set_state(flow(), TcpState::kEstablished);
    flow().client_next = client_->next();
    flow().server_next = server_->next();
    flow().proxy_bytes = setting.proxy_bytes;
    if (setting.sees_server) flow().set_window_scale(setting.scale);
    for (auto& way : ways_) way.clear();
  }

  /// An end does something, or a segment gets a step further.
  void step(bool closing) {
    const uint32_t what = random_() % 10;
    if (what < 4) {
      act(what % 2 == 0, closing);
    } else {
      pass_on(what % 4, setting_.network);
    }
  }

  /// Nothing is lost any more, and all that is under way arrives.
  void settle(bool closing) {
    for (int round = 0; round < 3000; round++) {
      client_->set_window(255);
      server_->set_window(255);
      for (const bool is_client : {true, false}) {
        TcpEnd& end = end_of(is_client);
        if (end.has_unacknowledged()) send(is_client, end.say_again(30'000));
        if (end.has_more()) send(is_client, end.say(30'000));
        if (closing && !end.has_more() && !end.has_closed()) send(is_client, end.close());
        send(is_client, end.acknowledge());
      }
      deliver_all();
      const bool settled =
          closing ? client_->is_done() && server_->is_done() : client_->has_said_all() && server_->has_said_all();
      if (settled) return;
    }
    FAIL() << "the ends do not come to an end";
  }

  /// An end gives the connection up.
  void abort(bool is_client) { send(is_client, end_of(is_client).abort()); }

  /// Nothing is lost any more, until both ends know that it is over.
  void settle_abort() {
    for (int round = 0; round < 100; round++) {
      for (const bool is_client : {true, false}) {
        TcpEnd& end = end_of(is_client);
        if (!end.is_gone()) send(is_client, end.acknowledge());
        if (end.owes_reset()) send(is_client, end.refuse());
      }
      deliver_all();
      if (client_->is_gone() && server_->is_gone()) return;
    }
    FAIL() << "an end does not hear of it";
  }

  /// Somebody who sees nothing sends resets to both ends: within the window or far beyond it, but not at the number
  /// that is waited for. They arrive at once.
  void forge_resets() {
    for (const bool is_client : {true, false}) {
      TcpEnd& receiver = end_of(!is_client);
      const uint32_t beyond = random_() % 4 == 0 ? 1U << 31 : 1 + static_cast<uint32_t>(random_() % 60'000);
      const TcpSegment forged{kTcpRst, receiver.expects() + beyond, 0, 0, 0};
      if (forged.sequence == (is_client ? flow().client_next : flow().server_next)) continue;
      see(is_client, forged);
      receiver.receive(forged);
    }
  }

  Flow& flow() { return flows_[index_]; }
  void end() {
    lifecycle_->forget(index_);
    pass(1);
  }

  std::optional<TcpEnd> client_, server_;
  std::mt19937 random_;

 private:
  // Client to tracker, tracker to server, server to tracker, tracker to client.
  static constexpr uint32_t kFromClient = 0, kToServer = 1, kFromServer = 2, kToClient = 3;

  bool happens(uint32_t of_256) { return random_() % 256 < of_256; }
  void send(bool is_client, const TcpSegment& segment) {
    ways_[is_client ? kFromClient : kFromServer].push_back(segment);
  }

  TcpEnd& end_of(bool is_client) { return is_client ? *client_ : *server_; }
  void deliver_all() {
    while (!std::ranges::all_of(ways_, &std::deque<TcpSegment>::empty)) {
      for (uint32_t way = 0; way < 4; way++) pass_on(way, {});
    }
  }

  void act(bool is_client, bool closing) {
    TcpEnd& end = end_of(is_client);
    if (end.is_gone()) {
      if (end.owes_reset()) send(is_client, end.refuse());
      return;
    }
    const auto bytes = static_cast<uint16_t>(1 + random_() % 1460);
    switch (random_() % 8) {
      case 0:
        if (end.has_unacknowledged()) send(is_client, end.say_again(bytes));
        break;
      case 1:
        if (!end.has_unacknowledged()) send(is_client, end.keep_alive());
        break;
      case 2:
        end.set_window(random_() % 4 == 0 ? 0 : random_() % 256);
        [[fallthrough]];
      case 3:
        if (end.owes_ack()) send(is_client, end.acknowledge());
        break;
      default:
        if (end.has_more()) {
          send(is_client, end.say(bytes));
        } else if (closing && !end.has_closed()) {
          send(is_client, end.close());
        }
    }
  }

  void pass_on(uint32_t way, const Network& network) {
    auto& from = ways_[way];
    if (from.empty()) return;
    const size_t at = happens(network.reorder) ? random_() % std::min<size_t>(from.size(), 5) : 0;
    const TcpSegment segment = from[at];
    if (!happens(network.repeat)) from.erase(from.begin() + static_cast<ptrdiff_t>(at));
    if (happens(network.loss)) return;
    if (way == kToServer) return server_->receive(segment);
    if (way == kToClient) return client_->receive(segment);
    see(way == kFromClient, segment);
    ways_[way + 1].push_back(segment);
  }

  void see(bool from_client, const TcpSegment& segment) {
    Packet packet{};
    packet.tcp_flags = segment.flags;
    packet.sequence = segment.sequence;
    packet.ack = segment.ack;
    packet.payload_bytes = segment.payload;
    if (!from_client && !setting_.sees_server) return;
    if (!from_client) {
      packet.ack += setting_.proxy_bytes;  // as it counts
      tracker_.server_segment(flow(), packet, plain_);
    } else if (setting_.sees_server) {
      tracker_.client_segment(flow(), packet, plain_);
    } else {
      tracker_.lone_client_segment(flow(), packet);
    }
    expect_not_ahead();
  }

  void expect_not_ahead() {
    ASSERT_FALSE(sequence_before(client_->next(), flow().client_next));
    ASSERT_FALSE(sequence_before(server_->next(), flow().server_next));
    switch (flow().state) {
      case TcpState::kEstablished:
        return;
      case TcpState::kClientFin:
        ASSERT_TRUE(client_->has_closed());
        return;
      case TcpState::kServerFin:
        ASSERT_TRUE(server_->has_closed());
        return;
      case TcpState::kClosed:
        ASSERT_TRUE(client_->has_closed() && (server_->has_closed() || !setting_.sees_server));
        return;
      case TcpState::kReset:
        ASSERT_TRUE(client_->is_gone() || server_->is_gone());
        return;
      default:
        FAIL() << "state " << static_cast<int>(flow().state);
    }
  }

  Setting setting_{};
  TcpTracker tracker_{context_, *lifecycle_};
  rte_mbuf plain_{};
  FlowIndex index_ = 0;
  std::array<std::deque<TcpSegment>, 4> ways_;
};

TEST_F(TcpModelTest, TrackerIsNeverAheadAndKnowsAllWhenItIsQuiet) {
  const unsigned first = static_cast<unsigned>(test_seed()) * 1000U;
  for (const Network& network : {Network{0, 0, 0}, Network{20, 20, 60}, Network{80, 40, 128}}) {
    for (const uint8_t scale : {0, 2, 7, 14}) {
      for (const uint8_t proxy_bytes : {0, 28}) {
        for (unsigned seed = first; seed < first + 40; seed++) {
          SCOPED_TRACE("loss " + std::to_string(network.loss) + ", scale " + std::to_string(scale) + ", PROXY " +
                       std::to_string(proxy_bytes) + ", seed " + std::to_string(seed));
          begin({scale, network, proxy_bytes}, seed);
          for (int i = 0; i < 600; i++) step(false);
          settle(false);
          ASSERT_EQ(flow().state, TcpState::kEstablished);
          ASSERT_EQ(flow().client_next, client_->next());
          ASSERT_EQ(flow().server_next, server_->next());
          ASSERT_EQ(flow().deadline_ms, clock_.deadline_ms(TcpState::kEstablished));
          for (int i = 0; i < 40; i++) step(true);
          settle(true);
          ASSERT_EQ(flow().state, TcpState::kClosed);
          end();
          if (HasFailure()) return;
        }
      }
    }
  }
}

TEST_F(TcpModelTest, TrackerBelievesResetsOfTheEndsAndOfNobodyElse) {
  const unsigned first = static_cast<unsigned>(test_seed()) * 1000U;
  for (const Network& network : {Network{0, 0, 0}, Network{0, 40, 128}, Network{20, 20, 60}, Network{80, 40, 128}}) {
    for (const bool sees_server : {true, false}) {
      for (const uint8_t proxy_bytes : {0, 28}) {
        for (unsigned seed = first; seed < first + 60; seed++) {
          SCOPED_TRACE("loss " + std::to_string(network.loss) + ", reorder " + std::to_string(network.reorder) +
                       ", PROXY " + std::to_string(proxy_bytes) + (sees_server ? "" : ", one way") + ", seed " +
                       std::to_string(seed));
          if (!sees_server && proxy_bytes != 0) continue;
          begin({static_cast<uint8_t>(seed % 8), network, proxy_bytes, sees_server}, seed);
          for (int i = 0; i < 300; i++) {
            step(false);
            forge_resets();
          }
          ASSERT_FALSE(client_->is_gone() || server_->is_gone());
          ASSERT_EQ(flow().state, TcpState::kEstablished);
          const bool closing = seed % 2 == 0, by_client = seed % 4 < 2;
          for (int i = 0; i < 40; i++) step(closing);
          abort(by_client);
          for (int i = 0; i < 100; i++) step(closing);
          settle_abort();
          // What was lost or overtaken on one side of the tracker makes it wait for another number than the receiver.
          const bool must_know = network.loss == 0 && network.reorder == 0 && (sees_server || by_client);
          if (must_know) {
            ASSERT_TRUE(is_over(flow().state)) << static_cast<int>(flow().state);
          }
          end();
          if (HasFailure()) return;
        }
      }
    }
  }
}

TEST_F(TcpModelTest, OneWayTrackerIsNeverAheadAndSeesTheEnd) {
  const unsigned first = static_cast<unsigned>(test_seed()) * 1000U;
  for (const Network& network : {Network{0, 0, 0}, Network{20, 20, 60}, Network{80, 40, 128}}) {
    for (unsigned seed = first; seed < first + 100; seed++) {
      SCOPED_TRACE("loss " + std::to_string(network.loss) + ", seed " + std::to_string(seed));
      begin({7, network, 0, false}, seed);
      for (int i = 0; i < 600; i++) step(false);
      settle(false);
      ASSERT_EQ(flow().state, TcpState::kEstablished);
      ASSERT_EQ(flow().client_next, client_->next());
      for (int i = 0; i < 40; i++) step(true);
      settle(true);
      ASSERT_EQ(flow().state, TcpState::kClosed);
      end();
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace sluice::testing
