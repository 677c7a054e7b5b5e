// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/channel/client.h"
#include "controlplane/tables/maglev.h"
#include "tests/controlplane/support/fake_dataplane.h"

namespace sluice::control {

inline constexpr uint32_t kWorkers = 2;
inline constexpr ChannelClient::Retry kQuick{std::chrono::milliseconds(1), std::chrono::milliseconds(4)};

class Channel : public testing::Test {
 protected:
  Channel() {
    char name[] = "/tmp/sluice-channel-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ + "/channel.sock";
    client_ = std::make_unique<ChannelClient>(
        io_, path_,
        ChannelClient::Handlers{.connected = [this](uint32_t) { connections_++; },
                                .disconnected = [this](const std::string& why) { reasons_.push_back(why); },
                                .fault = [this](const std::string& fault) { faults_.push_back(fault); },
                                .in_use = [this](std::chrono::microseconds t) { latencies_.push_back(t); }},
        kQuick);
  }
  ~Channel() override {
    client_->stop();
    io_.poll();
    client_.reset();
    std::filesystem::remove_all(directory_);
  }

  void start_dataplane() { dataplane_ = std::make_unique<FakeDataplane>(path_, kWorkers); }

  /// Lets both sides run until `done`; the data plane applies what it gets.
  template <typename Condition>
  void run_until(Condition done, bool apply = true) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "nothing came of it";
      io_.run_for(std::chrono::microseconds(200));
      io_.restart();
      if (!dataplane_) continue;
      dataplane_->accept_one();
      if (apply) {
        dataplane_->apply_all();
      } else if (dataplane_->connected() && !dataplane_->spoil) {
        for (uint32_t w = 0; w < kWorkers; w++) dataplane_->apply(w, 0);  // moves, takes nothing
      }
    }
  }
  void settle() {
    run_until([&] { return client_->is_settled(); });
  }
  void publish(const Desired& desired) { client_->publish(desired, ChannelClient::Clock::now()); }

  static DesiredBackend backend(uint64_t key) {
    DesiredBackend out;
    out.key = key;
    out.address = Address::v4(Be32::of(0x0a000000 + static_cast<uint32_t>(key)));
    out.port = Be16::of(25);
    out.flags = channel::kBackendReachable;
    out.weight = 100;
    return out;
  }
  static std::shared_ptr<const Table> table(std::vector<uint64_t> members, uint32_t entries = 101) {
    std::vector<std::string> names;
    for (const uint64_t key : members) names.push_back("b" + std::to_string(key));
    std::vector<MaglevMember> list(names.begin(), names.end());
    auto out = std::make_shared<Table>();
    out->members = std::move(members);
    if (!out->members.empty()) out->entries = build_maglev(list, entries);
    return out;
  }
  static DesiredService service(uint64_t key, std::shared_ptr<const Table> table) {
    DesiredService out;
    out.key = key;
    out.vip = {Address::v4(Be32::of(0xc0000200 + static_cast<uint32_t>(key))), Be16::of(25)};
    out.table = std::move(table);
    return out;
  }
  static Desired two_services() {
    return {{backend(1), backend(2), backend(3)}, {service(11, table({1, 2, 3})), service(12, table({2}))}, {}};
  }
  uint16_t id_of(uint64_t key, uint32_t w = 0) {
    for (const auto& [id, put] : dataplane_->worker(w).backends) {
      if (put.key == key) return id;
    }
    return channel::kNoBackend;
  }
  uint16_t service_id(uint64_t key, uint32_t w = 0) {
    for (const auto& [id, put] : dataplane_->worker(w).services) {
      if (put.key == key) return id;
    }
    return channel::kNoService;
  }

  boost::asio::io_context io_;
  std::string directory_, path_;
  std::unique_ptr<ChannelClient> client_;
  std::unique_ptr<FakeDataplane> dataplane_;
  int connections_ = 0;
  std::vector<std::string> reasons_, faults_;
  std::vector<std::chrono::microseconds> latencies_;
};

}  // namespace sluice::control
