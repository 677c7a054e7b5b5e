// SPDX-License-Identifier: Apache-2.0
#include "controlplane/channel_client.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "controlplane/maglev.h"
#include "tests/controlplane/fake_dataplane.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using channel::CommandType;

constexpr uint32_t kWorkers = 2;
constexpr ChannelClient::Retry kQuick{1ms, 4ms};

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
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "nothing came of it";
      io_.run_for(200us);
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

TEST_F(Channel, SharesOneSlotBetweenServicesOfOneTable) {
  start_dataplane();
  const auto shared = table({1, 2});
  publish({{backend(1), backend(2)}, {service(11, shared), service(12, shared)}});
  client_->start();
  settle();
  const auto& services = dataplane_->worker(0).services;
  EXPECT_EQ(services.at(service_id(11)).table_offset, services.at(service_id(12)).table_offset);
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

TEST_F(Channel, LosesNoCommandWhenTheRingIsFull) {
  start_dataplane();
  Desired desired;
  for (uint64_t key = 1; key <= 10000; key++) desired.backends.push_back(backend(key));
  desired.services = {service(20001, table({1, 10000}))};
  publish(desired);
  client_->start();
  run_until([&] { return connections_ == 1; }, false);
  run_until([&] { return rte_ring_full(client_->mapping()->command_ring(0)) != 0; }, false);
  desired.backends.back().weight = 7;  // changes meanwhile: sent later, once, in its last state
  publish(desired);
  EXPECT_FALSE(client_->is_settled());
  // One worker runs ahead, the other takes a little at a time.
  run_until(
      [&] {
        dataplane_->apply(0);
        dataplane_->apply(1, 100);
        return client_->is_settled();
      },
      false);
  for (uint32_t w = 0; w < kWorkers; w++) {
    EXPECT_EQ(dataplane_->worker(w).backends.size(), 10000u);
    EXPECT_EQ(dataplane_->worker(w).backends.at(id_of(10000, w)).weight, 7);
  }
}

TEST_F(Channel, WritesNoSlotThatAWorkerStillReads) {
  start_dataplane();
  std::mt19937 random(3);
  Desired desired = two_services();
  publish(desired);
  client_->start();
  settle();
  for (int round = 0; round < 300; round++) {
    desired.services[round % 2].table = table({1 + random() % 3, 1 + (random() + 1) % 3}, 1009);
    publish(desired);
    io_.run_for(100us);
    io_.restart();
    // Workers lag behind by turns; the fake checks that tables in use stay as they are.
    if (round % 3 == 0) dataplane_->apply(0);
    if (round % 7 == 0) dataplane_->apply(1);
  }
  settle();
  for (uint32_t w = 0; w < kWorkers; w++) {
    const auto entries = dataplane_->table(w, service_id(12, w));
    for (const auto id : entries) EXPECT_TRUE(dataplane_->worker(w).backends.contains(id));
  }
}

TEST_F(Channel, WaitsForRoomInTheArena) {
  start_dataplane();
  dataplane_->arena_bytes = 3 * 2048;  // each table below takes 2048 with its rounding
  const auto big = [&](std::vector<uint64_t> members) { return table(std::move(members), 1009); };
  Desired desired{{backend(1), backend(2)}, {service(11, big({1})), service(12, big({2}))}};
  publish(desired);
  client_->start();
  settle();
  desired.services[0].table = big({1, 2});
  desired.services[1].table = big({2, 1});
  desired.backends.erase(desired.backends.begin() + 1);
  desired.services[1].table = big({1});
  publish(desired);
  settle();
  EXPECT_TRUE(faults_.empty()) << faults_[0];
  const auto entries = dataplane_->table(0, service_id(12));
  EXPECT_EQ(static_cast<size_t>(std::count(entries.begin(), entries.end(), id_of(1))), entries.size());
  EXPECT_EQ(dataplane_->worker(0).backends.size(), 1u);
}

TEST_F(Channel, SaysSoWhenATableCanNeverFit) {
  start_dataplane();
  dataplane_->arena_bytes = 1024;
  publish({{backend(1)}, {service(11, table({1}, 1009))}});
  client_->start();
  run_until([&] { return !faults_.empty(); });
  EXPECT_NE(faults_[0].find("table_size"), std::string::npos) << faults_[0];
  EXPECT_EQ(dataplane_->worker(0).services.at(service_id(11)).table_entries, 0u);
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

TEST_F(Channel, RefusesASegmentThatIsNotWhatItSays) {
  using Memory = FakeDataplane::Memory;
  const auto header = [](Memory& segment) -> channel::SegmentHeader& {
    return *reinterpret_cast<channel::SegmentHeader*>(segment.data);
  };
  struct Case {
    const char* what;
    const char* says;
    std::function<void(channel::Hello&, Memory&, Memory&)> spoil;
  };
  const std::vector<Case> cases{
      {"another magic", "does not speak", [](auto& hello, auto&, auto&) { hello.magic++; }},
      {"another ABI in the greeting", "version", [](auto& hello, auto&, auto&) { hello.abi_version++; }},
      {"another ABI in the segment", "ABI", [&](auto&, auto& s, auto&) { header(s).abi_version++; }},
      {"no workers", "0 workers", [&](auto&, auto& s, auto&) { header(s).workers = 0; }},
      {"too many workers", "65 workers", [&](auto&, auto& s, auto&) { header(s).workers = 65; }},
      {"an arena beyond the end", "laid out", [&](auto&, auto& s, auto&) { header(s).arena_bytes += 64; }},
      {"moved rings", "laid out", [&](auto&, auto& s, auto&) { header(s).rings_offset = 64; }},
      {"a ring of another size", "another size",
       [&](auto&, auto& s, auto&) { channel::command_ring(s.data, 1)->mask = 0xffffffff; }},
      {"a short segment", "laid out", [](auto&, auto& s, auto&) { EXPECT_EQ(ftruncate(s.fd, 65536), 0); }},
      {"an empty segment", "cannot be read", [](auto&, auto& s, auto&) { EXPECT_EQ(ftruncate(s.fd, 0), 0); }},
      {"short statistics", "too short", [](auto&, auto&, auto& s) { EXPECT_EQ(ftruncate(s.fd, 4096), 0); }},
  };
  client_->start();
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    reasons_.clear();
    start_dataplane();
    dataplane_->spoil = c.spoil;
    run_until([&] { return !reasons_.empty() && reasons_.back().find("cannot reach") == std::string::npos; }, false);
    EXPECT_NE(reasons_.back().find(c.says), std::string::npos) << reasons_.back();
    EXPECT_EQ(connections_, 0);
    dataplane_.reset();
    run_until([&] { return reasons_.back().find("cannot reach") != std::string::npos; });
  }
}

}  // namespace
}  // namespace sluice::control
