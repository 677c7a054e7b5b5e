// SPDX-License-Identifier: Apache-2.0
//
// `dataplane` of the configuration (config/model.h): workers, ports and the devices under them, timers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::config {

enum class Faces : uint8_t { kClients, kBackends, kBoth };
enum class Idle : uint8_t { kPoll, kPause, kSleep };
enum class OnTableFull : uint8_t { kStateless, kReset, kSilence };
enum class OnIdleExpiry : uint8_t { kSilence, kReset };
enum class Strangers : uint8_t { kDrop, kKernel };
enum class ServerRouting : uint8_t { kAuto, kWorker, kKernel };
enum class FlowControl : uint8_t { kLeave, kOff, kReceive, kSend, kBoth };
enum class BondMode : uint8_t { kActiveBackup, kLacp };

/// Several devices that are one port.
struct Bond {
  BondMode mode = BondMode::kActiveBackup;
  std::vector<std::string> members;  // as Port::device; with kActiveBackup one of them carries, at first the first

  friend bool operator==(const Bond&, const Bond&) = default;
};

/// A device and its kernel twin.
struct Port {
  std::string name;
  std::string device;  // a PCI address, a DPDK device string ("net_af_xdp0,iface=lb-front"), or kBondDevice
  Faces faces = Faces::kBoth;
  std::string twin;                  // name of the TAP interface; default: "sl-" and the port's name
  uint16_t vlan = 0;                 // 0 = untagged
  uint16_t mtu = 0;                  // bytes of IP in a frame; 0 = the device's
  uint16_t receive_descriptors = 0;  // of each queue; 0 = what the driver asks for
  uint16_t transmit_descriptors = 0;
  bool promiscuous = false;
  FlowControl flow_control = FlowControl::kLeave;  // pause frames (IEEE 802.3x)
  std::vector<std::string> mac_addresses;          // that are ours besides the device's: of VRRP
  std::optional<Bond> bond;                        // with kBondDevice

  static constexpr std::string_view kBondDevice = "bond";

  friend bool operator==(const Port&, const Port&) = default;
};

/// Idle time, in seconds, after which a flow in that state is forgotten.
struct Timers {
  uint32_t handshake = 60;
  uint32_t established = 7440;  // RFC 5382 REQ-5; below 660 only with `force`
  uint32_t closing = 240;
  uint32_t after_reset = 10;
  bool force = false;

  friend bool operator==(const Timers&, const Timers&) = default;
};

struct Dataplane {
  uint32_t workers = 1;
  std::string lcores;  // as DPDK's -l takes them, workers only; "" = all but the first
  Idle idle = Idle::kPoll;
  uint32_t flow_capacity = 1048576;  // flows per worker
  OnTableFull on_table_full = OnTableFull::kStateless;
  OnIdleExpiry on_idle_expiry = OnIdleExpiry::kSilence;
  Strangers strangers = Strangers::kDrop;
  ServerRouting server_routing = ServerRouting::kAuto;
  uint32_t echo_per_second = 1000;  // echo requests to VIPs that are answered, of each worker and port
  uint32_t burst = 32;
  uint32_t memory_mb = 1024;
  bool hugepages = true;
  std::string flow_store = "auto";  // a directory; "auto" = where it can be; "" = do not keep
  std::vector<Port> ports;
  Timers timers;

  friend bool operator==(const Dataplane&, const Dataplane&) = default;
};

}  // namespace sluice::config
