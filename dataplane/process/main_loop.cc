// SPDX-License-Identifier: Apache-2.0
#include "dataplane/process/main_loop.h"

#include <fmt/format.h>
#include <pthread.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>

#include "dataplane/base/clock.h"
#include "dataplane/base/setup_error.h"

namespace sluice {
namespace {

constexpr uint32_t kBurst = 64;
/// Packets of each class between two looks at the first: what the kernel takes in a millisecond or two at most.
constexpr std::array<uint32_t, kPuntClasses> kQuantum{512, 128, 128, 64};
constexpr uint32_t kNapMinUs = 50;
constexpr uint32_t kNapMaxUs = 1000;

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

bool any_ended(const std::vector<unsigned>& lcores) {
  return std::ranges::any_of(lcores, [](unsigned lcore) { return rte_eal_get_lcore_state(lcore) != RUNNING; });
}

/// Gives a burst from a ring to the twin of its port. Returns how many.
uint32_t relay_burst(rte_ring* ring, Twin* twin, uint32_t most) {
  if (ring == nullptr) return 0;
  std::array<rte_mbuf*, kBurst> mbufs;
  std::array<void*, kBurst> packets;
  const unsigned n = rte_ring_sc_dequeue_burst(ring, packets.data(), std::min(most, kBurst), nullptr);
  for (unsigned i = 0; i < n; i++) mbufs[i] = static_cast<rte_mbuf*>(packets[i]);
  if (twin != nullptr) {
    twin->give(std::span(mbufs.data(), n));
  } else {
    rte_pktmbuf_free_bulk(mbufs.data(), n);  // a port without a twin has no use for what is not forwarded
  }
  return n;
}

/// A burst from each worker and port in turn, until they are empty or the class has had its share.
bool relay_class(Relay& relay, uint32_t punt_class) {
  const size_t rings = relay.to_main.size() * relay.twins.size();
  size_t& next = relay.next[punt_class];
  uint32_t left = kQuantum[punt_class];
  for (size_t empty = 0; left > 0 && empty < rings;) {
    const size_t port = next % relay.twins.size();
    rte_ring* ring = relay.to_main[next / relay.twins.size()][port][punt_class];
    const uint32_t n = relay_burst(ring, relay.twins[port].get(), left);
    left -= n;
    empty = n == 0 ? empty + 1 : 0;
    next = (next + 1) % rings;
  }
  return left != kQuantum[punt_class];
}

}  // namespace

void block_stop_signals() {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

bool relay_to_kernel(Relay& relay) {
  bool any = false;
  for (uint32_t punt_class = 0; punt_class < kPuntClasses; punt_class++) any |= relay_class(relay, punt_class);
  return any;
}

bool relay_from_kernel(Relay& relay) {
  bool any = false;
  for (size_t port = 0; port < relay.twins.size(); port++) {
    Twin* twin = relay.twins[port].get();
    if (twin == nullptr) continue;
    std::array<rte_mbuf*, kBurst> mbufs;
    const uint16_t n = twin->take(mbufs);
    if (n == 0) continue;
    any = true;
    twin->count_lost_from_kernel(n - give_to_sender(relay, port, std::span(mbufs.data(), n)));
  }
  return any;
}

unsigned give_to_sender(Relay& relay, size_t port, std::span<rte_mbuf*> mbufs) {
  const auto n = static_cast<unsigned>(mbufs.size());
  auto* const packets = reinterpret_cast<void**>(mbufs.data());
  const unsigned put = rte_ring_sp_enqueue_burst(relay.from_main[relay.sender[port]], packets, n, nullptr);
  if (put < n) rte_pktmbuf_free_bulk(&mbufs[put], n - put);
  return put;
}

MainLoop::MainLoop(Relay& relay, ChannelServer& channel, Capture& capture, PortWatch& ports, AddressWatch& addresses,
                   ServiceManager& service_manager)
    : relay_(relay),
      channel_(channel),
      capture_(capture),
      ports_(ports),
      addresses_(addresses),
      service_manager_(service_manager) {
  const sigset_t set = stop_signals();
  signals_ = Descriptor(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  events_ = Descriptor(epoll_create1(EPOLL_CLOEXEC));
  if (!signals_ || !events_) throw SetupError(fmt::format("main loop: {}", std::strerror(errno)));
  watch(signals_.get());
  watch(channel_.descriptor());
  watch(addresses_.descriptor());
  watch_twins();
}

void MainLoop::watch_twins() {
  for (const auto& twin : relay_.twins) {
    if (twin != nullptr && twin->is_there()) watch(twin->descriptor());
  }
}

void MainLoop::watch(int descriptor) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = descriptor}};
  if (epoll_ctl(events_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0 && errno != EEXIST) {
    throw SetupError(fmt::format("main loop: epoll: {}", std::strerror(errno)));
  }
}

MainLoop::End MainLoop::run(const std::vector<unsigned>& lcores) {
  uint32_t nap_us = kNapMinUs;
  while (true) {
    const bool to_kernel = relay_to_kernel(relay_);
    const bool from_kernel = relay_from_kernel(relay_);
    const uint64_t now_ms = monotonic_ns() / 1'000'000;
    const bool captured = capture_.poll(channel_.main_commands(), now_ms);
    if (ports_.poll(now_ms)) watch_twins();
    service_manager_.poll(now_ms);
    nap_us = to_kernel || from_kernel || captured ? 0 : std::clamp(nap_us * 2, kNapMinUs, kNapMaxUs);
    if (const int signal = wait(nap_us); signal != 0) {
      spdlog::info("stopped by signal {}", strsignal(signal));
      return End::kSignal;
    }
    channel_.reap();
    if (any_ended(lcores)) {
      spdlog::error("a worker ended by itself");
      return End::kWorkerEnded;
    }
    if (has_lost_a_card()) return End::kCardAskedBack;
  }
}

bool MainLoop::has_lost_a_card() const {
  const Device* device = ports_.asked_back();
  if (device == nullptr) return false;
  const PortOptions& port = device->options();
  spdlog::error(
      "port {}: the kernel takes {} away, and there is no port without it; put the card back, or change the "
      "file; open sessions are kept meanwhile",
      port.name, port.bond ? "the last card of its bond" : port.device);
  return true;
}

int MainLoop::wait(uint32_t nap_us) {
  std::array<epoll_event, 8> ready;
  const timespec nap{.tv_sec = 0, .tv_nsec = long{nap_us} * 1000};
  const int n = epoll_pwait2(events_.get(), ready.data(), static_cast<int>(ready.size()), &nap, nullptr);
  for (int i = 0; i < n; i++) {
    const int descriptor = ready[static_cast<size_t>(i)].data.fd;
    if (descriptor == channel_.descriptor()) channel_.poll();
    if (descriptor == addresses_.descriptor()) addresses_.poll();
    for (const auto& twin : relay_.twins) {
      if (twin != nullptr && twin->descriptor() == descriptor) twin->note_readable();
    }
    if (descriptor != signals_.get()) continue;
    signalfd_siginfo info{};
    if (read(signals_.get(), &info, sizeof info) == sizeof info) return static_cast<int>(info.ssi_signo);
  }
  return 0;
}

}  // namespace sluice
