// SPDX-License-Identifier: Apache-2.0
//
// What the doctor looks at: each examination reads the machine beside the configuration, and changes nothing. A file
// for each topic.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/ctl/doctor/machine.h"
#include "controlplane/ctl/doctor/report.h"

namespace sluice::ctl {

/// Connections of late to one port of a mail server, and of those the ones of which an answer came by.
struct RecentFlows {
  double created = 0;
  double established = 0;
};

struct Patient {
  const config::Config& config;
  const Machine& machine;
  std::string path;                                 // of the configuration
  const nlohmann::json* status = nullptr;           // what control says; null: it does not answer
  std::map<std::string, RecentFlows> recent_flows;  // by "POOL/NAME:PORT"; what is not there is not known
};

void examine_memory(const Patient& patient, Report& report);  // huge pages, NUMA
void examine_cards(const Patient& patient, Report& report);   // driver, IOMMU
void examine_cores(const Patient& patient, Report& report);   // isolation, who else runs there, frequency
void examine_links(const Patient& patient, Report& report);   // twins, interfaces, MTU
void examine_kernel(const Patient& patient, Report& report);  // forwarding, reverse path filter, neighbour table
void examine_vips(const Patient& patient, Report& report);    // addresses
void examine_limits(const Patient& patient, Report& report);  // open files, disks
void examine_names(const Patient& patient, Report& report);   // the DNS, if names are looked up
void examine_clock(const Patient& patient, Report& report);
void examine_control(const Patient& patient, Report& report);      // whether it runs, and has its data plane
void examine_gateways(const Patient& patient, Report& report);     // whether sessions' answers come back through us
void ask_gateways(const Patient& patient, Report& report);         // likewise, of servers without sessions
void examine_server_vips(const Patient& patient, Report& report);  // there, and silent, with dsr and tunnels

/// Those that look, and send nothing to other stations but questions to resolvers.
inline constexpr std::array kLooks{examine_memory, examine_cards,   examine_cores,   examine_links,
                                   examine_kernel, examine_vips,    examine_limits,  examine_names,
                                   examine_clock,  examine_control, examine_gateways};
/// Those that ask the stations of our links.
inline constexpr std::array kQuestions{examine_server_vips, ask_gateways};

/// What looks alone tell.
Report look_at(const Patient& patient);
/// All.
Report examine(const Patient& patient);

// What several of them ask.

/// Of the ports that have one in this kernel.
std::vector<std::string> twins_of(const Patient& patient);
/// The CPUs that workers take; empty if that cannot be told.
std::vector<unsigned> worker_cpus(const Patient& patient);
/// Processes of that name which were started with this configuration.
std::vector<Process> running(const Patient& patient, const std::string& name);
/// Of the newest connections, as many as it takes to judge (kEnoughFlows, over a minute at least), or nothing if there
/// were fewer in the last hour. `series` is that of one backend in the API's history, with points of ten seconds.
std::optional<RecentFlows> recent_flows_in(const nlohmann::json& series);
/// So many connections without an answer are no accident.
inline constexpr uint64_t kEnoughFlows = 20;

/// Distinct addresses of mail servers, IPv4 or IPv6.
size_t count_servers(const config::Config& config, bool v4);

}  // namespace sluice::ctl
