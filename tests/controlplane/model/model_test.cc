// SPDX-License-Identifier: Apache-2.0
#include "controlplane/model/model.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <map>
#include <unordered_set>

#include "tests/controlplane/support/model_fixture.h"
#include "tests/support/ip.h"

namespace sluice::control {
namespace {

static_assert(static_cast<int>(config::Forwarding::kGue) == static_cast<int>(channel::Forwarding::kGue));
static_assert(static_cast<int>(config::Scheduler::kSource) == static_cast<int>(channel::Scheduler::kSource));
static_assert(static_cast<int>(config::HashOn::kClientPrefix) == static_cast<int>(channel::HashOn::kClientPrefix));
static_assert(static_cast<int>(config::Proxy::kV2) == static_cast<int>(channel::ProxyHeader::kV2));
static_assert(static_cast<int>(config::OnNoBackend::k421) == static_cast<int>(channel::OnNoBackend::k421));
static_assert(static_cast<int>(config::OnNoBackend::kSilence) == static_cast<int>(channel::OnNoBackend::kSilence));
static_assert(static_cast<int>(config::OnBackendDown::kKeep) == static_cast<int>(channel::OnBackendDown::kKeep));

TEST_F(ModelTest, NeedsAnAddressOfOursForFullnatAndTunnels) {
  const LocalAddress v4{"slb0", ip("10.0.1.1")}, elsewhere{"slf0", ip("10.9.9.1")};
  const LocalAddress v6{"slb0", ip("fd00:1::1")};
  for (const auto forwarding : {config::Forwarding::kFullnat, config::Forwarding::kIpip, config::Forwarding::kGue}) {
    config_.services[0].forwarding = forwarding;
    Model model = this->model();
    bring_up(model);
    EXPECT_EQ(model.members()[0].state(), "unreachable");
    EXPECT_EQ(model.members()[0].reason(),
              "no IPv4 address of ours on the twin through which 10.0.1.1 is reached, to speak from");
    EXPECT_TRUE(model.desired().services[0].table->entries.empty());
    EXPECT_TRUE(model.set_local_addresses({elsewhere, v6})) << "the data plane hears of them";
    EXPECT_EQ(model.members()[0].state(), "unreachable") << "another port's, or another family's, is of no use";
    EXPECT_TRUE(model.set_local_addresses({elsewhere, v4}));
    model.refresh();
    EXPECT_EQ(model.members()[0].state(), "up");
    EXPECT_EQ(entries_of(model, 0, "mta1"), 34u);
    EXPECT_FALSE(model.set_local_addresses({elsewhere, v4}));
    const Desired desired = model.desired();
    ASSERT_EQ(desired.locals.size(), 2u);
    EXPECT_EQ(desired.locals[1].address, to_wire(v4.address));
    EXPECT_EQ(desired.locals[1].port_index, 1);
    EXPECT_NE(desired.locals[0].key, desired.locals[1].key);
  }
  config_.services[0].forwarding = config::Forwarding::kNat;
  Model model = this->model();
  bring_up(model);
  EXPECT_EQ(model.members()[0].state(), "up") << "nat speaks in the client's name";
}

TEST_F(ModelTest, UsesTheFirstAddressesOfTooMany) {
  std::vector<LocalAddress> many;
  for (int i = 1; i <= channel::kMaxLocals + 1; i++) {
    many.push_back({"slb0", ip("10.0.3." + std::to_string(i))});
  }
  Model model = this->model();
  EXPECT_TRUE(model.set_local_addresses(many));
  EXPECT_EQ(model.desired().locals.size(), size_t{channel::kMaxLocals});
  EXPECT_TRUE(journal_says("addresses", "33 addresses of ours face backends; the first 32 are used"));
}

TEST_F(ModelTest, NeedsBackendsOnTheLinkForDsr) {
  config_.services[0].forwarding = config::Forwarding::kDsr;
  Model model = this->model();
  bring_up(model);
  EXPECT_EQ(model.members()[0].state(), "up");
  NextHop behind = kHop;
  behind.via_gateway = true;
  EXPECT_TRUE(model.set_next_hop(0, behind));
  EXPECT_EQ(model.members()[0].state(), "unreachable");
  EXPECT_EQ(model.members()[0].reason(), "10.0.1.1 is behind a gateway; forwarding = \"dsr\" needs it on our link");
  EXPECT_EQ(model.desired().backends[0].flags & channel::kBackendReachable, 0);
}

TEST_F(ModelTest, HandsTheSegmentSizeOn) {
  config_.services[0].mss = 1380;
  EXPECT_EQ(model().desired().services[0].mss, 1380);
}

TEST_F(ModelTest, RefusesNewFlowsUntilABackendIsUpAndReachable) {
  Model model = this->model();
  model.refresh();
  EXPECT_TRUE(model.desired().services[0].table->entries.empty());
  EXPECT_TRUE(model.set_next_hop(0, kHop));
  model.refresh();
  EXPECT_TRUE(model.desired().services[0].table->entries.empty());
  EXPECT_TRUE(model.set_health(0, Health::kUp, "healthy"));
  model.refresh();
  EXPECT_EQ(entries_of(model, 0, "mta1"), 101u);
}

TEST_F(ModelTest, TakesABackendThatIsDownOutOfTheTableAndMarksIt) {
  Model model = this->model();
  bring_up(model);
  EXPECT_EQ(entries_of(model, 0, "mta2"), 34u);
  now_ += std::chrono::seconds(9);
  EXPECT_TRUE(model.set_health(1, Health::kDown, "dead at connect: refused (3 in a row)"));
  model.refresh();
  EXPECT_EQ(entries_of(model, 0, "mta2"), 0u);
  EXPECT_EQ(model.desired().backends[1].flags, channel::kBackendReachable) << "its sessions stay";
  EXPECT_TRUE(model.judge(1, {.found = {}, .next_hop = {}, .standing = Standing::kDead, .why = ""}));
  EXPECT_EQ(model.desired().backends[1].flags, channel::kBackendReachable | channel::kBackendDown);
  EXPECT_EQ(model.desired().backends[1].weight, 0);
  EXPECT_EQ(model.members()[1].since, now_);
  EXPECT_TRUE(journal_says("mta/mta2:25", "down (was up): dead at connect: refused (3 in a row)"));

  const Judgement::Found healthy{Health::kUp, "healthy"};
  EXPECT_TRUE(model.judge(1, {.found = healthy, .next_hop = {}, .standing = Standing::kGood, .why = ""}));
  model.refresh();
  EXPECT_EQ(entries_of(model, 0, "mta2"), 34u);
  EXPECT_EQ(model.desired().backends[1].flags, channel::kBackendReachable);
}

TEST_F(ModelTest, LeavesTheTableAloneWhenNothingThatMattersChanged) {
  Model model = this->model();
  bring_up(model);
  const auto table = model.desired().services[0].table;
  EXPECT_FALSE(model.set_health(0, Health::kUp, "healthy, again"));
  EXPECT_TRUE(model.set_next_hop(0, NextHop{{{2, 0, 0, 0, 0, 9}}, "slb0"})) << "another MAC address has to be told";
  model.refresh();
  EXPECT_EQ(model.desired().services[0].table, table);
}

TEST_F(ModelTest, KeepsAnUnreachableBackendOutOfTheTableButNotDown) {
  Model model = this->model();
  bring_up(model);
  EXPECT_TRUE(model.set_next_hop(2, std::unexpected("no neighbour entry for 10.0.1.3 on slb0")));
  model.refresh();
  EXPECT_EQ(entries_of(model, 0, "mta3"), 0u);
  EXPECT_EQ(model.desired().backends[2].flags, 0);
  EXPECT_EQ(model.members()[2].state(), "unreachable");
  EXPECT_EQ(model.members()[2].reason(), "no neighbour entry for 10.0.1.3 on slb0");
}

TEST_F(ModelTest, TakesAPoolBelowMinHealthyOutOfService) {
  config_.pools[0].min_healthy = 2;
  Model model = this->model();
  bring_up(model);
  EXPECT_TRUE(model.placements()[0].in_service);
  model.set_health(0, Health::kDown, "dead");
  model.refresh();
  EXPECT_TRUE(model.placements()[0].in_service);
  model.set_health(1, Health::kDown, "dead");
  model.refresh();
  EXPECT_FALSE(model.placements()[0].in_service);
  EXPECT_TRUE(model.desired().services[0].table->entries.empty());
  EXPECT_EQ(model.desired().backends[2].flags, channel::kBackendReachable) << "its flows go on";
  EXPECT_TRUE(journal_says("mta:25 (relay)", "out of service: 1 of 3 backends usable, min_healthy 2"));
}

TEST_F(ModelTest, PlacesByWeightAndTakesNothingForWeightZero) {
  config_.pools[0].backends[0].weight = 200;
  config_.pools[0].backends[2].weight = 0;
  Model model = this->model();
  bring_up(model);
  EXPECT_NEAR(static_cast<double>(entries_of(model, 0, "mta1")), 101 * 2 / 3.0, 1);
  EXPECT_EQ(entries_of(model, 0, "mta3"), 0u);
  EXPECT_EQ(model.desired().backends[0].weight, 200);
}

TEST_F(ModelTest, DrainsByHandWithoutMarkingDown) {
  Model model = this->model();
  bring_up(model);
  EXPECT_TRUE(model.set_admin(0, Admin::kDraining));
  model.refresh();
  EXPECT_EQ(entries_of(model, 0, "mta1"), 0u);
  EXPECT_EQ(model.desired().backends[0].flags, channel::kBackendReachable);
  EXPECT_EQ(model.members()[0].state(), "draining");
}

TEST_F(ModelTest, TakesAPoolWithoutACheckAsHealthy) {
  config_.pools[0].check = "";
  Model model = this->model();
  for (size_t i = 0; i < 3; i++) model.set_next_hop(i, kHop);
  EXPECT_TRUE(model.is_settled());
  model.refresh();
  EXPECT_EQ(entries_of(model, 0, "mta1"), 34u);
  EXPECT_EQ(model.members()[0].reason(), "not checked");
}

TEST_F(ModelTest, PresumesHealthyWhatTheDataPlaneKnewUntilTheFirstVerdict) {
  Model model = this->model();
  model.set_next_hop(0, kHop);
  model.set_next_hop(1, kHop);
  EXPECT_EQ(model.meet({{}, {model.members()[0].key, 12345}}), 1u);
  model.refresh();
  EXPECT_EQ(entries_of(model, 0, "mta1"), 101u);
  EXPECT_EQ(model.members()[0].state(), "checking");
  EXPECT_FALSE(model.is_settled());
  EXPECT_TRUE(model.set_health(0, Health::kDown, "dead"));
  model.refresh();
  EXPECT_TRUE(model.desired().services[0].table->entries.empty());
}

TEST_F(ModelTest, SharesMembersAndTablesBetweenServicesAlike) {
  add_service("alias", 25, "");
  config_.services[1].vip = ip("192.0.2.26");
  Model model = this->model();
  bring_up(model);
  EXPECT_EQ(model.members().size(), 3u);
  EXPECT_EQ(model.placements().size(), 1u);
  const Desired desired = model.desired();
  EXPECT_EQ(desired.services[0].table, desired.services[1].table);
  EXPECT_NE(desired.services[0].key, desired.services[1].key);
}

TEST_F(ModelTest, TellsMembersApartByPortAndByCheck) {
  add_service("submission", 587, "submission");
  add_service("other", 25, "submission");
  config_.services[2].vip = ip("192.0.2.26");
  config_.pools[0].backends[0].port = 10025;  // its own, whatever the service's
  Model model = this->model();
  // mta1: 10025 under two checks; mta2, mta3: 25 under two, 587 under one.
  EXPECT_EQ(model.members().size(), 2u + 3 + 3);
  std::unordered_set<uint64_t> keys;
  for (const Member& member : model.members()) keys.insert(member.key);
  EXPECT_EQ(keys.size(), model.members().size());
  bring_up(model);
  for (size_t i = 0; i < model.members().size(); i++) {
    const Member& member = model.members()[i];
    if (member.name == "mta2" && member.port == 25 && member.check == "submission") {
      EXPECT_EQ(member.label(), "mta/mta2:25 (submission)");
      model.set_health(i, Health::kDown, "no STARTTLS");
    }
  }
  model.refresh();
  EXPECT_EQ(entries_of(model, 0, "mta2"), 34u);
  EXPECT_EQ(entries_of(model, 2, "mta2"), 0u);
}

TEST_F(ModelTest, GivesABackendTheSameKeyWhateverItsOnlyCheckIsCalled) {
  const uint64_t before = model().members()[0].key;
  config_.pools[0].check = "submission";
  EXPECT_EQ(model().members()[0].key, before) << "naming another check must not cut flows";
  config_.pools[0].backends[0].address = ip("10.0.1.99");
  EXPECT_NE(model().members()[0].key, before) << "flows cannot follow to another address";
}

TEST_F(ModelTest, TablesThatPlaceAlikeHaveTheSameDigestOnEveryNode) {
  const auto digest = [this](uint32_t weight_of_first, uint64_t secret = 0) {
    Model model(config_, journal_, secret);
    bring_up(model);
    model.set_weight_by_hand(0, weight_of_first);
    model.refresh();
    return model.placements()[0].table->digest;
  };
  const uint64_t here = digest(100);
  EXPECT_NE(here, 0u);
  config_.instance = "another";
  config_.pools[0].name = "other";
  config_.services[0].pool = "other";
  EXPECT_EQ(digest(100), here) << "as the same entries lead to the same servers";
  std::ranges::reverse(config_.pools[0].backends);
  EXPECT_EQ(digest(100), here) << "in whatever order they are listed";
  EXPECT_NE(digest(50), here) << "a node that gives one of them another weight";
  EXPECT_NE(digest(100, 7), here) << "a node with a secret";
  EXPECT_NE(digest(100, 7), digest(100, 8)) << "and one with another";
  EXPECT_EQ(digest(100, 7), digest(100, 7));
  config_.pools[0].backends[2].address = ip("10.0.1.99");
  EXPECT_NE(digest(100), here);
}

TEST_F(ModelTest, FindsTablesThatAskForTooMuchMemory) {
  EXPECT_EQ(table_memory_fault(table_memory(config_)), "");
  config_.services.clear();
  for (uint16_t port = 1; port <= 40; port++) {
    add_service("s" + std::to_string(port), port, "");
    config_.services.back().table_size = 5'000'011;
  }
  EXPECT_NE(table_memory_fault(table_memory(config_)).find("381.5 MiB, 192.0 MiB are allowed"), std::string::npos)
      << table_memory_fault(table_memory(config_));
}

TEST_F(ModelTest, HasTableMemoryForAsManyServicesAsThereMayBe) {
  config_.services.clear();
  for (uint16_t port = 1; port <= channel::kMaxServices; port++) {
    add_service("s" + std::to_string(port), port, "");
    config_.services.back().table_size = config::Service().table_size;
  }
  EXPECT_EQ(table_memory_fault(table_memory(config_)), "");
}

TEST(EffectiveWeight, IsTheProductOfItsFactors) {
  EXPECT_EQ(effective_weight({.configured = 200}), 200.0);
  EXPECT_EQ(effective_weight({.configured = 200, .admin = 0}), 0.0);
  EXPECT_EQ(effective_weight({.configured = 200, .health = 0.5, .reachable = 0.5}), 50.0);
  EXPECT_EQ(effective_weight({.configured = 200, .by_hand = 80}), 80.0);
  EXPECT_EQ(effective_weight({.configured = 200, .by_hand = 0}), 0.0);
  const WeightFactors halves{.configured = 256,
                             .by_hand = {},
                             .warm_up = 0.5,
                             .slow_start = 0.5,
                             .health = 0.5,
                             .passive = 0.5,
                             .agent = 0.5,
                             .tier = 0.5,
                             .admin = 0.5,
                             .reachable = 0.5};
  EXPECT_EQ(effective_weight(halves), 1.0);
}

TEST_F(ModelTest, ShowsEveryFactorWithItsReason) {
  Model model = this->model();
  bring_up(model);
  EXPECT_TRUE(model.set_factor(0, &Member::agent, {0.25, "agent: 25%"}));
  EXPECT_TRUE(model.set_factor(0, &Member::passive, {0.5, "greeting takes 900 ms, the pool's median is 90 ms"}));
  EXPECT_FALSE(model.set_factor(0, &Member::passive, {0.5, "still"})) << "only the reason is another";
  EXPECT_TRUE(model.set_admin(0, Admin::kDraining));
  double product = model.members()[0].weight;
  std::map<std::string_view, std::pair<double, std::string>> seen;
  for (const NamedFactor& factor : model.members()[0].explained_factors()) {
    product *= factor.value;
    seen[factor.name] = {factor.value, factor.reason};
  }
  EXPECT_EQ(product, effective_weight(model.members()[0].factors())) << "the list leaves none out";
  EXPECT_EQ(seen["agent"], (std::pair<double, std::string>(0.25, "agent: 25%")));
  EXPECT_EQ(seen["passive"], (std::pair<double, std::string>(0.5, "still")));
  EXPECT_EQ(seen["admin"], (std::pair<double, std::string>(0, "draining by hand")));
  EXPECT_EQ(seen["slow_start"], (std::pair<double, std::string>(1, "")));
}

TEST_F(ModelTest, PlacesByTheFactors) {
  Model model = this->model();
  bring_up(model);
  EXPECT_TRUE(model.set_factor(0, &Member::passive, {0.5, "slow"}));
  model.refresh();
  EXPECT_NEAR(static_cast<double>(entries_of(model, 0, "mta1")), 101 * 0.5 / 2.5, 1);
  EXPECT_EQ(model.desired().backends[0].weight, 50);
  EXPECT_TRUE(model.set_weight_by_hand(0, 800));
  model.refresh();
  EXPECT_NEAR(static_cast<double>(entries_of(model, 0, "mta1")), 101 * 400 / 600.0, 1);
  EXPECT_TRUE(model.set_weight_by_hand(0, std::nullopt));
  EXPECT_TRUE(model.set_factor(0, &Member::passive, {}));
  model.refresh();
  EXPECT_EQ(entries_of(model, 0, "mta1"), 34u);
}

TEST(Journal, ForgetsTheOldestBeyondItsBound) {
  Journal journal;
  spdlog::set_level(spdlog::level::off);
  for (size_t i = 0; i < Journal::kMaxEntries + 10; i++) {
    journal.record(Severity::kInfo, "test", std::to_string(i), "happened");
  }
  spdlog::set_level(spdlog::level::info);
  EXPECT_EQ(journal.entries().size(), Journal::kMaxEntries);
  EXPECT_EQ(journal.entries().front().subject, "10");
}

TEST_F(ModelTest, NamesTheServiceThatABackendBelongsToAlone) {
  add_service("submission", 587, "");
  const auto sole = [](const Desired& desired, size_t backend) { return desired.backends[backend].sole_service; };
  Desired desired = model().desired();
  ASSERT_EQ(desired.backends.size(), 6u);  // each of three on two ports
  EXPECT_EQ(sole(desired, 0), desired.services[0].key);
  EXPECT_EQ(sole(desired, 3), desired.services[1].key);
  // A second VIP on the same port and pool makes replies of its backends ambiguous, under another check too.
  add_service("relay-b", 25, "submission");
  config_.services.back().vip = ip("192.0.2.26");
  desired = model().desired();
  for (size_t i = 0; i < desired.backends.size(); i++) {
    EXPECT_EQ(sole(desired, i), desired.backends[i].port == Be16::of(587) ? desired.services[1].key : 0) << i;
  }
}

TEST_F(ModelTest, ARouteIsATableOfItsPoolForItsService) {
  config_.pools.push_back({.name = "marketing", .check = "relay", .backends = {}});
  config_.pools[1].backends.push_back({.name = "own1", .address = ip("10.0.2.1")});
  config_.services[0].idle_timeout = 900;
  config_.sources.routes = {
      {.from = {*config::IpPrefix::parse("198.51.100.0/24")}, .service = "relay", .pool = "marketing"}};
  Model model = this->model();
  bring_up(model);
  Desired desired = model.desired();
  EXPECT_EQ(desired.services[0].idle_timeout_ms, 900'000u);
  ASSERT_EQ(desired.routes.size(), 1u);
  EXPECT_EQ(desired.routes[0].service, desired.services[0].key);
  EXPECT_TRUE(desired.routes[0].sources->contains(ip("198.51.100.7")));
  EXPECT_FALSE(desired.routes[0].sources->contains(ip("198.51.101.7")));
  ASSERT_EQ(desired.routes[0].table->members.size(), 1u);
  const auto own = std::ranges::find(model.members(), "own1", &Member::name);
  EXPECT_EQ(desired.routes[0].table->members[0], own->key);
  EXPECT_EQ(own->sole_service, desired.services[0].key);
  EXPECT_EQ(entries_of(model, 0, "own1"), 0u);

  model.set_health(static_cast<size_t>(own - model.members().begin()), Health::kDown, "dead");
  model.refresh();
  desired = model.desired();
  EXPECT_TRUE(desired.routes[0].table->entries.empty()) << "nobody else's turn";
  EXPECT_FALSE(desired.services[0].table->entries.empty());
}

}  // namespace
}  // namespace sluice::control
