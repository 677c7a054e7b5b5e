// SPDX-License-Identifier: Apache-2.0
//
// What the data plane is told at start-up: the part of the configuration that concerns it, as plain
// structs, so that nothing below main.cc depends on how it was written down.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/worker/setup.h"

namespace sluice {

/// A device and its kernel twin.
struct PortOptions {
  std::string name;
  std::string device;  // PCI address or DPDK virtual device, with arguments after a comma
  std::string twin;    // name of the TAP interface; "" = none
  Faces faces = Faces::kBoth;
  uint16_t vlan = 0;  // 0 = untagged
};

/// With whom flows are exchanged, and how.
struct PeerOptions {
  std::string node;  // what we call ourselves; "" = the host's name
  Endpoint listen;
  std::vector<Endpoint> to;  // empty: no exchange
  std::string key_file;
};

struct DataplaneOptions {
  std::string instance;
  std::string runtime_directory;
  std::string channel_socket;
  uint32_t workers = 1;
  std::string lcores;  // CPUs of the workers: "1", "2-5,8"; "" = all but the first
  Idle idle = Idle::kPoll;
  uint32_t flow_capacity = 0;  // flows per worker
  uint32_t burst = 32;
  uint32_t memory_mb = 1024;
  bool hugepages = true;
  std::string flow_store;  // directory of the flow files; "auto" = where it can be; "" = flows die with the process
  FlowTimers timers;
  OnTableFull on_table_full = OnTableFull::kStateless;
  OnIdleExpiry on_idle_expiry = OnIdleExpiry::kSilence;
  Strangers strangers = Strangers::kDrop;
  uint32_t echo_per_second = 1000;
  std::vector<Endpoint> vips;  // of the services in the configuration as it was at start-up
  std::vector<PortOptions> ports;
  PeerOptions peers;
};

}  // namespace sluice
