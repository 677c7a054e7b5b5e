// SPDX-License-Identifier: Apache-2.0
//
// Real probes of servers on loopback addresses, through the rules, into a model.
#include "controlplane/process/verdicts.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "tests/controlplane/support/model_fixture.h"
#include "tests/healthcheck/scripted_server.h"
#include "tests/support/ip.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using health::testing::run_for;
using health::testing::run_until;
using health::testing::ScriptedServer;
using health::testing::smtp_server;

class VerdictsTest : public ModelTest {
 protected:
  VerdictsTest() {
    spdlog::set_level(spdlog::level::off);
    config_.dataplane.ports = {{.name = "front", .twin = "slf0"}, {.name = "back", .twin = "slb0"}};
    config_.checks[0] = {.name = "relay",
                         .type = config::CheckType::kBanner,
                         .interval = 60ms,
                         .fast_interval = 30ms,
                         .connect_timeout = 2s,
                         .greeting_timeout = 2s,
                         .command_timeout = 2s,
                         .rise = 2,
                         .fall = 3};
    for (size_t i = 0; i < 3; i++) {
      const std::string address = "127.0.0." + std::to_string(i + 1);
      servers_.push_back(std::make_unique<ScriptedServer>(io_, smtp_server(), address));
      config_.pools[0].backends[i].address = ip(address);
      config_.pools[0].backends[i].port = servers_[i]->port();
    }
  }
  ~VerdictsTest() override {
    if (verdicts_) verdicts_->stop();
    spdlog::set_level(spdlog::level::info);
  }

  /// All up, connected to the data plane and reachable.
  void start() {
    model_ = std::make_unique<Model>(config_, journal_);
    verdicts_ = std::make_unique<Verdicts>(
        io_, *model_, prober_, journal_,
        Verdicts::Hooks{
            .changed = [this](auto, bool) { model_->refresh(); },
            .calm = [this] { calm_++; },
            .has_route = [](const config::IpAddress&) { return true; },
            .packets_from =
                [this](const Member& member) { return packets_from_ ? packets_from_(member) : std::nullopt; }});
    verdicts_->follow(config_);
    aim_probes();
    verdicts_->start();
    verdicts_->on_channel(true, "");
    for (const Member& member : model_->members()) verdicts_->on_reachability(member.address, kHop);
    ASSERT_TRUE(run_until(io_, [&] { return states() == "up up up " && !verdicts_->is_awaiting(); })) << states();
  }
  void aim_probes() {
    std::vector<health::Target> targets;
    for (const Member& member : model_->members())
      targets.push_back({member.label(), member.address, member.port, config_.checks[0]});
    ASSERT_TRUE(prober_.set_targets(targets));
  }
  std::string states() const {
    std::string out;
    for (const Member& member : model_->members()) out += std::string(member.state()) + " ";
    return out;
  }
  bool is_cut(size_t member) const { return (model_->desired().backends[member].flags & channel::kBackendDown) != 0; }

  boost::asio::io_context io_;
  health::Prober prober_{io_.get_executor()};
  std::unique_ptr<Model> model_;
  std::unique_ptr<Verdicts> verdicts_;
  std::vector<std::unique_ptr<ScriptedServer>> servers_;  // after what the loop calls: they run it as they end
  std::function<std::optional<uint64_t>(const Member&)> packets_from_;
  int calm_ = 0;
};

TEST_F(VerdictsTest, CutsTheSessionsOfAServerThatNobodyListensAtAnyMore) {
  start();
  servers_[1].reset();
  ASSERT_TRUE(run_until(io_, [&] { return is_cut(1); })) << states();
  EXPECT_EQ(states(), "up down up ");
  EXPECT_FALSE(model_->placements()[0].panic);
  EXPECT_EQ(entries_of(*model_, 0, "mta2"), 0u);
}

TEST_F(VerdictsTest, KeepsTheSessionsOfAServerThatSaysTheWrongThing) {
  start();
  servers_[1]->play(smtp_server("554 5.3.2 closed\r\n"));
  ASSERT_TRUE(run_until(io_, [&] { return states() == "up down up "; })) << states();
  run_for(io_, 300ms);
  EXPECT_FALSE(is_cut(1));
  EXPECT_EQ(entries_of(*model_, 0, "mta2"), 0u) << "but new ones go elsewhere";
}

/// Listens, and answers nobody any more: its queue of connections is full.
class FullQueue {
 public:
  FullQueue(const std::string& address, uint16_t port) : listener_(io_) {
    const tcp::endpoint endpoint{boost::asio::ip::make_address(address), port};
    listener_.open(endpoint.protocol());
    listener_.set_option(tcp::acceptor::reuse_address(true));
    listener_.bind(endpoint);
    listener_.listen(0);
    for (tcp::socket& socket : waiting_) socket.async_connect(endpoint, [](const boost::system::error_code&) {});
    io_.poll();
  }

 private:
  using tcp = boost::asio::ip::tcp;
  boost::asio::io_context io_;
  tcp::acceptor listener_;
  std::array<tcp::socket, 2> waiting_{tcp::socket(io_), tcp::socket(io_)};
};

TEST_F(VerdictsTest, KeepsTheSessionsOfAServerWhoseQueueIsFullWhileItSpeaksInThem) {
  config_.checks[0].connect_timeout = 100ms;
  uint64_t packets = 0;
  packets_from_ = [&](const Member& member) { return std::optional(member.name == "mta2" ? ++packets : 7); };
  start();
  const uint16_t port = servers_[1]->port();
  servers_[1].reset();
  const FullQueue full("127.0.0.2", port);
  ASSERT_TRUE(run_until(io_, [&] { return states() == "up down up "; })) << states();
  run_for(io_, 1s);
  EXPECT_FALSE(is_cut(1));
  EXPECT_EQ(entries_of(*model_, 0, "mta2"), 0u) << "but new ones go elsewhere";
  packets_from_ = [](const Member&) { return std::optional<uint64_t>(7); };
  ASSERT_TRUE(run_until(io_, [&] { return is_cut(1); })) << "when they are silent as well, it is dead";
}

class WhatDrains : public VerdictsTest, public testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(OfAPool, WhatDrains, testing::Bool(),
                         [](const auto& with_pool) { return with_pool.param ? "ThatIsEmpty" : "ThatIsGone"; });

TEST_P(WhatDrains, IsOneEventToo) {
  start();
  if (GetParam()) {
    config_.pools[0].backends.clear();
  } else {
    config_.pools.clear();
    config_.services.clear();
  }
  Model next(config_, journal_);
  next.take_over(*model_);
  next.refresh();
  *model_ = std::move(next);
  ASSERT_EQ(model_->members().size(), 3u);
  aim_probes();
  verdicts_->follow(config_);
  verdicts_->on_channel(false, "it is away");
  verdicts_->on_channel(true, "");
  ASSERT_TRUE(run_until(io_, [&] { return !verdicts_->is_awaiting(); }));
  for (auto& server : servers_) server.reset();
  const auto all_fail = [&] {
    return std::ranges::all_of(model_->members(), [](const Member& each) { return each.health == Health::kDown; });
  };
  ASSERT_TRUE(run_until(io_, all_fail)) << states();
  run_for(io_, 600ms);
  for (size_t i = 0; i < 3; i++) EXPECT_FALSE(is_cut(i)) << "the cause may be ours";
}

TEST_F(VerdictsTest, AllThatFailAtOnceGoOnAsBeforeForTheHoldAndAreGivenUpThen) {
  config_.pools[0].panic_hold = 2s;
  start();
  const auto table = model_->desired().services[0].table;
  for (auto& server : servers_) server.reset();
  ASSERT_TRUE(run_until(io_, [&] { return states() == "held held held "; })) << states();
  EXPECT_EQ(model_->desired().services[0].table->entries, table->entries);
  for (size_t i = 0; i < 3; i++) EXPECT_FALSE(is_cut(i));
  EXPECT_TRUE(model_->placements()[0].in_service);
  EXPECT_TRUE(journal_says("mta:25 (relay)", "panic: "));
  ASSERT_TRUE(run_until(io_, [&] { return is_cut(0) && is_cut(1) && is_cut(2); })) << states();
  EXPECT_TRUE(journal_says("mta:25 (relay)", "panic is over"));
}

TEST_F(VerdictsTest, NobodyIsEverLeftBecauseOfAWrongPattern) {
  config_.pools[0].panic_hold = 300ms;
  start();
  for (auto& server : servers_) server->play(smtp_server("554 5.3.2 closed\r\n"));
  ASSERT_TRUE(run_until(io_, [&] { return states() == "held held held "; })) << states();
  run_for(io_, 1s);
  EXPECT_EQ(states(), "held held held ");
  EXPECT_FALSE(model_->placements()[0].panic->until);
}

TEST_F(VerdictsTest, WhileThePortIsDownNothingCountsAndAfterwardsOnlyWhatIsNew) {
  start();
  const int calm_before = calm_;
  verdicts_->on_way("back", WaySource::kCard, false, "the card has no link");
  // kHop leaves by port 1, which is "back".
  for (auto& server : servers_) server->play(smtp_server("554 5.3.2 closed\r\n"));
  run_for(io_, 500ms);
  EXPECT_EQ(states(), "up up up ");
  verdicts_->on_way("front", WaySource::kTwin, false, "twin slf0 is down");
  for (auto& server : servers_) server->play(smtp_server());
  verdicts_->on_way("back", WaySource::kCard, true, "");
  ASSERT_TRUE(run_until(io_, [&] { return calm_ > calm_before; })) << "each has its verdict";
  EXPECT_EQ(states(), "up up up ");
  EXPECT_TRUE(journal_says("back", "the card has no link: its backends go on as before"));
}

TEST_F(VerdictsTest, ALostNextHopOfAllIsHeldAndOfOneIsNot) {
  start();
  const Reachability lost = std::unexpected("no answer to ARP or ND");
  verdicts_->on_reachability(model_->members()[0].address, lost);
  ASSERT_TRUE(run_until(io_, [&] { return states() == "unreachable up up "; })) << states();
  EXPECT_EQ(model_->desired().backends[0].flags, 0);
  for (size_t i = 1; i < 3; i++) verdicts_->on_reachability(model_->members()[i].address, lost);
  ASSERT_TRUE(run_until(io_, [&] { return states() == "held held held "; })) << states();
  for (size_t i = 0; i < 3; i++) EXPECT_EQ(model_->desired().backends[i].flags, channel::kBackendReachable);
}

}  // namespace
}  // namespace sluice::control
