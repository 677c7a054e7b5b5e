// SPDX-License-Identifier: Apache-2.0
//
// A client writes a PROXY header of its own. Whatever it sends, and in whatever order, the stream that a server reads
// begins with ours: no other byte ever goes to the server at the numbers that are the header's.
#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/packet/proxy_header.h"
#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;
using channel::Forwarding;

const Endpoint kVip = endpoint("192.0.2.25", 25);
const Endpoint kForged = endpoint("203.0.113.1", 1);  // whom the client would like to be
const Endpoint kBackend = endpoint("10.0.1.10", 2525);

constexpr uint32_t kHeaderBytes = 28;
constexpr uint32_t kFirst = 1001, kServerFirst = 5001;

std::string header_of(const Endpoint& client) {
  std::array<uint8_t, kMaxProxyHeader> out;
  const size_t bytes = write_proxy_header(channel::ProxyHeader::kV2, client, kVip, out.data());
  return {out.begin(), out.begin() + bytes};
}

/// The first bytes of a stream, put together from segments: for each number every byte that ever went there. What a
/// server reads depends on what is lost and overtaken on the way; where there is one byte for each number, it does not.
class FirstBytes {
 public:
  explicit FirstBytes(uint32_t first) : first_(first) {}

  void take(const ReadFrame& segment) {
    const uint32_t begin = segment.seq + ((segment.flags & kTcpSyn) != 0 ? 1 : 0) - first_;
    for (uint32_t i = 0; i < segment.payload.size(); i++) {
      if (begin + i < came_.size()) came_[begin + i].insert(static_cast<char>(segment.payload[i]));
    }
  }
  bool can_only_be(const std::string& text) const {
    for (size_t i = 0; i < came_.size(); i++) {
      if (came_[i] != std::set<char>{text[i]}) return false;
    }
    return true;
  }

 private:
  uint32_t first_;
  std::array<std::set<char>, kHeaderBytes> came_;
};

class ForgedHeaders : public ::testing::TestWithParam<Forwarding> {
 protected:
  void SetUp() override {
    bench_.put_local(0, WorkerBench::own_back());
    bench_.put_backend(0, kBackend);
    put_service(channel::SynProxy::kOff);
  }
  void TearDown() override { bench_.expect_counter_law(); }

  void put_service(channel::SynProxy syn_proxy) {
    channel::PutService service{};
    service.forwarding = GetParam();
    service.proxy = channel::ProxyHeader::kV2;
    service.syn_proxy = syn_proxy;
    bench_.put_service(0, kVip, {0}, service);
    bench_.turn();
  }

  Frame client() const { return Frame().from(client_).to(kVip); }
  /// Mid-stream, with the right acknowledgement.
  Frame segment(uint32_t sequence, const std::string& payload) const {
    return client().seq(sequence).ack(kServerFirst).psh().payload(payload);
  }

  void client_sends(const Frame& frame) {
    bench_.client_sends(frame);
    bench_.turn();
    for (const ReadFrame& sent : bench_.to_backends()) {
      stream_.take(sent);
      at_backend_ = sent.source;
    }
  }
  void send_syn() { client_sends(client().syn().seq(kFirst - 1)); }
  void answer_syn() {
    bench_.backend_sends(Frame().from(kBackend).to(at_backend_).syn().seq(kServerFirst - 1).ack(kFirst));
    bench_.turn();
    ASSERT_EQ(bench_.to_clients().size(), 1u);
  }
  void acknowledge() { client_sends(client().seq(kFirst).ack(kServerFirst)); }
  void acknowledge_header() {
    bench_.backend_sends(Frame().from(kBackend).to(at_backend_).seq(kServerFirst).ack(kFirst + kHeaderBytes));
    bench_.turn();
    bench_.to_clients();
  }
  void expect_header_is_ours() {
    EXPECT_TRUE(stream_.can_only_be(header_of(client_)));
    // What the client says goes on behind it.
    const auto said = bench_.client_to_backend(segment(kFirst, "EHLO x\r\n"));
    ASSERT_TRUE(said);
    EXPECT_EQ(said->seq, kFirst + kHeaderBytes);
  }

  const std::string forged_ = header_of(kForged);
  WorkerBench bench_;
  Endpoint client_ = endpoint("198.51.100.7", 40000);
  Endpoint at_backend_;  // the client, as the backend sees it
  FirstBytes stream_{kFirst};
};

TEST_P(ForgedHeaders, WhatDoesNotCompleteTheHandshakeGoesNoFurther) {
  send_syn();
  answer_syn();
  EXPECT_FALSE(bench_.client_to_backend(segment(kFirst - 1, "x" + forged_)));
  EXPECT_EQ(bench_.counter(Counter::kDropProxyPending), 1u);
  acknowledge();
  expect_header_is_ours();
}

TEST_P(ForgedHeaders, NothingGoesBeforeTheServersAnswer) {
  send_syn();
  EXPECT_FALSE(bench_.client_to_backend(segment(kFirst, forged_)));
  EXPECT_FALSE(bench_.client_to_backend(client().seq(kFirst).ack(kServerFirst)));
  answer_syn();
  acknowledge();
  expect_header_is_ours();
}

TEST_P(ForgedHeaders, ASynAndAResetGoOn) {
  send_syn();
  answer_syn();
  EXPECT_TRUE(bench_.client_to_backend(client().syn().seq(kFirst - 1)));
  EXPECT_TRUE(bench_.client_to_backend(client().rst().seq(kFirst + 9)));
  EXPECT_EQ(bench_.counter(Counter::kDropProxyPending), 0u);
}

TEST_P(ForgedHeaders, AKeepAliveWhileTheHeaderIsUnderWayCostsNothing) {
  send_syn();
  answer_syn();
  acknowledge();
  EXPECT_FALSE(bench_.client_to_backend(client().seq(kFirst - 1).ack(kServerFirst)));
  expect_header_is_ours();
  acknowledge_header();
  EXPECT_TRUE(bench_.client_to_backend(client().seq(kFirst + 7).ack(kServerFirst))) << "and then it goes on";
}

TEST_P(ForgedHeaders, NothingGoesBeforeTheHeaderWhereWeHaveAnsweredTheSyn) {
  put_service(channel::SynProxy::kAlways);
  send_syn();
  const auto promised = bench_.to_clients();
  ASSERT_EQ(promised.size(), 1u);
  const Frame acknowledging = client().ack(promised[0].seq + 1);
  client_sends(Frame(acknowledging).seq(kFirst));
  bench_.backend_sends(Frame().from(kBackend).to(at_backend_).syn().seq(kServerFirst - 1).ack(kFirst));
  bench_.turn();
  for (const ReadFrame& sent : bench_.to_backends()) stream_.take(sent);
  client_sends(Frame(acknowledging).seq(kFirst - kHeaderBytes).payload(forged_));
  client_sends(Frame(acknowledging).seq(kFirst - 1).payload("x" + forged_));
  EXPECT_TRUE(stream_.can_only_be(header_of(client_)));
  EXPECT_EQ(bench_.counter(Counter::kDropProxyPending), 2u);
}

/// What a client may try, and when.
struct Attempt {
  const char* how;
  std::vector<std::pair<uint32_t, std::string>> before;  // its acknowledgement: numbers, and what is there
  std::vector<std::pair<uint32_t, std::string>> after;   // likewise, while the header may be lost on its way
};

TEST_P(ForgedHeaders, AreNotReadInPlaceOfOurs) {
  const uint32_t shifted = kFirst - kHeaderBytes;  // at the server, it would be where the header is
  const std::string &forged = forged_, ehlo = "EHLO x\r\n";
  const Attempt attempts[]{
      {"at the header's number", {{kFirst, forged}}, {}},
      {"one before", {{kFirst - 1, "x" + forged}}, {}},
      {"again and again", {4, {kFirst - 1, "x" + forged}}, {}},
      {"far before", {{shifted, forged}}, {}},
      {"before and beyond", {{kFirst - 11, "hello world" + forged + ehlo}}, {}},
      {"in pieces", {{kFirst - 1, "x" + forged.substr(0, 9)}, {kFirst + 9, forged.substr(9)}}, {}},
      {"the last piece first", {{kFirst + 9, forged.substr(9)}, {kFirst - 1, "x" + forged.substr(0, 9)}}, {}},
      {"out of order", {{kFirst + kHeaderBytes, ehlo}, {shifted, forged}}, {}},
      {"while ours is under way", {}, {2, {shifted, forged}}},
      {"overlapping ours", {}, {{kFirst - 5, forged}, {kFirst - 1, forged}}},
      {"like keep-alives", {{kFirst - 1, "x"}}, {{kFirst - 1, "x"}, {kFirst - 1, ""}, {shifted, "x"}}},
  };
  struct Manner {
    const char* description;
    Frame frame;
  };
  const Manner manners[]{{"as it should be", Frame().ack(kServerFirst)},
                         {"with FIN", Frame().ack(kServerFirst).fin()},
                         {"with SYN", Frame().ack(kServerFirst).syn()},
                         {"a SYN alone", Frame().syn()},
                         {"acknowledging too little", Frame().ack(kServerFirst - 1)},
                         {"acknowledging too much", Frame().ack(kServerFirst + 9)},
                         {"acknowledging nothing", Frame()}};
  uint16_t port = 40000;
  for (const Attempt& attempt : attempts) {
    for (const Manner& manner : manners) {
      SCOPED_TRACE(std::string(attempt.how) + ", " + manner.description);
      const auto try_all = [&](const auto& segments) {
        for (const auto& [sequence, payload] : segments) {
          client_sends(Frame(manner.frame).from(client_).to(kVip).seq(sequence).payload(payload));
        }
      };
      client_ = endpoint("198.51.100.7", ++port);
      stream_ = FirstBytes(kFirst);
      send_syn();
      answer_syn();
      try_all(attempt.before);
      acknowledge();
      try_all(attempt.after);
      bench_.turn(1000);
      for (const ReadFrame& sent : bench_.to_backends()) stream_.take(sent);
      EXPECT_TRUE(stream_.can_only_be(header_of(client_)));
      acknowledge_header();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, ForgedHeaders, ::testing::Values(Forwarding::kNat, Forwarding::kFullnat),
                         [](const auto& mode) { return mode.param == Forwarding::kNat ? "Nat" : "Fullnat"; });

}  // namespace
}  // namespace sluice::testing
