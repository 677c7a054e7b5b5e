// SPDX-License-Identifier: Apache-2.0
#include "perf/lib/record_taker.h"

#include <pthread.h>
#include <rte_cycles.h>
#include <rte_ring.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <ctime>
#include <future>
#include <stdexcept>
#include <utility>
#include <vector>

#include "controlplane/records/session_records.h"

namespace sluice::perf {

using control::NextHop;

namespace {

constexpr const char* kFrontTwin = "slf0";
constexpr const char* kBackTwin = "slb0";
constexpr size_t kMostShown = 2000;  // by one answer of the API

std::array<channel::PortStatus, 2> ports() {
  std::array<channel::PortStatus, 2> out{};
  out[0] = {.name = "front", .twin = "slf0", .mac = {{2, 0, 0, 0, 0, 1}}};
  out[1] = {.name = "back", .twin = "slb0", .mac = {{2, 0, 0, 0, 0, 2}}};
  return out;
}

std::vector<Descriptor> read_only(const SharedMemory& memory) {
  std::vector<Descriptor> out;
  out.push_back(reopen_read_only(memory.descriptor));
  return out;
}

config::IpAddress address_of(const Endpoint& endpoint) {
  config::IpAddress out;
  out.bytes = endpoint.address.bytes;
  return out;
}

/// What the rig's clients find.
config::Config configuration() {
  config::Config out;
  out.checks = {{.name = "relay"}};
  config::Backend backend;
  backend.name = "mta1";
  backend.address = address_of(backend_endpoint(0, false));
  out.pools = {{.name = "mta", .check = "relay", .min_healthy = 0, .backends = {backend}}};
  out.dataplane.ports = {{.name = "front", .twin = kFrontTwin}, {.name = "back", .twin = kBackTwin}};
  config::Service service;
  service.name = "relay";
  service.vip = address_of({Address::v4(Be32::of(kVip)), Be16::of(25)});
  service.port = 25;
  service.pool = "mta";
  out.services = {service};
  return out;
}

void move_to(uint32_t cpu, pthread_t thread) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  (void)pthread_setaffinity_np(thread, sizeof cpus, &cpus);
}

/// With real-time priorities threads do not take turns: a loop that shares its core with the writer would wait for it.
void come_first() {
  sched_param priority{};
  int policy = 0;
  pthread_getschedparam(pthread_self(), &policy, &priority);
  if (policy != SCHED_FIFO) return;
  priority.sched_priority++;
  (void)pthread_setschedparam(pthread_self(), policy, &priority);
}

}  // namespace

/// What lives on control's event loop. The writer's thread is made by its.
struct RecordTaker::Control {
  Control(RecordTaker& owner)
      : model(configuration(), journal),
        client(io, owner.socket_path_, {.in_use = [&owner](std::chrono::microseconds) { owner.settled_ = true; }},
               {std::chrono::milliseconds(1), std::chrono::milliseconds(4)}),
        records(io, model, client, journal, "edge1") {
    for (size_t i = 0; i < model.members().size(); i++) {
      model.set_health(i, control::Health::kUp, "healthy");
      model.set_next_hop(i, NextHop{{{2, 0, 0, 0, 1, 0}}, kBackTwin});
    }
    model.refresh();
    records.follow(owner.records_);
    client.publish(model.desired(), control::ChannelClient::Clock::now());
    client.start();
    records.start();
  }

  /// Asks for what has ended since the last look, and does so again.
  void look(Followed& out) {
    const auto began = std::chrono::steady_clock::now();
    const auto seen = records.see({}, next, next ? kMostShown : 1);
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    if (next) {
      out.shown += seen.sessions.size();
      out.missed += seen.missed;
      out.answers++;
      out.seconds += took;
      out.longest_s = std::max(out.longest_s, took);
    }
    next = seen.next;
    timer.expires_after(std::chrono::milliseconds(10));
    timer.async_wait([this, &out](const boost::system::error_code& cancelled) {
      if (!cancelled && next) look(out);
    });
  }

  boost::asio::io_context io;
  boost::asio::steady_timer timer{io};
  std::optional<uint64_t> next;  // of who looks on
  control::Journal journal;
  control::Model model;
  control::ChannelClient client;
  control::SessionRecords records;
};

RecordTaker::RecordTaker(config::Records records, std::string socket_path, uint32_t flow_capacity, uint32_t cpu)
    : records_(std::move(records)),
      socket_path_(std::move(socket_path)),
      cpu_(cpu),
      statistics_(1, rte_get_tsc_hz(), ports()),
      flow_memory_(make_shared_memory("flows", flow_memory_bytes(flow_capacity))),
      server_(socket_path_, statistics_, read_only(flow_memory_)) {}

RecordTaker::~RecordTaker() {
  if (!thread_.joinable()) return;
  Control& control = *control_;
  boost::asio::post(control.io, [&control] {
    control.records.stop();
    control.client.stop();
  });
  thread_.join();
}

RigChannel RecordTaker::channel() {
  return {.attachment = server_.attachment(),
          .oldest_epoch_in_use = server_.oldest_epoch_in_use(0),
          .stats = &statistics_.worker(0),
          .flow_memory = flow_memory_.mapping.data()};
}

void RecordTaker::start(const std::function<void()>& poll) {
  thread_ = std::jthread([this] { run(); });
  move_to(cpu_, thread_.native_handle());  // it might not come to do so beside a worker that polls by real time
  pthread_getcpuclockid(thread_.native_handle(), &loop_clock_);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!settled_) {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("control does not reach the worker");
    server_.poll();
    poll();
  }
}

void RecordTaker::run() {
  move_to(cpu_, pthread_self());  // and so are the threads that it makes
  Control control(*this);
  come_first();
  control_ = &control;
  control.io.run();
}

void RecordTaker::on_loop(const std::function<void(Control&)>& act) {
  std::promise<void> done;
  Control& control = *control_;
  boost::asio::post(control.io, [&] {
    act(control);
    done.set_value();
  });
  done.get_future().wait();
}

void RecordTaker::take(bool wanted) {
  on_loop([wanted](Control& control) {
    if (wanted) {
      control.records.start();
    } else {
      control.records.stop();
    }
  });
}

void RecordTaker::follow(bool wanted) {
  on_loop([this, wanted](Control& control) {
    control.next.reset();
    if (wanted) {
      followed_ = {};
      control.look(followed_);
    } else {
      control.timer.cancel();
    }
  });
}

uint32_t RecordTaker::waiting() const {
  return rte_ring_count(channel::session_ring(server_.attachment()->load()->base, 1, 0));
}

control::SessionWriter::Figures RecordTaker::figures() const {
  return control_.load()->records.figures();
}

double RecordTaker::loop_seconds() const {
  timespec now{};
  clock_gettime(loop_clock_, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace sluice::perf
