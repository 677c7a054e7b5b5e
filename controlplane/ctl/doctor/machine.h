// SPDX-License-Identifier: Apache-2.0
//
// The machine as the kernel's files show it, below a root that a test may make up.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/ctl/doctor/dns_question.h"
#include "controlplane/ctl/doctor/link_probes.h"

namespace sluice::ctl {

/// What no file tells.
struct SystemCalls {
  std::function<bool()> clock_is_synchronised;
  std::function<std::optional<uint64_t>(const std::string& path)> free_bytes;  // of the file system there
  std::function<DnsSaid(const DnsServer& server, const std::string& name, DnsType type)> ask_dns;
  std::function<std::vector<OwnAddress>()> own_addresses;
  std::function<decltype(ctl::probe_addresses)> probe_addresses;
  std::function<decltype(ctl::probe_syns)> probe_syns;
};
SystemCalls system_calls();

struct Process {
  pid_t pid = 0;
  std::string name;            // "sluice-control", without its directory
  std::string command;         // words, with blanks between them
  std::vector<unsigned> cpus;  // that it may run on
};

class Machine {
 public:
  Machine(std::string root, SystemCalls calls) : root_(std::move(root)), calls_(std::move(calls)) {}

  /// What the file holds, without blanks at its end; nothing if it cannot be read.
  std::optional<std::string> text(const std::string& path) const;
  std::optional<uint64_t> number(const std::string& path) const;
  /// A list of CPUs such as "2-3,8"; empty if there is none.
  std::vector<unsigned> cpus(const std::string& path) const;
  bool has(const std::string& path) const;
  /// Names in a directory, in order; empty if there is none.
  std::vector<std::string> entries(const std::string& directory) const;
  /// The last part of where a link leads; "" if it is none.
  std::string target(const std::string& link) const;
  /// Those with a command line: no threads of the kernel.
  std::vector<Process> processes() const;

  bool clock_is_synchronised() const { return calls_.clock_is_synchronised(); }
  std::optional<uint64_t> free_bytes(const std::string& path) const { return calls_.free_bytes(path); }
  DnsSaid ask_dns(const DnsServer& server, const std::string& name, DnsType type) const {
    return calls_.ask_dns(server, name, type);
  }
  std::vector<OwnAddress> own_addresses() const { return calls_.own_addresses(); }
  auto probe_addresses(const std::vector<AddressProbe>& probes) const { return calls_.probe_addresses(probes); }
  auto probe_syns(const std::vector<SynProbe>& probes, const std::vector<std::string>& twins) const {
    return calls_.probe_syns(probes, twins);
  }

 private:
  std::string root_;
  SystemCalls calls_;
};

/// "2-3,8" in numbers, in order; what is no list gives nothing.
std::vector<unsigned> cpus_of(const std::string& list);

}  // namespace sluice::ctl
