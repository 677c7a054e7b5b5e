// SPDX-License-Identifier: Apache-2.0
//
// What the data plane publishes of its ports. Identity (name, twin, MAC, VLAN, MTU, driver, devices of a bond) is
// written before control connects and does not change while the process lives: control binds to a port by it, never by
// its place in a file of its own. Link and counters are the card's, renewed by the main lcore and read by anyone with
// relaxed loads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/contract/address.h"

namespace sluice::channel {

inline constexpr size_t kPortNameBytes = 64;  // with the NUL
inline constexpr size_t kTwinNameBytes = 16;  // IFNAMSIZ
inline constexpr size_t kDriverNameBytes = 32;

/// What the card counts, of rte_eth_stats. They grow while the data plane lives.
enum class PortCounter : uint16_t {
  kReceivedPackets,
  kReceivedBytes,
  kSentPackets,
  kSentBytes,
  kMissed,
  kReceiveErrors,
  kNoMbuf,
  kSendErrors,
  kCount,
};

inline constexpr size_t kPortCounterCount = static_cast<size_t>(PortCounter::kCount);

struct PortCounterInfo {
  std::string_view name;
  std::string_view help;
};

inline constexpr std::array<PortCounterInfo, kPortCounterCount> kPortCounterInfo{{
    {"rx_packets", "packets that the card took in and handed to workers"},
    {"rx_bytes", "bytes of these"},
    {"tx_packets", "packets that the card sent"},
    {"tx_bytes", "bytes of these"},
    {"rx_missed", "packets lost at the card because workers had not emptied its receive queues"},
    {"rx_errors", "damaged packets that the card received"},
    {"rx_no_mbuf", "times that the driver found no packet buffer for what came in"},
    {"tx_errors", "packets that the card failed to send"},
}};

/// Whether the card puts clients' packets before the worker that has their flow (RSS by the client's endpoint).
enum class Steering : uint8_t {
  kNotMeant,  // it is not asked to, or cannot: workers hand packets over to each other
  kUnproven,  // it has been told how, and too little has come to know
  kSteers,
  kMisplaces,  // more than odd ones came to other workers, which hand them over
};

/// What of it went wrong, as the card's hash of a packet tells.
enum class SteeringFault : uint8_t {
  kUnknown,  // the card gives no hash
  kTable,    // the hash is right, the queue is not: its redirection table is another
  kKey,      // it hashes by another key
  kFields,   // it hashes other fields than the client's address and port
};
inline constexpr size_t kSteeringFaults = 4;

/// As shown and exported.
inline constexpr std::array<std::string_view, 4> kSteeringName{"none", "unproven", "steers", "misplaces"};
inline constexpr std::array<std::string_view, kSteeringFaults> kSteeringFaultName{"unknown", "table", "key", "fields"};
/// For logs and events.
inline constexpr std::array<std::string_view, kSteeringFaults> kSteeringFaultText{
    "it does not say by which hash",
    "its hash is right, its redirection table is not what was written",
    "it hashes by another key than it was given",
    "it hashes other fields than the client's address and port",
};

enum class Duplex : uint16_t { kUnknown, kHalf, kFull };

inline constexpr size_t kMaxBondMembers = 8;

/// One of the devices of which a port is made.
struct BondMember {
  char device[56];  // as configured, cut to fit; "" = there is no such member
  uint16_t link_up;
  uint16_t carries;  // packets go through it: the active one, or one that LACP has taken in
  uint32_t reserved;
};

/// One per port. Text ends with a NUL.
struct alignas(64) PortStatus {
  char name[kPortNameBytes];
  char twin[kTwinNameBytes];  // "" = none
  char driver[kDriverNameBytes];
  MacAddress mac;
  uint16_t vlan;  // 0 = untagged
  uint16_t mtu;
  // From here on renewed.
  uint16_t link_up;
  Duplex duplex;
  Steering steering;
  SteeringFault steering_fault;  // of kMisplaces: the most frequent one
  uint64_t speed_mbps;           // 0 = unknown
  uint64_t link_changes;         // since the data plane started
  uint64_t counters[kPortCounterCount];
  uint64_t rss_misplaced;  // packets that the card was to steer, and put before another worker
  BondMember members[kMaxBondMembers];
};

static_assert(sizeof(MacAddress) == 6 && sizeof(BondMember) == 64 && sizeof(PortStatus) == 256 + 512);

}  // namespace sluice::channel
