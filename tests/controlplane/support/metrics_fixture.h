// SPDX-License-Identifier: Apache-2.0
//
// The page of metrics over a model, behind a data plane of which only the channel and its memory are real.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "controlplane/announce/announcer.h"
#include "controlplane/discovery/discovery.h"
#include "controlplane/fleet/fleet.h"
#include "controlplane/metrics/metrics.h"
#include "controlplane/records/session_records.h"
#include "tests/controlplane/support/fake_dataplane.h"
#include "tests/controlplane/support/model_fixture.h"

namespace sluice::control {

inline std::string text_of(LongAnswer answer) {
  return std::move(answer).whole().body;
}

/// What the page says of these services or backends.
template <typename Row>
std::string page_of(std::vector<Row> of) {
  const auto rows = std::make_shared<LabelledRows<Row>>();
  for (Row& row : of) rows->add(std::move(row));
  MetricsPage page;
  if constexpr (std::is_same_v<Row, ServiceRow>) {
    add_services(page, rows, of.size());
  } else {
    add_backends(page, rows, of.size());
  }
  return text_of(std::move(page).take(std::make_shared<size_t>(0)));
}

/// A page taken apart: what is declared, and each sample's value by its name and labels.
struct Page {
  std::map<std::string, std::string> types;
  std::map<std::string, double> samples;
  std::vector<std::string> repeated;

  explicit Page(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("# TYPE ")) {
        const size_t end = line.find(' ', 7);
        types[line.substr(7, end - 7)] = line.substr(end + 1);
      } else if (!line.starts_with('#')) {
        const size_t end = line.rfind(' ');
        if (!samples.emplace(line.substr(0, end), std::stod(line.substr(end + 1))).second)
          repeated.push_back(line.substr(0, end));
      }
    }
  }
  double operator[](const std::string& sample) const {
    const auto found = samples.find(sample);
    EXPECT_NE(found, samples.end()) << sample;
    return found == samples.end() ? -1 : found->second;
  }
  bool has(const std::string& sample) const { return samples.contains(sample); }
  /// How many samples hold `text`.
  size_t count(const std::string& text) const {
    return static_cast<size_t>(std::ranges::count_if(
        samples, [&](const auto& sample) { return sample.first.find(text) != std::string::npos; }));
  }
};

/// The model of ModelTest behind a data plane of two workers, of which only the memory is real.
class Metrics : public ModelTest {
 protected:
  Metrics() {
    char name[] = "/tmp/sluice-metrics-XXXXXX";
    directory_ = mkdtemp(name);
    config_.instance = "edge1";
  }
  ~Metrics() override {
    if (client_) client_->stop();
    if (announcer_) announcer_->stop();
    if (fleet_) fleet_->stop();
    io_.poll();
    announcer_.reset();
    fleet_.reset();
    records_.reset();
    client_.reset();
    std::filesystem::remove_all(directory_);
  }

  void start() {
    model_.emplace(config_, journal_);
    client_ = std::make_unique<ChannelClient>(
        io_, directory_ + "/channel.sock", ChannelClient::Handlers{},
        ChannelClient::Retry{std::chrono::milliseconds(1), std::chrono::milliseconds(4)});
    context_.reset(new ApiContext{config_, *model_, *client_, journal_, dataplane_, journal_.now()});
    context_->configuration = &configuration_;
    // Its VIPs stay withdrawn, so that the kernel gets no route.
    config::Config announcing;
    announcing.announce.mode = config::AnnounceMode::kRoutes;
    announcing.announce.table = UINT32_MAX;
    announcer_ = std::make_unique<Announcer>(
        io_, *model_, journal_, directory_,
        Announcer::Hooks{.fault = [] { return "away"; }, .flows = [] { return std::nullopt; }});
    announcer_->start(announcing);
    announcer_->update();
    context_->announcer = announcer_.get();
    records_ = std::make_unique<SessionRecords>(io_, *model_, *client_, journal_, "edge1");
    context_->records = records_.get();
    std::vector<config::Pool> pools = config_.pools;
    pools.front().discover = config::Discover{.file = directory_ + "/members.json"};
    discovery_ = std::make_unique<Discovery>(io_, journal_, directory_, [](const DiscoveredPools&) { return ""; });
    discovery_->start(pools);
    context_->discovery = discovery_.get();
    fleet_ = std::make_unique<Fleet>(io_, journal_, directory_,
                                     Fleet::Hooks{.on_backends = [](const auto&) {},
                                                  .on_wishes = [](const Wishes&) {},
                                                  .report = [] { return NodeReport{.node = "edge1"}; }});
    fleet_->start({.etcd = config::Etcd{.endpoints = {"http://127.0.0.1:1"}}});  // where nobody is
    context_->fleet = fleet_.get();
  }
  void connect() {
    bring_up(*model_);
    fake_ = std::make_unique<FakeDataplane>(directory_ + "/channel.sock", 2);
    fake_->publish_ports({{.name = "front", .twin = "slf0", .driver = "net_ixgbe", .mac = {{2, 0, 0, 0, 0, 1}}},
                          {.name = "back", .twin = "slb0", .driver = "net_ixgbe", .mac = {{2, 0, 0, 0, 0, 2}}}});
    client_->start();
    client_->publish(model_->desired(), ChannelClient::Clock::now());
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!client_->is_settled() && std::chrono::steady_clock::now() < deadline) {
      io_.run_for(std::chrono::microseconds(200));
      io_.restart();
      fake_->accept_one();
      fake_->apply_all();
    }
    ASSERT_TRUE(client_->is_settled());
    dataplane_.connected = true;
  }
  channel::WorkerStats& worker(uint32_t index) { return fake_->stats_of(index); }
  channel::ServiceId service_id(size_t i) { return client_->publisher()->service_id(model_->services()[i].key); }
  channel::BackendId backend_id(size_t i) { return client_->publisher()->backend_id(model_->members()[i].key); }
  Page page() { return Page(text_of(metrics_answer(*context_, std::make_shared<size_t>(0)))); }

  std::string directory_;
  boost::asio::io_context io_;
  std::optional<Model> model_;
  std::unique_ptr<ChannelClient> client_;
  std::unique_ptr<FakeDataplane> fake_;
  DataplaneState dataplane_;
  std::unique_ptr<Announcer> announcer_;
  std::unique_ptr<SessionRecords> records_;
  std::unique_ptr<Discovery> discovery_;
  std::unique_ptr<Fleet> fleet_;
  ConfigurationState configuration_;
  std::unique_ptr<ApiContext> context_;
};

/// What a check found, as the prober tells it.
inline health::TargetState checked() {
  health::TargetState out;
  out.passed = 7;
  out.failed = 2;
  out.last = health::Verdict{.fact = health::Fact::kHealthy,
                             .times = {{health::Step::kConnect, 1000}, {health::Step::kGreeting, 20'000}}};
  out.last->certificate =
      health::Certificate{.not_after = std::chrono::sys_seconds(std::chrono::seconds(1'900'000'000))};
  return out;
}

}  // namespace sluice::control
