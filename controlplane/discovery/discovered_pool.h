// SPDX-License-Identifier: Apache-2.0
//
// The members of one pool that are not in the file, and what is believed of what its source says of them. Pure.
#pragma once

#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/base/times.h"
#include "controlplane/base/watched_file.h"
#include "controlplane/discovery/beliefs.h"
#include "controlplane/fleet/registrations.h"

namespace sluice::control {

/// Who left without having said so, and when.
using Losses = std::map<std::string, SystemTime>;

/// What is known of one pool.
struct DiscoveredPool {
  std::optional<config::Discover> discover;
  DiscoveredBackends found;
  DiscoveredBackends by_hand;
  Losses lost;                           // of `found`, lately; only where members have leases, which end one by one
  std::optional<SystemTime> read;        // when the source was taken last
  std::optional<FileStamp> stamp;        // of the file when it was read
  std::string fault;                     // why the source is not taken as it is now; "" = it is
  double panic_share = 0;                // as configured
  std::vector<config::Backend> in_file;  // the pool's own

  /// The file that its members come from; "" = none.
  std::string file() const;
  /// Whether they register themselves.
  bool is_registered() const;
  /// "file:PATH", "dns:TYPE NAME", "etcd"; "" = none.
  std::string source() const;
  /// How many the source does not name any more, and which are kept.
  size_t missing() const;
};

/// By name, every pool.
using DiscoveredPools = std::map<std::string, DiscoveredPool>;

/// The backends of a document (config/load.h), each name once. The error is its first fault; `path` names the document.
std::expected<DiscoveredBackends, std::string> backends_from(const std::string& path, const std::string& text,
                                                             config::Origin origin);

/// What a pool's source says, as far as it is believed. Where a member's key is wrong, those who leave do so all the
/// same. Where members have leases, who was lost within half a minute counts as lost at once.
std::expected<Belief, std::string> belief_of(const DiscoveredPool& pool,
                                             const std::expected<PoolMembers, std::string>& members, SystemTime now);
/// It is what is known from now on.
void take(const Belief& belief, SystemTime now, DiscoveredPool& pool);

}  // namespace sluice::control
