// SPDX-License-Identifier: Apache-2.0
#include "controlplane/inspect/explain.h"

#include <gtest/gtest.h>

#include "dataplane/contract/placement.h"
#include "tests/controlplane/support/model_fixture.h"

namespace sluice::control {
namespace {

class Explain : public ModelTest {
 protected:
  Explain() { bring_up(model_); }

  Explanation ask(const Endpoint& client) {
    return explain(model_, model_.services()[0], client,
                   [this](const Member& member) -> std::optional<uint64_t> { return flows_[member.name]; });
  }
  static Endpoint client(uint16_t port) { return *endpoint_from("198.51.100.7:" + std::to_string(port)); }
  /// Takes on the configuration as it is now.
  void reload() {
    Model next = model();
    next.take_over(model_);
    model_ = std::move(next);
    model_.refresh();
  }

  Model model_ = model();
  std::map<std::string, uint64_t> flows_;
};

TEST_F(Explain, NamesTheBackendThatAWorkerWouldTake) {
  const DesiredService wire = model_.desired().services[0];
  for (uint16_t port = 40000; port < 40200; port++) {
    const Explanation answer = ask(client(port));
    const uint32_t entry = table_index(placement_hash(client(port), wire.vip, wire.hash_on), 101);
    const uint64_t key = wire.table->members[wire.table->entries[entry]];
    const auto member = std::ranges::find(model_.members(), key, &Member::key);
    EXPECT_EQ(answer.backend, member->label());
    ASSERT_EQ(answer.steps.size(), 1u);
    EXPECT_EQ(answer.steps[0].entry, entry);
    EXPECT_TRUE(answer.steps[0].is_taken);
    ASSERT_EQ(answer.others.size(), 2u);
    EXPECT_EQ(answer.others[0].why_not, "its entries are others");
  }
}

TEST_F(Explain, GoesByTheSitesSecret) {
  const Explanation without = ask(client(40000));
  model_ = Model(config_, journal_, 7);
  bring_up(model_);
  const DesiredService wire = model_.desired().services[0];
  EXPECT_EQ(model_.desired().placement_secret, 7u);
  const uint32_t entry = table_index(placement_hash(client(40000), wire.vip, wire.hash_on, 7), 101);
  EXPECT_EQ(ask(client(40000)).steps.at(0).entry, entry);
  EXPECT_NE(without.steps.at(0).entry, entry);
}

TEST_F(Explain, FollowsTheWalkPastABackendThatIsFull) {
  config_.pools[0].backends[0].max_connections = 10;
  reload();
  flows_ = {{"mta1", 10}};
  bool seen = false;
  for (uint16_t port = 40000; port < 40100; port++) {
    const Explanation answer = ask(client(port));
    EXPECT_NE(answer.backend, "mta/mta1:25");
    if (answer.steps.size() < 2) continue;
    seen = true;
    EXPECT_EQ(answer.steps[0].backend, "mta/mta1:25");
    EXPECT_EQ(answer.steps[0].why, "full: 10 flows of max_connections 10");
    EXPECT_TRUE(answer.steps.back().is_taken);
  }
  EXPECT_TRUE(seen);
}

TEST_F(Explain, FollowsARoute) {
  config_.pools.push_back({.name = "marketing", .check = "relay", .backends = {}});
  config_.pools[1].backends.push_back({.name = "own1", .address = ip("10.0.2.1")});
  config_.sources.routes = {
      {.from = {*config::IpPrefix::parse("198.51.100.0/28")}, .service = "relay", .pool = "marketing"}};
  reload();
  Explanation answer = ask(client(40000));
  EXPECT_EQ(answer.backend, "") << "not checked yet, and nobody else's turn";
  bring_up(model_);
  answer = ask(client(40000));
  EXPECT_EQ(answer.backend, "marketing/own1:25");
  EXPECT_EQ(answer.notes.front(), "by a route of sources.routes its clients go to pool \"marketing\", not to \"mta\"");
  EXPECT_TRUE(ask(*endpoint_from("198.51.100.77:40000")).backend.starts_with("mta/"));
}

TEST_F(Explain, SaysWhyTheOthersAreOut) {
  model_.set_health(0, Health::kDown, "dead at connect: refused");
  model_.set_weight_by_hand(1, 0);
  model_.refresh();
  const Explanation answer = ask(client(40000));
  EXPECT_EQ(answer.backend, "mta/mta3:25");
  ASSERT_EQ(answer.others.size(), 2u);
  EXPECT_EQ(answer.others[0].why_not, "down: dead at connect: refused");
  EXPECT_EQ(answer.others[1].why_not, "takes no new connections: weight 0");
  EXPECT_EQ(answer.others[1].share, 0);
}

TEST_F(Explain, SaysThatAPoolOutOfServiceRefuses) {
  for (size_t i = 0; i < 3; i++) model_.set_health(i, Health::kDown, "dead");
  model_.refresh();
  const Explanation answer = ask(client(40000));
  EXPECT_EQ(answer.backend, "");
  EXPECT_EQ(answer.why, "the pool is out of service: 0 of 3 backends usable, min_healthy 0");
  EXPECT_EQ(answer.others.size(), 3u);
  EXPECT_EQ(answer.notes.back(), "the client is told \"421 4.3.2 try again later\"");
  config_.services[0].on_no_backend = config::OnNoBackend::kReset;
  reload();
  for (size_t i = 0; i < 3; i++) model_.set_health(i, Health::kDown, "dead");
  model_.refresh();
  EXPECT_EQ(ask(client(40000)).notes.back(), "the client's SYN is answered with RST");
}

TEST_F(Explain, KeepsAClientTogetherUnderSource) {
  config_.services[0].scheduler = config::Scheduler::kSource;
  reload();
  const std::string backend = ask(client(40000)).backend;
  for (uint16_t port = 40001; port < 40050; port++) EXPECT_EQ(ask(client(port)).backend, backend);
}

TEST_F(Explain, DoesNotPretendToKnowWhatAWorkerDraws) {
  for (const auto scheduler : {config::Scheduler::kLeastConn, config::Scheduler::kWrr}) {
    config_.services[0].scheduler = scheduler;
    reload();
    const Explanation answer = ask(client(40000));
    EXPECT_EQ(answer.backend, "");
    EXPECT_EQ(answer.why, "any of those with a share below; the client does not decide");
    ASSERT_EQ(answer.others.size(), 3u);
    for (const auto& other : answer.others) {
      EXPECT_EQ(other.why_not, "may get it");
      EXPECT_NEAR(other.share, 1 / 3.0, 0.01);
    }
  }
}

TEST(EndpointFrom, TakesAddressAndPortOnly) {
  EXPECT_EQ(endpoint_from("192.0.2.7:25")->port.host(), 25);
  EXPECT_TRUE(endpoint_from("192.0.2.7:25")->address.is_v4());
  EXPECT_FALSE(endpoint_from("[2001:db8::7]:40000")->address.is_v4());
  for (const char* text : {"", ":", "192.0.2.7", "192.0.2.7:", "192.0.2.7:0", "192.0.2.7:65536", "192.0.2.7:25x",
                           "2001:db8::7", "2001:db8::7:25x", "[192.0.2.7]:25", "[]:25", "host:25", "192.0.2.7:-1"}) {
    EXPECT_FALSE(endpoint_from(text)) << text;
  }
}

}  // namespace
}  // namespace sluice::control
