// SPDX-License-Identifier: Apache-2.0
//
// A data plane of which only the channel is real: it listens, hands out segments, and applies commands when the test
// says so. It keeps what a worker would, identities over reconnects included, and notices if a table that is
// in use changes under its feet.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "dataplane/contract/segment.h"
#include "dataplane/contract/trace.h"
#include "tests/controlplane/support/fake_targets.h"
#include "tests/controlplane/support/flow_memory_header.h"

namespace sluice::control {

class FakeDataplane {
 public:
  struct Memory {
    int fd = -1;
    std::byte* data = nullptr;
    size_t bytes = 0;

    Memory(const char* name, size_t size) : fd(memfd_create(name, MFD_CLOEXEC)), bytes(size) {
      EXPECT_EQ(ftruncate(fd, static_cast<off_t>(size)), 0);
      data = static_cast<std::byte*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    }
    ~Memory() {
      munmap(data, bytes);
      close(fd);
    }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
  };

  /// One worker's view.
  struct Worker {
    std::map<uint16_t, channel::PutService> services;
    std::map<uint16_t, channel::PutBackend> backends;
    std::map<uint16_t, channel::PutLocal> locals;
    std::map<uint16_t, uint64_t> table_sums;
    std::map<uint16_t, channel::StartInspection> inspections;
    channel::PutSources sources{};
    std::map<uint16_t, channel::PutRoute> routes;  // by place
    channel::PutServerRoutes server_routes{};
    bool sources_named = false;
    channel::PutSources exempt{};
    uint64_t placement_secret = 0;
    channel::PutLimits limits{};
    channel::LimitRules limit_rules{};
    std::map<uint16_t, std::string> refusals;
    std::vector<channel::CommandType> log;  // since the connection began
    uint64_t epoch = 0;
    bool in_snapshot = false;
    std::map<uint16_t, bool> named_services, named_backends, named_locals;
  };

  FakeDataplane(std::string path, uint32_t workers) : path_(std::move(path)), workers_(workers), state_(workers) {
    stats_ = std::make_unique<Memory>("stats", channel::stats_bytes(workers));
    auto& header = *reinterpret_cast<channel::StatsHeader*>(stats_->data);
    header.magic = channel::kStatsMagic;
    header.abi_version = channel::kAbiVersion;
    header.workers = workers;
    hello.flow_memories = workers;
    for (uint32_t w = 0; w < workers; w++) {
      flows_.push_back(std::make_unique<Memory>("flows", flow_memory_header(kFlows, 0).flows_offset +
                                                             kFlows * (sizeof(Flow) + sizeof(channel::SessionNotes))));
      auto& flows = *reinterpret_cast<FlowMemoryHeader*>(flows_.back()->data);
      flows = flow_memory_header(kFlows, 0);
    }
    listen();
  }
  ~FakeDataplane() {
    hang_up();
    stop_listening();
  }

  void listen() {
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    unlink(path_.c_str());
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 4), 0);
  }
  void stop_listening() {
    if (listener_ >= 0) close(listener_);
    listener_ = -1;
    unlink(path_.c_str());
  }
  /// What is published of ports from now on.
  void publish_ports(const std::vector<channel::PortStatus>& ports) {
    auto& header = *reinterpret_cast<channel::StatsHeader*>(stats_->data);
    header.ports = static_cast<uint32_t>(ports.size());
    std::ranges::copy(ports, header.port);
  }
  channel::PortStatus& port(size_t index) { return reinterpret_cast<channel::StatsHeader*>(stats_->data)->port[index]; }
  /// As if it were another process from now on.
  void restart(uint64_t start_time_ms) {
    hang_up();
    reinterpret_cast<channel::StatsHeader*>(stats_->data)->start_time_ms = start_time_ms;
  }
  void hang_up() {
    if (connection_ >= 0) close(connection_);
    connection_ = -1;
  }
  bool connected() const { return connection_ >= 0; }

  /// Takes a waiting connection and hands it a fresh segment. `spoil` may damage what is handed out.
  bool accept_one() {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return false;
    hang_up();
    connection_ = fd;
    segments_.push_back(std::make_unique<Memory>("segment", channel::segment_bytes(workers_)));
    lay_out(segments_.back()->data);
    reinterpret_cast<channel::StatsHeader*>(stats_->data)->segment_epoch = ++epoch_;
    if (spoil) spoil(hello, *segments_.back(), *stats_);
    send_hello();
    return true;
  }

  /// Worker `w` moves to the newest segment and applies up to `most` commands; acknowledges them unless `silently`.
  unsigned apply(uint32_t w, unsigned most = 4096, bool silently = false) {
    if (segments_.empty()) return 0;
    Worker& worker = state_[w];
    channel::WorkerStats& stats = stats_of(w);
    if (worker.epoch != epoch_) {
      worker.epoch = epoch_;
      worker.log.clear();
      worker.table_sums.clear();  // they lie in the segment before
      worker.in_snapshot = false;
      stats.applied_sequence = 0;
      __atomic_store_n(&stats.segment_epoch, epoch_, __ATOMIC_RELEASE);
    }
    std::vector<channel::Command> commands(most);
    const unsigned n =
        channel::take_some(channel::command_ring(segments_.back()->data, w), std::span<channel::Command>(commands));
    check_tables(worker);
    for (unsigned i = 0; i < n; i++) apply(worker, stats, commands[i]);
    if (n != 0) write_targets(state_[w], flows_[w]->data);
    if (n != 0 && !silently) {
      EXPECT_EQ(commands[n - 1].header.sequence, static_cast<uint32_t>(worker.log.size())) << "sequences have a gap";
      __atomic_store_n(&stats.applied_sequence, commands[n - 1].header.sequence, __ATOMIC_RELEASE);
    }
    return n;
  }
  void apply_all() {
    for (uint32_t w = 0; w < workers_; w++) apply(w);
  }

  /// What control has told the main lcore.
  std::vector<channel::Command> main_commands() {
    std::vector<channel::Command> out(64);
    out.resize(segments_.empty() ? 0
                                 : channel::take_some(channel::main_ring(segments_.back()->data, workers_),
                                                      std::span<channel::Command>(out)));
    return out;
  }
  void trace(uint32_t w, const channel::TraceRecord& record) {
    channel::put_all(channel::trace_ring(segments_.back()->data, w), std::span<const channel::TraceRecord>(&record, 1));
  }
  /// A session ends on worker `w`. Returns whether there was room.
  bool end_session(uint32_t w, channel::SessionRecord record) {
    return rte_ring_sp_enqueue_elem(channel::session_ring(segments_.back()->data, workers_, w), &record,
                                    sizeof record) == 0;
  }
  /// A client of worker `w` begins TLS: a piece of what it says.
  bool say_hello(uint32_t w, channel::HelloPiece piece) {
    return rte_ring_sp_enqueue_elem(channel::hello_ring(segments_.back()->data, workers_, w), &piece, sizeof piece) ==
           0;
  }
  channel::CaptureStatus& capture() { return reinterpret_cast<channel::StatsHeader*>(stats_->data)->capture; }

  void reject(uint32_t w, uint32_t sequence, channel::RejectReason reason) {
    channel::Event event{};
    event.type = channel::EventType::kCommandRejected;
    event.sequence = sequence;
    event.detail = static_cast<uint32_t>(reason);
    channel::put_all(channel::event_ring(segments_.back()->data, w), std::span<const channel::Event>(&event, 1));
  }

  Worker& worker(uint32_t w) { return state_[w]; }
  channel::WorkerStats& stats_of(uint32_t w) {
    return const_cast<channel::WorkerStats&>(channel::worker_stats(stats_->data, w));
  }
  std::vector<channel::BackendId> table(uint32_t w, uint16_t service) {
    const channel::PutService& put = state_[w].services.at(service);
    const auto* entries = reinterpret_cast<const channel::BackendId*>(table_at(put));
    return {entries, entries + put.table_entries};
  }
  uint64_t epoch() const { return epoch_; }
  const std::byte* arena() const { return segments_.back()->data + channel::arena_offset(workers_); }

  channel::LimitTable& limit_table() {
    return const_cast<channel::LimitTable&>(channel::limit_table(stats_->data, workers_));
  }

  static constexpr uint32_t kFlows = 64;
  FlowMemoryHeader& flow_header(uint32_t w) { return *reinterpret_cast<FlowMemoryHeader*>(flows_[w]->data); }
  sluice::Service& service_target(uint32_t w, uint16_t id) {
    return reinterpret_cast<sluice::Service*>(flows_[w]->data + kServicesOffset)[id];
  }
  Flow& flow(uint32_t w, uint32_t index) {
    return reinterpret_cast<Flow*>(flows_[w]->data + flow_header(w).flows_offset)[index];
  }

  channel::Hello hello;
  std::function<void(channel::Hello&, Memory& segment, Memory& stats)> spoil;

 private:
  void lay_out(std::byte* base) {
    for (uint32_t w = 0; w < workers_; w++) {
      rte_ring_init(channel::command_ring(base, w), "c", channel::kRingEntries, RING_F_SP_ENQ | RING_F_SC_DEQ);
      rte_ring_init(channel::event_ring(base, w), "e", channel::kRingEntries, RING_F_SP_ENQ | RING_F_SC_DEQ);
      rte_ring_init(channel::trace_ring(base, w), "t", channel::kRingEntries, RING_F_SP_ENQ | RING_F_SC_DEQ);
      rte_ring_init(channel::session_ring(base, workers_, w), "s", channel::kSessionRingEntries,
                    RING_F_SP_ENQ | RING_F_SC_DEQ);
      rte_ring_init(channel::hello_ring(base, workers_, w), "h", channel::kHelloRingEntries,
                    RING_F_SP_ENQ | RING_F_SC_DEQ);
    }
    rte_ring_init(channel::main_ring(base, workers_), "m", channel::kRingEntries, RING_F_SP_ENQ | RING_F_SC_DEQ);
    *reinterpret_cast<channel::SegmentHeader*>(base) = {.magic = channel::kSegmentMagic,
                                                        .abi_version = channel::kAbiVersion,
                                                        .workers = workers_,
                                                        .segment_bytes = channel::segment_bytes(workers_),
                                                        .rings_offset = channel::kRingsOffset,
                                                        .ring_stride = channel::kRingStride,
                                                        .arena_offset = channel::arena_offset(workers_),
                                                        .arena_bytes = arena_bytes};
  }

  void send_hello() {
    iovec words{&hello, sizeof hello};
    std::vector<int> fds{segments_.back()->fd, stats_->fd};
    for (const auto& memory : flows_) fds.push_back(memory->fd);
    const size_t bytes = fds.size() * sizeof(int);
    alignas(cmsghdr) std::array<char, CMSG_SPACE(channel::kMaxDescriptors * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &words;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(rights), fds.data(), bytes);
    EXPECT_EQ(sendmsg(connection_, &message, MSG_NOSIGNAL), static_cast<ssize_t>(sizeof hello));
  }

  const std::byte* table_at(const channel::PutService& put) {
    return segments_.back()->data + channel::arena_offset(workers_) + size_t{put.table_offset} * channel::kArenaUnit;
  }
  uint64_t sum_of(const channel::PutService& put) {
    const auto* entries = reinterpret_cast<const channel::BackendId*>(table_at(put));
    uint64_t sum = put.table_entries;
    for (uint32_t i = 0; i < put.table_entries; i++) sum = sum * 31 + entries[i];
    return sum;
  }
  void check_tables(Worker& worker) {
    for (const auto& [id, sum] : worker.table_sums) {
      EXPECT_EQ(sum_of(worker.services.at(id)), sum) << "the table of service " << id << " changed while in use";
    }
  }

  void apply(Worker& worker, channel::WorkerStats& stats, const channel::Command& command) {
    const uint16_t id = command.header.id;
    worker.log.push_back(command.header.type);
    switch (command.header.type) {
      case channel::CommandType::kSnapshotBegin:
        worker.in_snapshot = true;
        worker.routes.clear();
        worker.named_services.clear();
        worker.named_backends.clear();
        worker.named_locals.clear();
        worker.sources_named = false;
        break;
      case channel::CommandType::kSnapshotEnd:
        std::erase_if(worker.services, [&](const auto& s) { return !worker.named_services.contains(s.first); });
        std::erase_if(worker.backends, [&](const auto& b) {
          if (worker.named_backends.contains(b.first)) return false;
          stats.backend_ids[b.first].key = 0;
          return true;
        });
        std::erase_if(worker.locals, [&](const auto& l) {
          if (worker.named_locals.contains(l.first)) return false;
          stats.local_ids[l.first].key = 0;
          return true;
        });
        if (!worker.sources_named) worker.sources = {};
        worker.in_snapshot = false;
        break;
      case channel::CommandType::kPutSources:
        if (id == channel::kExemptSources) {
          worker.exempt = command.put_sources;
          break;
        }
        worker.sources = command.put_sources;
        worker.sources_named = true;
        break;
      case channel::CommandType::kPutLimits:
        worker.limits = command.put_limits;
        if (command.put_limits.rules != 0) {
          EXPECT_LE(size_t{command.put_limits.offset} * 64 + sizeof(channel::LimitRules), arena_bytes);
          std::memcpy(&worker.limit_rules, arena() + size_t{command.put_limits.offset} * 64, sizeof worker.limit_rules);
        }
        break;
      case channel::CommandType::kPutRoute:
        EXPECT_LE(size_t{command.put_route.table_offset} * 64 + command.put_route.table_entries * 2, arena_bytes);
        worker.routes[id] = command.put_route;
        break;
      case channel::CommandType::kPutServerRoutes:
        worker.server_routes = command.put_server_routes;
        break;
      case channel::CommandType::kPutSecret:
        worker.placement_secret = command.put_secret.secret;
        break;
      case channel::CommandType::kPutRefusal:
        EXPECT_TRUE(worker.services.contains(id));
        worker.refusals[id] = std::string(command.put_refusal.text, command.put_refusal.bytes);
        break;
      case channel::CommandType::kPutService:
        EXPECT_LE(size_t{command.put_service.table_offset} * 64 + command.put_service.table_entries * 2, arena_bytes);
        worker.services[id] = command.put_service;
        worker.refusals.erase(id);
        worker.named_services[id] = true;
        worker.table_sums[id] = sum_of(command.put_service);
        stats.service_ids[id] = {command.put_service.key, 0, {}};
        break;
      case channel::CommandType::kDropService:
        worker.services.erase(id);
        worker.table_sums.erase(id);
        stats.service_ids[id] = {};
        break;
      case channel::CommandType::kPutBackend:
        worker.backends[id] = command.put_backend;
        worker.named_backends[id] = true;
        stats.backend_ids[id] = {command.put_backend.key, command.put_backend.generation, {}};
        break;
      case channel::CommandType::kDropBackend:
        worker.backends.erase(id);
        stats.backend_ids[id].key = 0;
        break;
      case channel::CommandType::kPutLocal:
        worker.locals[id] = command.put_local;
        worker.named_locals[id] = true;
        stats.local_ids[id] = {command.put_local.key, command.put_local.generation, {}};
        break;
      case channel::CommandType::kDropLocal:
        worker.locals.erase(id);
        stats.local_ids[id].key = 0;
        break;
      case channel::CommandType::kStartInspection:
        worker.inspections[id] = command.start_inspection;
        stats.inspections[id] = {command.start_inspection.key, 1, 0, 0, 0, {}};
        break;
      case channel::CommandType::kStopInspection:
        worker.inspections.erase(id);
        stats.inspections[id].active = 0;
        break;
      default:
        ADD_FAILURE() << "unknown command";
    }
  }

 public:
  uint64_t arena_bytes = channel::kArenaBytes;

 private:
  std::string path_;
  uint32_t workers_;
  int listener_ = -1;
  int connection_ = -1;
  uint64_t epoch_ = 0;
  std::unique_ptr<Memory> stats_;
  std::vector<std::unique_ptr<Memory>> flows_;  // by worker
  std::vector<std::unique_ptr<Memory>> segments_;
  std::vector<Worker> state_;
};

}  // namespace sluice::control
