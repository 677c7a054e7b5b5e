// SPDX-License-Identifier: Apache-2.0
//
// What the main lcore does while workers run: moves packets between the workers' rings and the kernel twins, serves
// the channel, writes captures, watches the ports and the kernel's addresses, tells the service manager that all goes
// on, waits for the signal to stop. The twins, the channel and signals wake it at once; rings cannot, so it looks at
// them after naps that grow from 50 us to 1 ms while nothing comes.
#pragma once

#include <rte_ring.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/base/shared_memory.h"
#include "dataplane/contract/messages.h"
#include "dataplane/device/address_watch.h"
#include "dataplane/device/twin.h"
#include "dataplane/process/capture.h"
#include "dataplane/process/channel_server.h"
#include "dataplane/process/port_watch.h"
#include "dataplane/process/service_manager.h"

namespace sluice {

/// The rings and twins between which main moves packets.
struct Relay {
  std::vector<PuntRings> to_main;                                 // one per worker
  std::vector<rte_ring*> from_main;                               // likewise
  std::array<size_t, kPuntClasses> next{};                        // by class: of which worker and port it is the turn
  std::array<uint32_t, channel::kMaxPorts> sender{};              // by port index: the worker that sends for main
  std::array<std::unique_ptr<Twin>, channel::kMaxPorts> twins{};  // by port index; null = the port has none
};

/// Gives some of what workers punted to the twins: of each class, and first of that which matters most. Returns whether
/// there was any.
bool relay_to_kernel(Relay& relay);
/// Gives what the twins have to the workers that send for main. Returns whether there was any.
bool relay_from_kernel(Relay& relay);
/// Gives frames with `mbuf->port` set to the worker that sends for main through that port. Returns how many it took;
/// the rest is freed.
unsigned give_to_sender(Relay& relay, size_t port, std::span<rte_mbuf*> mbufs);

class MainLoop {
 public:
  /// SIGINT and SIGTERM have to be blocked in every thread (block_stop_signals). Throws SetupError.
  MainLoop(Relay& relay, ChannelServer& channel, Capture& capture, PortWatch& ports, AddressWatch& addresses,
           ServiceManager& service_manager);

  enum class End : uint8_t { kSignal, kCardAskedBack, kWorkerEnded };
  /// Runs until SIGINT or SIGTERM, until the kernel asks for a card without which a port cannot go on, or until a
  /// worker's lcore of `lcores` ends by itself. Says in the log which it was.
  End run(const std::vector<unsigned>& lcores);

 private:
  void watch(int descriptor);
  void watch_twins();
  /// Waits at most `nap_us` for twins, channel or signal. Returns the signal's number, or 0.
  int wait(uint32_t nap_us);
  bool has_lost_a_card() const;

  Relay& relay_;
  ChannelServer& channel_;
  Capture& capture_;
  PortWatch& ports_;
  AddressWatch& addresses_;
  ServiceManager& service_manager_;
  Descriptor signals_;
  Descriptor events_;
};

/// Blocks SIGINT and SIGTERM in this thread and those it starts later.
void block_stop_signals();

}  // namespace sluice
