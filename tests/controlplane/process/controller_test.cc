// SPDX-License-Identifier: Apache-2.0
//
// Control as a whole over a data plane of which only the channel is real, in a network namespace of the test's own: all
// backends lie behind one gateway whose address is known. Needs root and iproute2; skipped without.
//
// SLUICE_RELOADS sets how many reloads the test of memory does (10000 for the whole one: some minutes).
#include "controlplane/process/controller.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <set>

#include "tests/controlplane/support/fake_dataplane.h"
#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;

constexpr const char* kSetUp =
    "ip link set lo up && ip link add slb0 address 02:00:00:00:00:b0 type veth peer name far0 && "
    "ip addr add 10.9.1.1/24 dev slb0 && "
    "ip link set slb0 up && ip link set far0 up && ip route add 10.20.0.0/16 via 10.9.1.2 && "
    "ip neigh add 10.9.1.2 lladdr 02:00:00:00:00:99 nud permanent dev slb0";
constexpr uint32_t kWorkers = 2;

channel::PortStatus front_port() {
  return {.name = "front", .twin = "slf0", .driver = "net_null", .mac = {{2, 0, 0, 0, 0, 0xf0}}, .link_up = 1};
}
channel::PortStatus back_port(uint16_t vlan = 0) {
  return {
      .name = "back", .twin = "slb0", .driver = "net_null", .mac = {{2, 0, 0, 0, 0, 0xb0}}, .vlan = vlan, .link_up = 1};
}

class ControllerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ready_ = geteuid() == 0 && unshare(CLONE_NEWNET) == 0 &&
             std::system((std::string("{ ") + kSetUp + "; } 2>/dev/null").c_str()) == 0;
  }
  void SetUp() override {
    if (!ready_) GTEST_SKIP() << "needs root and iproute2";
    setenv("SLUICE_RUNTIME_DIR", directory_.file("run").c_str(), 1);
    setenv("SLUICE_STATE_DIR", directory_.file("state").c_str(), 1);
    std::filesystem::create_directories(directory_.file("run/test"));
    spdlog::set_level(spdlog::level::off);
  }
  void TearDown() override {
    if (controller_) controller_->stop();
    io_.poll();
    controller_.reset();
    spdlog::set_level(spdlog::level::info);
  }

  struct Shape {
    uint32_t backends = 3;
    uint32_t first = 0;  // number of the first backend
    uint32_t first_weight = 100;
    const char* check = "";
    const char* more = "";  // settings beside
    const char* ports = R"({ name = "back"; device = "net_null0"; twin = "slb0"; })";
  };
  void write(const Shape& shape) {
    std::string text = std::string("instance = \"test\";\ndataplane: { ports = ( ") + shape.ports +
                       " ); };\n"
                       "control: { http = \"\"; };\nchecks: { greet: { type = \"banner\"; interval = 3600.0; }; };\n";
    text += std::string(shape.more) + "\npools = ( { name = \"mta\"; check = \"" + shape.check + "\"; backends = (\n";
    for (uint32_t i = shape.first; i < shape.first + shape.backends; i++) {
      text += (i == shape.first ? "" : ",\n") + std::string("{ name = \"m") + std::to_string(i) +
              "\"; address = \"10.20." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250) +
              "\"; weight = " + std::to_string(i == shape.first ? shape.first_weight : 100) + "; }";
    }
    text += " ); } );\nservices = ( { name = \"relay\"; vip = \"192.0.2.25\"; pool = \"mta\"; } );\n";
    directory_.write("test.cfg", text);
  }
  void start() {
    start_dataplane({back_port()});
    start_control();
  }
  void start_dataplane(const std::vector<channel::PortStatus>& ports) {
    dataplane_ = std::make_unique<FakeDataplane>(directory_.file("run/test/channel.sock"), kWorkers);
    dataplane_->publish_ports(ports);
  }
  /// Another process in its place.
  void restart_dataplane(const std::vector<channel::PortStatus>& ports) {
    static uint64_t start_time_ms = 1;
    dataplane_->restart(start_time_ms++);
    dataplane_->publish_ports(ports);
    const uint64_t before = dataplane_->epoch();
    run_until([&] { return dataplane_->epoch() != before && controller_->channel().publisher() != nullptr; });
    settle();
  }
  /// What a worker was told of m0.
  channel::PutBackend told() { return dataplane_->worker(0).backends.at(ids().at("m0")); }
  bool journal_says(const std::string& text) {
    return directory_.read("state/test/events.jsonl").find(text) != std::string::npos;
  }
  void start_control() {
    const std::string path = directory_.file("test.cfg");
    const auto config = config::load(path);
    ASSERT_TRUE(config) << config.error().front().to_string();
    controller_ = std::make_unique<Controller>(io_, *config, path);
    controller_->start();
    run_until([&] { return controller_->channel().publisher() != nullptr; });
    settle();
  }
  /// Lets both sides run until `done`.
  template <typename Condition>
  void run_until(Condition done) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "nothing came of it";
      io_.run_for(100us);
      io_.restart();
      dataplane_->accept_one();
      dataplane_->apply_all();
    }
  }
  /// Until what has changed is in use.
  void settle() {
    io_.poll();  // what was posted
    io_.restart();
    run_until([&] { return controller_->channel().is_settled(); });
  }
  std::map<std::string, uint16_t> ids() {
    std::map<std::string, uint16_t> out;
    for (const Member& member : controller_->model().members()) {
      if (member.removal) continue;
      out[member.name] = controller_->channel().publisher()->backend_id(member.key);
    }
    return out;
  }
  std::set<uint16_t> table() {
    const auto entries = dataplane_->table(1, 0);
    return {entries.begin(), entries.end()};
  }

  static bool ready_;
  StateDirectory directory_;
  boost::asio::io_context io_;
  std::unique_ptr<FakeDataplane> dataplane_;
  std::unique_ptr<Controller> controller_;
};

bool ControllerTest::ready_ = false;

TEST_F(ControllerTest, AReloadLeavesBackendsThatStayUntouched) {
  write({.backends = 3});
  start();
  const auto before = ids();
  ASSERT_EQ(table(), (std::set<uint16_t>{before.at("m0"), before.at("m1"), before.at("m2")}));
  for (uint32_t w = 0; w < kWorkers; w++) dataplane_->worker(w).named_backends.clear();
  write({.backends = 3, .first = 1, .first_weight = 50});
  const Reloaded plan = controller_->reload();
  ASSERT_TRUE(plan) << plan.error().front();
  EXPECT_EQ(plan->summary(), "3 changes; 0 open flows of what is removed go on");
  settle();
  const auto after = ids();
  EXPECT_EQ(after.at("m1"), before.at("m1"));
  EXPECT_EQ(after.at("m2"), before.at("m2"));
  for (uint32_t w = 0; w < kWorkers; w++) {
    auto& worker = dataplane_->worker(w);
    EXPECT_EQ(worker.backends.at(before.at("m0")).weight, 0) << "it drains";
    EXPECT_EQ(worker.backends.at(after.at("m1")).weight, 50);
    EXPECT_EQ(worker.named_backends.count(after.at("m2")), 0u) << "nothing was said of what has not changed";
    EXPECT_EQ(worker.backends.at(after.at("m3")).flags, channel::kBackendReachable);
  }
  EXPECT_EQ(table(), (std::set<uint16_t>{after.at("m1"), after.at("m2"), after.at("m3")})) << "all in one aim";
}

TEST_F(ControllerTest, AFaultyFileChangesNothing) {
  write({.backends = 3});
  start();
  const auto before = ids();
  const auto put = dataplane_->worker(0).services.at(0).table_generation;
  write({.backends = 2, .more = "pols = 1; dataplane = 2;"});
  const Reloaded refused = controller_->reload();
  ASSERT_FALSE(refused);
  EXPECT_GE(refused.error().size(), 2u) << "all faults, not only the first";
  settle();
  EXPECT_EQ(ids(), before);
  EXPECT_EQ(dataplane_->worker(0).services.at(0).table_generation, put);
  // Sound in itself, but no check can be run by it.
  write({.backends = 2, .more = "checks2 = 1;"});
  EXPECT_FALSE(controller_->reload());
  std::filesystem::remove(directory_.file("test.cfg"));
  ASSERT_FALSE(controller_->reload());
  EXPECT_EQ(controller_->model().members().size(), 3u);
  write({.backends = 2});
  EXPECT_TRUE(controller_->reload());
  settle();
  EXPECT_EQ(ids().size(), 2u);
}

TEST_F(ControllerTest, AReloadTellsEachWarningOnce) {
  write({.backends = 1});
  start();
  EXPECT_FALSE(journal_says("warning: "));
  const auto warnings = [&] {
    const std::string events = directory_.read("state/test/events.jsonl");
    size_t count = 0;
    for (size_t at = events.find("every weight is 0"); at != std::string::npos;
         at = events.find("every weight is 0", at + 1))
      count++;
    return count;
  };
  const auto reload = [&](uint32_t weight, const char* more) {
    write({.backends = 1, .first_weight = weight, .more = more});
    const Reloaded plan = controller_->reload();
    settle();
    EXPECT_TRUE(plan);
    std::vector<std::string> out = plan ? plan->warnings : std::vector<std::string>{};
    std::erase_if(out, [](const std::string& warning) { return warning.find("weight") == std::string::npos; });
    return out;
  };
  const std::vector<std::string> told = reload(0, "");
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].starts_with(directory_.file("test.cfg") + ":6: warning: pools[0].backends: every weight is 0"))
      << told[0];
  EXPECT_TRUE(journal_says(R"(test.cfg:6: warning: pools[0].backends: every weight is 0)"));
  EXPECT_EQ(warnings(), 1u);
  EXPECT_EQ(reload(0, "\n\n").size(), 1u) << "it stands on another line, and is the same";
  EXPECT_EQ(warnings(), 1u);
  EXPECT_TRUE(reload(100, "").empty());
  EXPECT_EQ(reload(0, "").size(), 1u);
  EXPECT_EQ(warnings(), 2u) << "it had gone";
}

TEST_F(ControllerTest, AReloadSaysWhatWaitsForARestartAndLeavesIt) {
  write({.backends = 3});
  start();
  directory_.write("test.cfg",
                   std::string(directory_.read("test.cfg"))
                       .replace(directory_.read("test.cfg").find("twin = \"slb0\""), 13, "twin = \"slb9\""));
  const Reloaded plan = controller_->reload();
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->dataplane_restart, std::vector<std::string>{"dataplane.ports"});
  EXPECT_TRUE(plan->changes.empty());
  settle();
  EXPECT_EQ(table().size(), 3u);
  EXPECT_EQ(controller_->reload()->dataplane_restart.size(), 1u) << "still waiting";
}

constexpr const char* kFrontAndBack =
    R"({ name = "front"; device = "net_null1"; twin = "slf0"; faces = "clients"; },
       { name = "back"; device = "net_null0"; twin = "slb0"; faces = "backends"; vlan = 7; })";

TEST_F(ControllerTest, APortMaySitAnywhereInTheDataPlane) {
  write({.backends = 1});
  start_dataplane({front_port(), back_port()});
  start_control();
  EXPECT_EQ(told().flags & channel::kBackendReachable, channel::kBackendReachable);
  EXPECT_EQ(told().port_index, 1) << "by name, not by its place in our file";
}

TEST_F(ControllerTest, PortsThatAReloadChangesAreTakenUpWhenTheDataPlaneHasRestarted) {
  write({.backends = 1});
  start();
  ASSERT_EQ(told().port_index, 0);
  write({.backends = 1, .ports = kFrontAndBack});
  const Reloaded plan = controller_->reload();
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->dataplane_restart, std::vector<std::string>{"dataplane.ports"});
  settle();
  EXPECT_EQ(told().port_index, 0) << "it runs with the old ones still";
  restart_dataplane({front_port(), back_port(7)});
  EXPECT_EQ(told().port_index, 1);
  EXPECT_EQ(told().vlan, 7);
  EXPECT_EQ(told().flags & channel::kBackendReachable, channel::kBackendReachable);
  const Reloaded again = controller_->reload();
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->is_empty()) << "nothing waits any more";
}

TEST_F(ControllerTest, ADataPlaneWithPortsThatOurFileHasNotIsRefusedUntilAReload) {
  write({.backends = 1});
  start();
  restart_dataplane({front_port(), back_port(7)});
  EXPECT_EQ(told().flags & channel::kBackendReachable, 0) << "nothing leaves in the wrong VLAN";
  EXPECT_EQ(controller_->model().members()[0].state(), "unreachable");
  EXPECT_NE(controller_->model().members()[0].reason().find("no VLAN here and VLAN 7 in the data plane"),
            std::string::npos)
      << controller_->model().members()[0].reason();
  EXPECT_TRUE(journal_says("no backend is reached through it: it has no VLAN here and VLAN 7 in the data plane"));
  write({.backends = 1, .ports = kFrontAndBack});
  const Reloaded plan = controller_->reload();
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->dataplane_restart.empty()) << "the data plane runs with this file";
  settle();
  EXPECT_EQ(told().flags & channel::kBackendReachable, channel::kBackendReachable);
  EXPECT_EQ(told().port_index, 1);
  EXPECT_EQ(told().vlan, 7);
}

TEST_F(ControllerTest, AControlThatStartsBeforeTheDataPlaneHasRestartedRefusesAndThenAgrees) {
  write({.backends = 1, .ports = kFrontAndBack});
  start();  // the data plane still has one port and no VLAN
  EXPECT_EQ(told().flags & channel::kBackendReachable, 0);
  restart_dataplane({front_port(), back_port(7)});
  EXPECT_EQ(told().flags & channel::kBackendReachable, channel::kBackendReachable);
  EXPECT_EQ(told().port_index, 1);
  EXPECT_TRUE(journal_says("it is the data plane's again"));
}

TEST_F(ControllerTest, ATwinWithAnotherMacAddressThanTheCardIsRefused) {
  write({.backends = 1});
  channel::PortStatus other_card = back_port();
  other_card.mac.bytes[5] = 0xb1;
  start_dataplane({other_card});
  start_control();
  EXPECT_EQ(told().flags & channel::kBackendReachable, 0);
  EXPECT_NE(controller_->model().members()[0].reason().find("02:00:00:00:00:b0, the card has 02:00:00:00:00:b1"),
            std::string::npos)
      << controller_->model().members()[0].reason();
}

TEST_F(ControllerTest, ALinkThatGoesAndComesIsToldAndChangesNoBackend) {
  write({.backends = 1});
  start();
  dataplane_->port(0).link_up = 0;
  run_until([&] { return !controller_->model().ports()[0].link_up; });
  EXPECT_TRUE(journal_says("link down"));
  EXPECT_EQ(controller_->model().members()[0].state(), "up") << "our own link is no word about a backend";
  EXPECT_EQ(told().flags & channel::kBackendReachable, channel::kBackendReachable);
  dataplane_->port(0).link_up = 1;
  run_until([&] { return controller_->model().ports()[0].link_up; });
  EXPECT_TRUE(journal_says("link up"));
  dataplane_->port(0).link_changes += 2;
  run_until([&] { return journal_says("its link went and came back between two looks at it"); });
}

TEST_F(ControllerTest, AMemberOfABondThatLosesItsLinkIsTold) {
  write({.backends = 1});
  start();
  channel::BondMember& member = dataplane_->port(0).members[0];
  strcpy(member.device, "0000:3b:00.0");
  member.link_up = 1;
  const auto seen_by = std::chrono::steady_clock::now() + 2 * Ports::kPeriod;
  run_until([&] { return std::chrono::steady_clock::now() > seen_by; });
  member.link_up = 0;
  run_until([&] { return journal_says("0000:3b:00.0, of its bond: link down"); });
  member.link_up = 1;
  run_until([&] { return journal_says("0000:3b:00.0, of its bond: link up"); });
}

TEST_F(ControllerTest, StateOutlivesTheProcess) {
  write({.backends = 3});
  start();
  directory_.write(
      "state/test/by-hand.json",
      R"({"version": 1, "backends": {"mta/m1": {"admin": "draining", "admin_since_ms": 1, "flows_cut": 0}}})");
  controller_->stop();
  io_.poll();
  controller_.reset();
  io_.restart();
  start_control();
  EXPECT_EQ(controller_->model().members()[1].state(), "draining");
  EXPECT_EQ(table(), (std::set<uint16_t>{ids().at("m0"), ids().at("m2")}));
  EXPECT_NE(directory_.read("state/test/events.jsonl").find("stopping; packets go by the last state"),
            std::string::npos);
}

/// The least processor time of ten reloads until what they change is in use on every worker, as the machine may be busy
/// with something else.
template <typename Reload>
std::chrono::nanoseconds least_work(Reload reload) {
  auto best = std::chrono::nanoseconds::max();
  for (uint32_t i = 0; i < 10; i++) {
    const std::clock_t before = std::clock();
    reload(i);
    const std::chrono::duration<double> took(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC);
    best = std::min(best, std::chrono::duration_cast<std::chrono::nanoseconds>(took));
  }
  return best;
}

TEST_F(ControllerTest, WhatAReloadCostsGrowsAsTheBackendsDo) {
  write({.backends = 1000});
  start();
  const auto reload = [this](uint32_t backends, uint32_t weight) {
    write({.backends = backends, .first = 1, .first_weight = weight, .check = "greet"});
    ASSERT_TRUE(controller_->reload());
    settle();
  };
  reload(1000, 40);
  const auto many = least_work([&](uint32_t i) { reload(1000, 50 + i); });
  ASSERT_EQ(table().size(), 999u) << "and one that was never checked waits for its verdict";
  reload(100, 40);
  const auto few = least_work([&](uint32_t i) { reload(100, 50 + i); });
  std::printf("a reload takes %.1f ms with 1000 backends, %.1f ms with 100\n",
              std::chrono::duration<double, std::milli>(many).count(),
              std::chrono::duration<double, std::milli>(few).count());
  EXPECT_LT(many, 30 * few) << "ten times as many; were it by each other one, it would be a hundred times";
}

TEST_F(ControllerTest, ReloadsLeaveNothingBehindInMemory) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer's allocator keeps no such figures; it finds leaks itself";
#endif
  const char* wanted = std::getenv("SLUICE_RELOADS");
  const uint32_t reloads = wanted != nullptr ? static_cast<uint32_t>(std::atoi(wanted)) : 200;
  const uint32_t backends = 1000;
  write({.backends = backends});
  start();
  size_t before = 0;
  for (uint32_t i = 0; i < reloads; i++) {
    if (i == reloads / 2) before = mallinfo2().uordblks;
    write({.backends = backends, .first = i % 2, .first_weight = 50 + i % 7, .check = "greet"});
    ASSERT_TRUE(controller_->reload());
    settle();
    ASSERT_FALSE(HasFatalFailure());
  }
  const auto grown = static_cast<int64_t>(mallinfo2().uordblks) - static_cast<int64_t>(before);
  std::printf("%u reloads: %lld bytes more in use than after half of them\n", reloads, static_cast<long long>(grown));
  // What is under way (probes, journal entries) differs by less; a model that is left behind has megabytes.
  EXPECT_LT(grown, 1'000'000);
}

}  // namespace
}  // namespace sluice::control
