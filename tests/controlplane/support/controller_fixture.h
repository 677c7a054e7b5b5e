// SPDX-License-Identifier: Apache-2.0
//
// Control as a whole over a data plane of which only the channel is real, in a network namespace of the test's own: all
// backends lie behind one gateway whose address is known. Needs root and iproute2; skipped without.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "controlplane/process/controller.h"
#include "tests/controlplane/support/fake_dataplane.h"
#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {

inline constexpr const char* kSetUp =
    "ip link set lo up && ip link add slb0 address 02:00:00:00:00:b0 type veth peer name far0 && "
    "ip addr add 10.9.1.1/24 dev slb0 && "
    "ip link set slb0 up && ip link set far0 up && ip route add 10.20.0.0/16 via 10.9.1.2 && "
    "ip neigh add 10.9.1.2 lladdr 02:00:00:00:00:99 nud permanent dev slb0";
inline constexpr uint32_t kWorkers = 2;

inline channel::PortStatus front_port() {
  return {.name = "front", .twin = "slf0", .driver = "net_null", .mac = {{2, 0, 0, 0, 0, 0xf0}}, .link_up = 1};
}
inline channel::PortStatus back_port(uint16_t vlan = 0) {
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
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "nothing came of it";
      io_.run_for(std::chrono::microseconds(100));
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

  static inline bool ready_ = false;
  StateDirectory directory_;
  boost::asio::io_context io_;
  std::unique_ptr<FakeDataplane> dataplane_;
  std::unique_ptr<Controller> controller_;
};

}  // namespace sluice::control
