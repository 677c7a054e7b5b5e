// SPDX-License-Identifier: Apache-2.0
//
// What the data plane is told at start-up: the part of the configuration that concerns it, as plain
// structs, so that nothing below main.cc depends on how it was written down.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/worker/setup.h"

namespace sluice {

/// Several devices that are one port.
struct BondOptions {
  bool lacp = false;                 // all of them, by IEEE 802.1AX with the switch; else one at a time
  std::vector<std::string> members;  // as PortOptions::device
};

enum class FlowControl : uint8_t { kLeave, kOff, kReceive, kSend, kBoth };

/// A device and its kernel twin.
struct PortOptions {
  std::string name;
  std::string device;  // PCI address or DPDK virtual device, with arguments after a comma; with `bond` not read
  std::string twin;    // name of the TAP interface; "" = none
  Faces faces = Faces::kBoth;
  uint16_t vlan = 0;                 // 0 = untagged
  uint16_t mtu = 0;                  // bytes of IP; 0 = the device's
  uint16_t receive_descriptors = 0;  // of each queue; 0 = what the driver asks for, at least kDescriptors
  uint16_t transmit_descriptors = 0;
  bool promiscuous = false;
  FlowControl flow_control = FlowControl::kLeave;
  std::vector<MacAddress> extra_macs;  // to which frames for us may come, besides the device's
  std::optional<BondOptions> bond;
};

/// The devices that DPDK opens for a port, as device strings.
inline std::vector<std::string> devices_of(const PortOptions& port) {
  return port.bond ? port.bond->members : std::vector<std::string>{port.device};
}

/// With whom flows are exchanged, and how.
struct PeerOptions {
  std::string node;  // what we call ourselves; "" = the host's name
  Endpoint listen;
  std::vector<Endpoint> to;  // empty: no exchange
  std::string key_file;
  bool fullnat = false;  // whether flows of the services may be so: more is to be kept of each
  bool spliced = false;  // likewise such as begin with a SYN answered here or have a PROXY header
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
