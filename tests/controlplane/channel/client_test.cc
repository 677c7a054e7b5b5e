// SPDX-License-Identifier: Apache-2.0
#include "controlplane/channel/client.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/controlplane/support/channel_fixture.h"

namespace sluice::control {
namespace {

using channel::CommandType;

TEST_F(Channel, NamesABackendsSoleServiceByItsId) {
  Desired desired = two_services();
  desired.backends[0].sole_service = 12;
  desired.backends[2].sole_service = 11;
  start_dataplane();
  publish(desired);
  client_->start();
  settle();
  const auto& backends = dataplane_->worker(0).backends;
  EXPECT_EQ(backends.at(id_of(1)).sole_service, service_id(12));
  EXPECT_EQ(backends.at(id_of(2)).sole_service, channel::kNoService);
  EXPECT_EQ(backends.at(id_of(3)).sole_service, service_id(11));
}

TEST_F(Channel, SendsAWholeSnapshotToEveryWorker) {
  start_dataplane();
  publish(two_services());
  client_->start();
  settle();
  for (uint32_t w = 0; w < kWorkers; w++) {
    SCOPED_TRACE(w);
    const auto& worker = dataplane_->worker(w);
    EXPECT_EQ(worker.log,
              (std::vector<CommandType>{CommandType::kSnapshotBegin, CommandType::kPutBackend, CommandType::kPutBackend,
                                        CommandType::kPutBackend, CommandType::kPutService, CommandType::kPutService,
                                        CommandType::kSnapshotEnd}));
    EXPECT_EQ(worker.backends.size(), 3u);
    const auto entries = dataplane_->table(w, service_id(11, w));
    EXPECT_EQ(entries.size(), 101u);
    for (const uint64_t key : {1, 2, 3}) {
      EXPECT_NEAR(static_cast<double>(std::count(entries.begin(), entries.end(), id_of(key, w))), 101 / 3.0, 1);
    }
    const auto other = dataplane_->table(w, service_id(12, w));
    EXPECT_EQ(std::count(other.begin(), other.end(), id_of(2, w)), 101);
  }
  EXPECT_EQ(connections_, 1);
  ASSERT_EQ(latencies_.size(), 1u);
  EXPECT_EQ(client_->last_latency(), latencies_[0]);
}

TEST_F(Channel, TheSitesSecretComesFirstAndOnce) {
  start_dataplane();
  Desired desired = two_services();
  desired.placement_secret = 7;
  publish(desired);
  client_->start();
  settle();
  for (uint32_t w = 0; w < kWorkers; w++) {
    EXPECT_EQ(dataplane_->worker(w).placement_secret, 7u);
    EXPECT_EQ(dataplane_->worker(w).log.at(1), CommandType::kPutSecret);
  }
  desired.services.pop_back();
  publish(desired);
  settle();
  EXPECT_EQ(std::ranges::count(dataplane_->worker(0).log, CommandType::kPutSecret), 1);
}

TEST_F(Channel, PublishesOurOwnAddressesAndKeepsTheirIds) {
  start_dataplane();
  Desired desired = two_services();
  const auto local = [](uint64_t key, uint8_t port) {
    return DesiredLocal{key, Address::v4(Be32::of(0x0a000100 + static_cast<uint32_t>(key))), port};
  };
  desired.locals = {local(21, 1), local(22, 2)};
  publish(desired);
  client_->start();
  settle();
  const auto id_of_local = [&](uint64_t key) {
    for (const auto& [id, put] : dataplane_->worker(0).locals) {
      if (put.key == key) return static_cast<int>(id);
    }
    return -1;
  };
  ASSERT_EQ(dataplane_->worker(1).locals.size(), 2u);
  EXPECT_EQ(dataplane_->worker(0).log[1], CommandType::kPutLocal) << "before the backends";
  const int first = id_of_local(21), second = id_of_local(22);
  const auto& put = dataplane_->worker(0).locals.at(static_cast<uint16_t>(second));
  EXPECT_EQ(put.address, local(22, 2).address);
  EXPECT_EQ(put.port_index, 2);
  EXPECT_EQ(put.flags, 0);

  // One goes, one comes; what stays keeps its id, over a reconnect too.
  desired.locals = {local(22, 2), local(23, 1)};
  publish(desired);
  settle();
  EXPECT_EQ(id_of_local(21), -1);
  EXPECT_EQ(id_of_local(22), second);
  EXPECT_NE(id_of_local(23), first) << "an id is not used again at once";
  const int third = id_of_local(23);
  dataplane_->hang_up();
  run_until([&] { return connections_ == 2; });
  settle();
  EXPECT_EQ(id_of_local(22), second);
  EXPECT_EQ(id_of_local(23), third);
}

TEST_F(Channel, WaitsForADataPlaneThatComesLater) {
  publish(two_services());
  client_->start();
  run_until([&] { return !reasons_.empty(); });
  EXPECT_NE(reasons_[0].find("cannot reach the data plane"), std::string::npos) << reasons_[0];
  start_dataplane();
  settle();
  EXPECT_EQ(reasons_.size(), 1u) << "each state is told once";
}

TEST_F(Channel, HoldsTheSnapshotUntilThereIsAState) {
  start_dataplane();
  client_->start();
  run_until([&] { return connections_ == 1; });
  EXPECT_TRUE(dataplane_->worker(0).log.empty());
  publish(two_services());
  settle();
  EXPECT_EQ(dataplane_->worker(0).services.size(), 2u);
}

TEST_F(Channel, SendsOnlyDifferencesLater) {
  start_dataplane();
  Desired desired = two_services();
  publish(desired);
  client_->start();
  settle();
  const size_t sent = dataplane_->worker(0).log.size();

  publish(desired);  // nothing new
  settle();
  EXPECT_EQ(dataplane_->worker(0).log.size(), sent);

  desired.backends[1].flags |= channel::kBackendDown;
  desired.services[0].table = table({1, 3});
  publish(desired);
  settle();
  const auto& log = dataplane_->worker(1).log;
  EXPECT_EQ(std::vector(log.begin() + static_cast<long>(sent), log.end()),
            (std::vector<CommandType>{CommandType::kPutBackend, CommandType::kPutService}));
  EXPECT_EQ(dataplane_->worker(1).backends.at(id_of(2, 1)).flags, channel::kBackendReachable | channel::kBackendDown);
  const auto entries = dataplane_->table(1, service_id(11, 1));
  EXPECT_EQ(std::count(entries.begin(), entries.end(), id_of(2, 1)), 0);
}

TEST_F(Channel, SaysHowAServiceRefusesWhereItIsNotTheDefault) {
  start_dataplane();
  Desired desired = two_services();
  desired.services[0].on_no_backend = channel::OnNoBackend::k421;
  publish(desired);
  client_->start();
  settle();
  EXPECT_TRUE(dataplane_->worker(0).refusals.empty());
  EXPECT_EQ(dataplane_->worker(0).services.at(service_id(11, 0)).on_no_backend, channel::OnNoBackend::k421);
  desired.services[0].refusal = "4.7.0 closed";
  publish(desired);
  settle();
  EXPECT_EQ(dataplane_->worker(0).refusals.at(service_id(11, 0)), "4.7.0 closed");
  desired.services[0].refusal = channel::kDefaultRefusal;
  publish(desired);
  settle();
  EXPECT_TRUE(dataplane_->worker(0).refusals.empty());
}

TEST_F(Channel, DropsWhatIsNoLongerWantedAfterTheTablesThatNamedIt) {
  start_dataplane();
  Desired desired = two_services();
  publish(desired);
  client_->start();
  settle();
  const size_t sent = dataplane_->worker(0).log.size();
  desired.backends.erase(desired.backends.begin());
  desired.services[0].table = table({2, 3});
  desired.services.pop_back();
  publish(desired);
  settle();
  const auto& log = dataplane_->worker(0).log;
  EXPECT_EQ(std::vector(log.begin() + static_cast<long>(sent), log.end()),
            (std::vector<CommandType>{CommandType::kPutService, CommandType::kDropService, CommandType::kDropBackend}));
  EXPECT_EQ(dataplane_->worker(0).backends.size(), 2u);
}

TEST_F(Channel, SendsATableOfNoEntriesForAServiceOutOfService) {
  start_dataplane();
  publish({{backend(1)}, {service(11, table({}))}});
  client_->start();
  settle();
  EXPECT_EQ(dataplane_->worker(0).services.at(service_id(11)).table_entries, 0u);
}

TEST_F(Channel, KeepsIdsAndGenerationsOverARestartOfControl) {
  start_dataplane();
  publish(two_services());
  client_->start();
  settle();
  const auto before = dataplane_->worker(0).backends;
  client_->stop();
  io_.poll();
  io_.restart();
  client_ = std::make_unique<ChannelClient>(io_, path_, ChannelClient::Handlers{}, kQuick);
  Desired desired = two_services();
  std::reverse(desired.backends.begin(), desired.backends.end());
  desired.backends.erase(desired.backends.begin());               // 3 goes
  desired.backends.insert(desired.backends.begin(), backend(4));  // 4 comes
  desired.services[0].table = table({1, 2, 4});
  publish(desired);
  client_->start();
  run_until([&] { return client_->mapping() != nullptr; });
  run_until([&] { return client_->is_settled(); });
  const auto& after = dataplane_->worker(0).backends;
  EXPECT_EQ(after.size(), 3u);
  for (const auto& [id, put] : before) {
    if (put.key == 3) {
      EXPECT_TRUE(!after.contains(id) || after.at(id).generation != put.generation);
    } else {
      ASSERT_TRUE(after.contains(id));
      EXPECT_EQ(after.at(id).key, put.key);
      EXPECT_EQ(after.at(id).generation, put.generation);
    }
  }
  EXPECT_EQ(client_->mapping()->epoch(), dataplane_->epoch());
}

TEST_F(Channel, SendsTheSnapshotAgainWhenTheDataPlaneComesBack) {
  start_dataplane();
  publish(two_services());
  client_->start();
  settle();
  dataplane_.reset();
  run_until([&] { return !reasons_.empty(); });
  EXPECT_FALSE(client_->is_settled());
  EXPECT_EQ(client_->mapping(), nullptr);
  Desired desired = two_services();
  desired.services.pop_back();
  publish(desired);  // while it is away
  start_dataplane();
  settle();
  EXPECT_EQ(connections_, 2);
  EXPECT_EQ(dataplane_->worker(0).services.size(), 1u);
  EXPECT_EQ(dataplane_->worker(0).log.front(), CommandType::kSnapshotBegin);
}

TEST_F(Channel, ReportsARefusedCommand) {
  start_dataplane();
  publish(two_services());
  client_->start();
  run_until([&] { return connections_ == 1; }, false);
  dataplane_->reject(1, 2, channel::RejectReason::kBadPortIndex);
  settle();
  ASSERT_EQ(faults_.size(), 1u);
  EXPECT_NE(faults_[0].find("port that the data plane does not have"), std::string::npos) << faults_[0];
}

class ChannelBounds : public Channel {
 protected:
  static constexpr uint64_t kService = 9'000'000;  // keys are unique over all kinds

  /// `count` backends with keys from `first`, under one table that names each.
  static Desired backends(uint64_t first, size_t count) {
    Desired out;
    auto all = std::make_shared<Table>();
    for (size_t i = 0; i < count; i++) {
      out.backends.push_back(backend(first + i));
      all->members.push_back(first + i);
      all->entries.push_back(static_cast<uint16_t>(i));
    }
    out.services = {service(kService, std::move(all))};
    return out;
  }
  void expect_whole_table() {
    const auto entries = dataplane_->table(0, service_id(kService));
    const std::set<channel::BackendId> different(entries.begin(), entries.end());
    EXPECT_EQ(different.size(), entries.size());
    EXPECT_FALSE(different.contains(channel::kNoBackend));
  }
};

TEST_F(ChannelBounds, ReplacesMoreBackendsThanThereAreFreeIdsFor) {
  start_dataplane();
  publish(backends(1, 9000));
  client_->start();
  settle();
  publish(backends(100'001, 9000));
  settle();
  EXPECT_EQ(dataplane_->worker(0).backends.size(), 9000u);
  EXPECT_GE(dataplane_->worker(1).backends.begin()->second.key, 100'001u);
  expect_whole_table();
  EXPECT_TRUE(faults_.empty()) << faults_[0];
}

TEST_F(ChannelBounds, ReplacesAllServicesWhereEveryIdIsTaken) {
  const auto services = [](uint64_t first) {
    Desired out{{backend(90'000)}, {}, {}};
    const auto same = table({90'000});
    for (uint64_t key = first; key < first + channel::kMaxServices; key++) out.services.push_back(service(key, same));
    return out;
  };
  start_dataplane();
  publish(services(1));
  client_->start();
  settle();
  publish(services(5001));
  settle();
  EXPECT_EQ(dataplane_->worker(0).services.size(), size_t{channel::kMaxServices});
  EXPECT_GE(dataplane_->worker(0).services.begin()->second.key, 5001u);
  EXPECT_TRUE(faults_.empty()) << faults_[0];
}

TEST_F(ChannelBounds, HasRoomForAllServicesAndBackendsAndForTheirTablesAgain) {
  const auto everything = [](uint16_t shift) {
    Desired out;
    for (size_t i = 0; i < channel::kMaxBackends; i++) out.backends.push_back(backend(1 + i));
    for (size_t s = 0; s < channel::kMaxServices; s++) {
      auto own = std::make_shared<Table>();
      for (size_t i = 0; i < 16; i++) own->members.push_back(1 + s * 16 + i);
      for (uint16_t i = 0; i < 97; i++) own->entries.push_back((i + shift) % 16);
      out.services.push_back(service(20'001 + s, std::move(own)));
    }
    return out;
  };
  start_dataplane();
  publish(everything(0));
  client_->start();
  settle();
  publish(everything(1));
  settle();
  EXPECT_EQ(dataplane_->worker(0).backends.size(), size_t{channel::kMaxBackends});
  EXPECT_EQ(dataplane_->worker(0).services.size(), size_t{channel::kMaxServices});
  EXPECT_EQ(dataplane_->table(0, service_id(21'000))[0], id_of(1 + 999 * 16 + 1));
  EXPECT_TRUE(faults_.empty()) << faults_[0];
}

TEST_F(ChannelBounds, SaysThatItIsTooMuchAndIsNotSettled) {
  start_dataplane();
  publish(backends(1, channel::kMaxBackends + 1));
  client_->start();
  run_until([&] { return !faults_.empty() && dataplane_->worker(0).backends.size() == channel::kMaxBackends; });
  EXPECT_NE(faults_[0].find("more backends than the data plane has ids for (16384)"), std::string::npos) << faults_[0];
  EXPECT_FALSE(client_->is_settled());
  publish(backends(1, channel::kMaxBackends));
  settle();
  expect_whole_table();
}

}  // namespace
}  // namespace sluice::control
