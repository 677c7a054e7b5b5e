// SPDX-License-Identifier: Apache-2.0
//
// What the questions to mail servers have in common: which address of ours they are asked from, and what is said where
// they cannot be asked.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {

/// SYNs of one examination at most: its answers are waited for.
inline constexpr size_t kMostSyns = 256;

/// The addresses of this machine that are no VIPs.
class Sources {
 public:
  explicit Sources(const Patient& patient);

  /// For a neighbour solicitation on the link of a twin; of the link alone, if there is one.
  std::optional<config::IpAddress> on_link(const std::string& twin) const;
  /// For a SYN that leaves by `twin`: its own if it has one of the family, or else another twin's.
  std::optional<config::IpAddress> towards(const std::string& twin, bool v4) const;
  /// One of another twin that `server`, behind `twin`, has to send to a gateway.
  std::optional<config::IpAddress> beyond(const std::string& twin, const config::IpAddress& server) const;

 private:
  std::vector<OwnAddress> all_;
  std::vector<std::string> twins_;
};

/// The port whose backend it is, as control says it: "mta/mta1"; its server's address, and the twin that leads there.
struct Server {
  std::string name;
  config::IpAddress address;
  uint16_t port = 0;
  std::string twin;
  std::string mac;  // of the next hop
};
/// Nothing for one that checks do not find well, or to which there is no way.
std::optional<Server> well_server(const Patient& patient, const nlohmann::json& backend);

/// "mta/mta1".
std::string name_of(const nlohmann::json& backend);

/// `why` as the probes say it.
void report_unasked(const std::string& topic, const std::string& why, Report& report);

}  // namespace sluice::ctl
