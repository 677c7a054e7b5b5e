// SPDX-License-Identifier: Apache-2.0
//
// A machine of files below a directory of its own, beside the configuration that it is held against.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <expected>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/load.h"
#include "controlplane/ctl/doctor/examinations.h"
#include "controlplane/ctl/doctor/machine.h"

namespace sluice::ctl {

inline constexpr const char* kEdge = R"(instance = "edge1";
dataplane: { workers = 2; lcores = "2-3"; memory_mb = 1024; ports = (
  { name = "front"; device = "0000:3b:00.0"; faces = "clients"; twin = "slf0"; },
  { name = "back"; device = "net_af_xdp0,iface=eth1"; faces = "backends"; twin = "slb0"; } ); };
control: { state = "/var/lib/sluice/edge1"; };
pools = ( { name = "mta"; backends = ( { name = "mta1"; address = "10.0.1.10"; }, { name = "mta2"; address = "10.0.1.11"; } ); } );
services = ( { name = "relay"; vip = "192.0.2.25"; pool = "mta"; } );
)";

class MadeUpMachine : public testing::Test {
 protected:
  MadeUpMachine() {
    char name[] = "/tmp/sluice-machine-XXXXXX";
    root_ = mkdtemp(name);
    take(kEdge);
  }
  ~MadeUpMachine() override { std::filesystem::remove_all(root_); }

  using Lines = std::vector<std::string>;
  /// "GRADE TOPIC: FOUND" of each finding. Who has nothing against it has no advice.
  static Lines lines_of(const Report& report) {
    Lines out;
    for (const Finding& finding : report.findings()) {
      EXPECT_EQ(finding.advice.empty(), finding.grade == Grade::kOk) << finding.found;
      const char* grade = finding.grade == Grade::kOk ? "ok " : finding.grade == Grade::kWarn ? "warn " : "fail ";
      out.push_back(grade + finding.topic + ": " + finding.found);
    }
    return out;
  }

  void take(const std::string& text) {
    auto config = config::load_text("/etc/sluice/edge1.cfg", text);
    ASSERT_TRUE(config) << config.error().front().to_string();
    config_ = std::move(*config);
  }
  void put(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path, std::ios::binary) << text << '\n';
  }
  void link(const std::string& path, const std::string& target) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::filesystem::remove(root_ + path);
    std::filesystem::create_symlink(target, root_ + path);
  }
  void start(int pid, std::string command, const std::string& cpus = "0-3") {
    std::ranges::replace(command, ' ', '\0');
    const std::string directory = "/proc/" + std::to_string(pid);
    std::filesystem::create_directories(root_ + directory);
    std::ofstream(root_ + directory + "/cmdline", std::ios::binary) << command << '\0';
    put(directory + "/status", "Name:\tx\nCpus_allowed:\tf\nCpus_allowed_list:\t" + cpus);
  }
  /// All of a file; "" if there is none.
  std::string read(const std::string& path) const {
    std::ifstream file(root_ + path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  Machine machine() {
    return {
        root_,
        {.clock_is_synchronised = [this] { return synchronised_; },
         .free_bytes = [this](const std::string& path) -> std::optional<uint64_t> {
           asked_ = path;
           return free_bytes_;
         },
         .ask_dns = [this](const DnsServer& server, const std::string& name, DnsType type) -> DnsSaid {
           const std::string host =
               server.address.address.to_string() + (server.scope.empty() ? "" : "%" + server.scope);
           asked_names_.push_back(host + " " + std::string(name_of(type)) + " " + name);
           const auto known = dns_.find(host);
           if (known == dns_.end()) return {};
           const auto said = known->second.find(std::string(name_of(type)) + " " + name);
           return said == known->second.end() ? DnsSaid{DnsSaid::What::kNone, ""} : said->second;
         },
         .own_addresses = [this] { return own_addresses_; },
         .probe_addresses = [this](const std::vector<AddressProbe>& probes)
             -> std::expected<std::vector<std::set<std::string>>, std::string> {
           if (!no_probes_.empty()) return std::unexpected(no_probes_);
           std::vector<std::set<std::string>> out;
           out.reserve(probes.size());
           for (const AddressProbe& probe : probes) {
             asked_links_.push_back(probe.twin + " " + probe.address.to_string());
             out.push_back(claims_[asked_links_.back()]);
           }
           return out;
         },
         .probe_syns = [this](const std::vector<SynProbe>& probes,
                              const std::vector<std::string>&) -> std::expected<std::vector<SynAnswer>, std::string> {
           if (!no_probes_.empty()) return std::unexpected(no_probes_);
           syns_ = probes;
           std::vector<SynAnswer> out;
           out.reserve(probes.size());
           for (const SynProbe& probe : probes)
             out.push_back(syn_answers_[probe.server.to_string() + " " + probe.to.to_string()]);
           return out;
         }}};
  }

  std::string root_;
  config::Config config_;
  bool synchronised_ = true;
  uint64_t free_bytes_ = 1UL << 40;
  std::string asked_;
  std::map<std::string, std::map<std::string, DnsSaid>> dns_;  // by server, then by "TYPE name"; others are silent
  std::vector<std::string> asked_names_;
  std::vector<OwnAddress> own_addresses_;
  std::string no_probes_;                                // why nobody can be asked; "" = they can
  std::map<std::string, std::set<std::string>> claims_;  // MAC addresses by "TWIN ADDRESS"
  std::vector<std::string> asked_links_;                 // likewise
  std::map<std::string, SynAnswer> syn_answers_;         // by "SERVER ADDRESS:PORT"; others are silent
  std::vector<SynProbe> syns_;
};

}  // namespace sluice::ctl
