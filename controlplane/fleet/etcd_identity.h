// SPDX-License-Identifier: Apache-2.0
//
// Whether an answer of etcd goes on where it was known to be when it was asked: of the same cluster, and no older.
// Another cluster is refused for as long as it answers. A store that was set back, made anew or restored from a
// snapshot, is refused until an operator says so, as it grows past where the former one was: nothing that it answers
// tells the two apart then. Outlives the process by a file.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "controlplane/base/journal.h"
#include "controlplane/base/times.h"
#include "controlplane/fleet/etcd_messages.h"

namespace sluice::control {

class EtcdIdentity {
 public:
  /// Where etcd was known to be when something was asked. Its reads are linearizable: an answer is no older, and a
  /// member that is cut off from the others gives none.
  struct Asked {
    int64_t revision = 0;
    uint64_t acceptances = 0;  // by hand, until then
  };

  /// `path` is of its file. The journal outlives this.
  EtcdIdentity(Journal& journal, std::string path);

  /// Reads what was kept.
  void restore();
  /// To be kept with a question, for judge().
  Asked asked() const { return {known_ ? known_->revision : 0, acceptances_}; }
  /// Why an answer is not believed; "" = it is, and is remembered. Answers may come in another order than they were
  /// asked for.
  std::string judge(const etcd::Position& answer, const Asked& asked);
  /// The answer that was refused last is where we go on from. The error says why not; the value is a warning, or "".
  std::expected<std::string, std::string> accept();

  /// What is known, which otherwise is done once a minute.
  void write_down();

  /// Of what is believed, the last.
  const std::optional<etcd::Position>& known() const { return known_; }

 private:
  std::string save();

  Journal& journal_;
  std::string path_;
  std::optional<etcd::Position> known_, refused_;
  bool was_set_back_ = false;  // and that was not accepted
  uint64_t acceptances_ = 0;
  SystemTime saved_;
};

}  // namespace sluice::control
