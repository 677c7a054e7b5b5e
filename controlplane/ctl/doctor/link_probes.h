// SPDX-License-Identifier: Apache-2.0
//
// Questions of the doctor to the stations on our links, sent through the twins past the kernel's own IP: the kernel has
// the VIPs for its own addresses, so it would neither send to them nor take what comes from them. Needs CAP_NET_RAW.
#pragma once

#include <cstdint>
#include <expected>
#include <set>
#include <string>
#include <vector>

#include "config/model.h"

namespace sluice::ctl {

struct OwnAddress {
  std::string interface;
  config::IpAddress address;
  uint8_t bits = 128;  // of its network, as IpPrefix has them
};
/// Those of all interfaces of this machine.
std::vector<OwnAddress> own_addresses();

/// "Who has this address?", on the link of a twin.
struct AddressProbe {
  std::string twin;
  config::IpAddress source;  // of ours on that link; for IPv6 alone (probe_messages.h)
  config::IpAddress address;
};

/// For each probe the MAC addresses of those who say that it is theirs, in the order of the probes. What comes within a
/// second counts. The error says why nobody could be asked.
std::expected<std::vector<std::set<std::string>>, std::string> probe_addresses(const std::vector<AddressProbe>& probes);

/// A SYN that begins no connection: what answers is told by a reset that it was none.
struct SynProbe {
  std::string twin;                                          // by which it leaves
  std::string mac;                                           // of the station that gets it, unless it is tunnelled
  config::Forwarding forwarding = config::Forwarding::kNat;  // kIpip and kGue: in a tunnel to `server`
  config::IpAddress server;
  config::IpAddress source;  // an address of ours
  config::SocketAddress to;  // the family of `source`
  uint8_t hops = 64;
};

struct SynAnswer {
  enum class What : uint8_t { kNone, kOpen, kRefused };
  What what = What::kNone;
  std::string twin;  // by which it came
};

/// What answers each probe, in their order, within three seconds. `twins`: those by which an answer may come. The error
/// says why they could not be sent.
std::expected<std::vector<SynAnswer>, std::string> probe_syns(const std::vector<SynProbe>& probes,
                                                              const std::vector<std::string>& twins);

}  // namespace sluice::ctl
