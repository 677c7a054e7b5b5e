// SPDX-License-Identifier: Apache-2.0
//
// Limits on the sessions of a source: who is refused and how, what counts and what does not, and that every session
// gives back what it took, however it ends.
#include <gtest/gtest.h>

#include <functional>

#include "tests/dataplane/support/worker_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;
using channel::LimitAction;
using channel::LimitRule;
using channel::LimitRules;
using channel::LimitTable;

Endpoint client(uint32_t n) {
  return endpoint("198.51.100." + std::to_string(1 + n / 10'000), static_cast<uint16_t>(20'000 + n % 10'000));
}

LimitRules rules_of(const LimitRule& rule, uint8_t services = 3) {
  LimitRules out{};
  out.rule[0] = rule;
  for (uint32_t id = 0; id < 8; id++) out.rules_of[id] = (services >> id & 1) != 0 ? 1 : 0;
  return out;
}

LimitRule per_address(uint32_t connections, LimitAction action = LimitAction::kDrop) {
  return {32, 128, action, 0, connections, 0, 1};
}

/// Open sessions by the table.
uint64_t open_by(const LimitTable& table, uint8_t mark) {
  uint64_t out = 0;
  for (const auto& set : table.words) {
    for (const uint64_t word : set) out += LimitTable::layout_in(word) == mark ? LimitTable::open_in(word) : 0;
  }
  return out;
}

class SourceLimits : public WorkerTest {
 protected:
  void limit(const LimitRules& rules, uint32_t count = 1, uint32_t layout = 1) {
    layout_ = layout;
    bench_.put_limits(rules, count, layout);
    bench_.turns(8);
  }
  uint64_t open() const { return open_by(bench_.limit_table(), mark(bench_)); }
  uint8_t mark(const WorkerBench&) const { return LimitTable::layout_mark(channel::limit_layout(1, layout_)); }

  void expect_dropped(const Endpoint& from, const Endpoint& vip = kVip) {
    const uint64_t before = bench_.counter(Counter::kDropLimited);
    EXPECT_FALSE(bench_.client_to_backend(Frame().from(from).to(vip).syn().seq(1)));
    EXPECT_EQ(bench_.counter(Counter::kDropLimited), before + 1);
  }

  uint32_t layout_ = 1;
};

TEST_F(SourceLimits, ConnectionsBeyondTheLimitAreDroppedAndOthersAreNotTouched) {
  limit(rules_of(per_address(2)));
  ASSERT_TRUE(bench_.establish(client(0), kVip));
  ASSERT_TRUE(bench_.establish(client(1), kVip));
  EXPECT_EQ(open(), 2u);
  expect_dropped(client(2));
  EXPECT_TRUE(bench_.to_clients().empty());
  EXPECT_EQ(bench_.stats().limits[0].refused_connections, 1u);
  EXPECT_TRUE(bench_.establish(client(10'000), kVip)) << "another address";
  EXPECT_TRUE(bench_.establish(kClient6, kVip6));
}

TEST_F(SourceLimits, OneIsResetOrToldAsItsRuleSays) {
  limit(rules_of(per_address(1, LimitAction::kReset)));
  ASSERT_TRUE(bench_.establish(client(0), kVip));
  bench_.client_sends(Frame().from(client(1)).to(kVip).syn().seq(1));
  bench_.turn();
  auto answer = bench_.to_clients();
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0].flags, kTcpRst | kTcpAck);

  limit(rules_of(per_address(1, LimitAction::k421)));
  bench_.client_sends(Frame().from(client(1)).to(kVip).syn().seq(1));
  bench_.turn();
  answer = bench_.to_clients();
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0].flags, kTcpSyn | kTcpAck);
  bench_.client_sends(Frame().from(client(1)).to(kVip).seq(2).ack(answer[0].seq + 1));
  bench_.turn();
  EXPECT_EQ(bench_.counter(Counter::kRefusalsSent), 1u);
  EXPECT_EQ(bench_.worker().flows().size(), 1u);
  bench_.to_clients();

  LimitRules waits = rules_of(per_address(1, LimitAction::k421));
  waits.clients_first[0] = 1;
  limit(waits);
  bench_.client_sends(Frame().from(client(2)).to(kVip).syn().seq(1));
  bench_.turn();
  answer = bench_.to_clients();
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0].flags, kTcpRst | kTcpAck) << "it waits for TLS";
}

class Tarpit : public SourceLimits {
 protected:
  void SetUp() override {
    SourceLimits::SetUp();
    limit(rules_of(per_address(1, LimitAction::kTarpit)));
    ASSERT_TRUE(bench_.establish(client(0), kVip));
  }
  /// The number of the first byte that we may say to it.
  uint32_t connect(const Endpoint& who) {
    bench_.client_sends(Frame().from(who).to(kVip).syn().seq(1));
    bench_.turn();
    const auto answer = bench_.to_clients();
    EXPECT_EQ(answer.size(), 1u);
    if (answer.size() != 1) return 0;
    EXPECT_EQ(answer[0].flags, kTcpSyn | kTcpAck);
    bench_.client_sends(Frame().from(who).to(kVip).seq(2).ack(answer[0].seq + 1));
    bench_.turn();
    EXPECT_TRUE(bench_.to_clients().empty()) << "not a word";
    return answer[0].seq + 1;
  }
  std::vector<ReadFrame> heard_after(uint64_t ms) {
    std::vector<ReadFrame> out;
    for (uint64_t step = 0; step < ms / 100; step++) {
      bench_.turn(100);
      for (auto& frame : bench_.to_clients()) out.push_back(std::move(frame));
    }
    return out;
  }
  static void expect_told(const std::vector<ReadFrame>& frames) {
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(std::string(frames[0].payload.begin(), frames[0].payload.end()), "421 4.3.2 try again later\r\n");
    EXPECT_EQ(frames[0].flags, kTcpFin | kTcpPsh | kTcpAck);
  }
};

TEST_F(Tarpit, HoldsAClientBeforeItIsTold) {
  const uint32_t ours = connect(client(1));
  EXPECT_TRUE(heard_after(29'000).empty());
  bench_.client_sends(Frame().from(client(1)).to(kVip).seq(2).ack(ours).psh().payload("EHLO x\r\n"));
  bench_.turn();
  const auto answer = bench_.to_clients();
  ASSERT_EQ(answer.size(), 1u);
  EXPECT_EQ(answer[0].ack, 10u) << "it may speak, and hears nothing";
  EXPECT_TRUE(answer[0].payload.empty());
  expect_told(heard_after(1500));
  EXPECT_EQ(bench_.worker().flows().size(), 1u);
  bench_.client_sends(Frame().from(client(1)).to(kVip).seq(10).ack(ours + 28).fin());
  bench_.turn();
  EXPECT_EQ(bench_.to_clients().size(), 1u);
  EXPECT_TRUE(heard_after(60'000).empty());
}

TEST_F(Tarpit, LetsGoWhoHasHadEnough) {
  const uint32_t ours = connect(client(1));
  bench_.client_sends(Frame().from(client(1)).to(kVip).seq(2).ack(ours).fin());
  bench_.turn();
  expect_told(bench_.to_clients());
}

TEST_F(Tarpit, WhoIsToldNowIsNotKeptFromItByThoseWhoWait) {
  for (uint32_t n = 1; n < 9'000; n++) connect(client(n));
  limit(rules_of(per_address(1, LimitAction::k421)));
  uint32_t told = 0;
  for (uint16_t port = 40'000; port < 40'200; port++) {
    const Endpoint who{client(0).address, Be16::of(port)};
    bench_.client_sends(Frame().from(who).to(kVip).syn().seq(1));
    bench_.turn();
    const auto answer = bench_.to_clients();
    if (answer.size() != 1 || answer[0].flags != (kTcpSyn | kTcpAck)) continue;
    bench_.client_sends(Frame().from(who).to(kVip).seq(2).ack(answer[0].seq + 1));
    bench_.turn();
    told += bench_.to_clients().size() == 1 ? 1 : 0;
  }
  EXPECT_EQ(told, 200u);
}

TEST_F(SourceLimits, SynsAloneCountAgainstNobody) {
  limit(rules_of(per_address(1)));
  for (uint32_t n = 0; n < 200; n++) {
    ASSERT_TRUE(bench_.client_to_backend(Frame().from(client(n)).to(kVip).syn().seq(1)));
  }
  EXPECT_EQ(open(), 0u);
  EXPECT_TRUE(bench_.establish(client(500), kVip));
}

TEST_F(SourceLimits, HandshakesBesideEachOtherAreFoundOverTheLimitWhenTheyEnd) {
  limit(rules_of(per_address(1, LimitAction::k421)));
  std::vector<Endpoint> backend;
  for (uint32_t n = 0; n < 3; n++) {
    const auto syn = bench_.client_to_backend(Frame().from(client(n)).to(kVip).syn().seq(1000));
    ASSERT_TRUE(syn);
    backend.push_back(syn->destination);
    ASSERT_TRUE(bench_.backend_to_client(Frame().from(backend.back()).to(client(n)).syn().seq(5000).ack(1001)));
  }
  for (uint32_t n = 0; n < 3; n++) {
    bench_.client_sends(Frame().from(client(n)).to(kVip).seq(1001).ack(5001));
    bench_.turn();
  }
  EXPECT_EQ(open(), 1u);
  EXPECT_EQ(bench_.counter(Counter::kFlowsCutLimit), 2u);
  EXPECT_EQ(bench_.counter(Counter::kResetsToClient), 2u);
  EXPECT_EQ(bench_.counter(Counter::kResetsToBackend), 2u);
  EXPECT_EQ(bench_.stats().limits[0].cut, 2u);
}

TEST_F(SourceLimits, NewOnesAreLimitedBySecondAndBurst) {
  limit(rules_of({24, 64, LimitAction::kDrop, 0, 0, 10, 3}));
  for (uint32_t n = 0; n < 3; n++) ASSERT_TRUE(bench_.establish(client(n * 10'000), kVip)) << "addresses of one prefix";
  expect_dropped(client(40'000));
  EXPECT_EQ(bench_.stats().limits[0].refused_rate, 1u);
  bench_.turn(100);
  EXPECT_TRUE(bench_.establish(client(40'000), kVip));
  expect_dropped(client(50'000));
}

TEST_F(SourceLimits, ARuleHoldsForItsServicesAlone) {
  limit(rules_of(per_address(1), 2));
  for (uint32_t n = 0; n < 3; n++) ASSERT_TRUE(bench_.establish(client(n), kVip));
  ASSERT_TRUE(bench_.establish(kClient6, kVip6));
  expect_dropped(endpoint("2001:db8:1::7", 40001), kVip6);
}

TEST_F(SourceLimits, ExemptSourcesAreNotJudged) {
  bench_.exempt({0xc633'6400, 0xc633'6500});  // 198.51.100.0/24
  limit(rules_of(per_address(1)));
  for (uint32_t n = 0; n < 3; n++) ASSERT_TRUE(bench_.establish(client(n), kVip));
  EXPECT_EQ(open(), 3u);
  bench_.exempt({});
  bench_.turn();
  expect_dropped(client(4));
}

TEST_F(SourceLimits, EveryWayToEndGivesBack) {
  limit(rules_of(per_address(1)));
  const Endpoint from = client(0);
  struct {
    const char* what;
    std::function<void(const Endpoint& backend)> end;
  } const cases[] = {
      {"closed",
       [&](const Endpoint& backend) {
         bench_.client_to_backend(Frame().from(from).to(kVip).seq(1001).ack(5001).fin());
         EXPECT_EQ(open(), 1u) << "one half is still open";
         bench_.backend_to_client(Frame().from(backend).to(from).seq(5001).ack(1002).fin());
       }},
      {"reset by the client",
       [&](const Endpoint&) { bench_.client_to_backend(Frame().from(from).to(kVip).seq(1001).rst()); }},
      {"reset by the server",
       [&](const Endpoint& backend) { bench_.backend_to_client(Frame().from(backend).to(from).seq(5001).rst()); }},
      {"idle",
       [&](const Endpoint&) {
         bench_.turn(FlowTimers{}.established_ms + 1);
         for (int i = 0; i < 8; i++) bench_.turn(1000);
       }},
      {"cut with its backend",
       [&](const Endpoint&) {
         for (uint16_t id = 0; id < 3; id++)
           bench_.put_backend(id, backend4(id), channel::kBackendReachable | channel::kBackendCut);
         for (int i = 0; i < 4; i++) bench_.turn(1000);
         for (uint16_t id = 0; id < 3; id++) bench_.put_backend(id, backend4(id));
         bench_.turn();
       }},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.what);
    const auto backend = bench_.establish(from, kVip);
    ASSERT_TRUE(backend);
    EXPECT_EQ(open(), 1u);
    each.end(*backend);
    EXPECT_EQ(open(), 0u);
    for (int i = 0; i < 300; i++) bench_.turn(1000);  // its place is forgotten, which gives back nothing more
    bench_.to_clients();
    bench_.to_backends();
    EXPECT_EQ(open(), 0u);
  }
}

TEST_F(SourceLimits, AHandshakeThatIsRecalledIsCounted) {
  limit(rules_of(per_address(1)));
  const auto syn = bench_.client_to_backend(Frame().from(client(0)).to(kVip).syn().seq(1000));
  ASSERT_TRUE(syn);
  ASSERT_TRUE(bench_.backend_to_client(Frame().from(syn->destination).to(client(0)).syn().seq(5000).ack(1001)));
  for (uint32_t n = 1; n < 2000; n++) bench_.client_to_backend(Frame().from(client(n)).to(kVip).syn().seq(1));
  ASSERT_GT(bench_.counter(Counter::kFlowsRecycledEmbryonic), 0u);
  ASSERT_TRUE(bench_.client_to_backend(Frame().from(client(0)).to(kVip).seq(1001).ack(5001)));
  EXPECT_EQ(open(), 1u);
}

TEST_F(SourceLimits, OpenSessionsAreCountedWhenARuleComes) {
  for (uint32_t n = 0; n < 2500; n++) ASSERT_TRUE(bench_.establish(client(n), kVip));
  bench_.put_limits(rules_of(per_address(2000)), 1, 1);
  bench_.turn();
  EXPECT_LT(open(), 2500u) << "the table is not gone over in one turn";
  bench_.client_to_backend(Frame().from(client(0)).to(kVip).seq(1001).rst());  // counted already
  bench_.client_to_backend(Frame().from(client(2499)).to(kVip).seq(1001).rst());
  bench_.turns(4);
  EXPECT_EQ(open(), 2498u);
  expect_dropped(client(3000));
  limit(rules_of(per_address(4000)), 1, 1);
  EXPECT_EQ(open(), 2498u) << "only the limit is another";
  EXPECT_TRUE(bench_.establish(client(3000), kVip));
  limit(rules_of({24, 64, LimitAction::kDrop, 0, 4000, 0, 1}), 1, 2);
  EXPECT_EQ(open(), 2499u) << "counted anew";
  limit({}, 0, 2);
  EXPECT_TRUE(bench_.establish(client(4000), kVip));
}

TEST_F(SourceLimits, SessionsOfAnEarlierProcessAreCounted) {
  for (uint32_t n = 0; n < 3; n++) ASSERT_TRUE(bench_.establish(client(n), kVip));
  WorkerBench after({.flow_memory = bench_.flow_memory(), .snapshot = false});
  after.command(channel::CommandType::kSnapshotBegin);
  for (uint16_t id = 0; id < 3; id++) after.put_backend(id, backend4(id));
  after.put_service(0, kVip, {0, 1, 2});
  after.put_limits(rules_of(per_address(3)), 1, 1);
  after.command(channel::CommandType::kSnapshotEnd);
  after.turns(4);
  EXPECT_EQ(open_by(after.limit_table(), mark(after)), 3u);
  EXPECT_FALSE(after.client_to_backend(Frame().from(client(3)).to(kVip).syn().seq(1)));
  EXPECT_EQ(after.counter(Counter::kDropLimited), 1u);
}

TEST_F(SourceLimits, ASnapshotThatNamesNoneDropsThem) {
  limit(rules_of(per_address(1)));
  ASSERT_TRUE(bench_.establish(client(0), kVip));
  bench_.command(channel::CommandType::kSnapshotBegin);
  for (uint16_t id = 0; id < 3; id++) bench_.put_backend(id, backend4(id));
  bench_.put_service(0, kVip, {0, 1, 2});
  bench_.turn();
  expect_dropped(client(1));
  bench_.command(channel::CommandType::kSnapshotEnd);
  bench_.turn();
  EXPECT_TRUE(bench_.establish(client(1), kVip));
}

TEST_F(SourceLimits, RefusedRulesLeaveTheLastOnes) {
  limit(rules_of(per_address(1)));
  ASSERT_TRUE(bench_.establish(client(0), kVip));
  LimitRules long_prefix = rules_of(per_address(9));
  long_prefix.rule[0].v4_bits = 33;
  LimitRules action = rules_of(per_address(9));
  action.rule[0].action = static_cast<LimitAction>(4);
  struct {
    const char* what;
    const LimitRules& rules;
    uint32_t count, layout;
  } const cases[] = {{"a prefix that is too long", long_prefix, 1, 2},
                     {"an unknown action", action, 1, 2},
                     {"too many", rules_of(per_address(9)), 9, 2},
                     {"no layout", rules_of(per_address(9)), 1, 0}};
  uint64_t refused = 0;
  for (const auto& each : cases) {
    SCOPED_TRACE(each.what);
    bench_.put_limits(each.rules, each.count, each.layout);
    bench_.turn();
    EXPECT_EQ(bench_.counter(Counter::kCommandsRejected), ++refused);
    expect_dropped(client(1));
  }
  channel::PutLimits outside{};
  outside.header.type = channel::CommandType::kPutLimits;
  outside.offset = 0xffff'ffff;
  outside.rules = outside.layout = 1;
  bench_.command(channel::Command(outside));
  bench_.turn();
  EXPECT_EQ(bench_.counter(Counter::kCommandsRejected), ++refused);
  expect_dropped(client(1));
}

TEST(SourceLimitsOfTwoWorkers, CountTogether) {
  WorkerBench bench({.workers = 2});
  for (uint16_t id = 0; id < 3; id++) bench.put_backend(id, backend4(id));
  bench.put_service(0, kVip, {0, 1, 2, 0, 1, 2, 1});
  bench.put_limits(rules_of(per_address(20)), 1, 1);
  bench.turns(4);
  uint32_t begun = 0;
  for (uint32_t n = 0; n < 60; n++) {
    bench.client_sends(Frame().from(client(n)).to(kVip).syn().seq(1000));
    bench.turns(3);
    const auto syn = bench.to_backends();
    if (syn.empty()) continue;
    begun++;
    bench.backend_sends(Frame().from(syn[0].destination).to(client(n)).syn().seq(5000).ack(1001));
    bench.turns(3);
    bench.client_sends(Frame().from(client(n)).to(kVip).seq(1001).ack(5001));
    bench.turns(3);
    bench.to_backends();
    bench.to_clients();
  }
  EXPECT_EQ(begun, 20u);
  for (uint32_t worker = 0; worker < 2; worker++)
    EXPECT_GT(bench.worker(worker).flows().size(), 0u) << "or nothing is proved";
  bench.expect_counter_law();
}

}  // namespace
}  // namespace sluice::testing
