// SPDX-License-Identifier: Apache-2.0
//
// Whether an answer of etcd goes on where the last one was: of the same cluster, and no older. One that does not comes
// of a cluster that was made anew, restored from a snapshot, or is not ours; what it says is not believed until an
// operator says so. Outlives the process by a file.
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "controlplane/base/journal.h"
#include "controlplane/base/times.h"
#include "controlplane/fleet/etcd_messages.h"

namespace sluice::control {

class EtcdIdentity {
 public:
  /// `path` is of its file. The journal outlives this.
  EtcdIdentity(Journal& journal, std::string path);

  /// Reads what was kept.
  void restore();
  /// Why an answer is not believed; "" = it is, and is remembered.
  std::string judge(const etcd::Position& answer);
  /// The answer that was refused last is where we go on from. The error says why not; the value is a warning, or "".
  std::expected<std::string, std::string> accept();

  const std::optional<etcd::Position>& known() const { return known_; }

 private:
  std::string remember(const etcd::Position& answer);

  Journal& journal_;
  std::string path_;
  std::optional<etcd::Position> known_, refused_;
  SystemTime saved_;
};

}  // namespace sluice::control
