// SPDX-License-Identifier: Apache-2.0
//
// What a node tells the others of itself, below PREFIX/nodes/NODE, and in what nodes that are to be alike differ. Pure.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/fleet/etcd_messages.h"

namespace sluice::control {

struct NodeReport {
  std::string node;
  std::string instance;  // the process that says it, random; "" = of a version before there were any
  std::string host;      // where that runs; "" likewise
  std::string zone;      // "" = none
  std::string version;
  std::string file;  // a digest of the configuration file that it runs with
  std::map<std::string, std::string>
      included;                      // digests of the files that it includes and that are not its own, by name
  std::string own;                   // that of these files which is its own, by name; "" = none
  std::string time;                  // RFC 3339: when this was told
  uint64_t up = 0, down = 0;         // backends, at each of their ports: those that take traffic, and the others
  std::optional<uint64_t> sessions;  // open; nothing: its data plane is away
  std::map<std::string, std::string> tables;  // digest by pool: "mta:25 (relay)"

  friend bool operator==(const NodeReport&, const NodeReport&) = default;
};

/// Of files that are included it tells no more than are read, each with a name of its own: the others are one digest.
std::string to_text(const NodeReport& report);
/// What one of the keys below `prefix` says. The error names it.
std::expected<NodeReport, std::string> report_from(const etcd::Record& record, const std::string& prefix);

/// Something that is not the same on all nodes: versions and files; or on all nodes of a zone: files that are included
/// and are not a node's own, tables, and how many backends are up.
struct Difference {
  std::string what;                                     // "version", "file", "table of mta:25 in zone a"
  std::map<std::string, std::vector<std::string>> who;  // the nodes, by what it is there; "" = there is none

  friend bool operator==(const Difference&, const Difference&) = default;
};
std::vector<Difference> differences(const std::vector<NodeReport>& reports);

/// Not of cryptographic strength: tells files apart that people wrote.
std::string digest_of(const std::string& text);

}  // namespace sluice::control
