// SPDX-License-Identifier: Apache-2.0
//
// The operator's wish to empty this node: VIPs go to the draining metric, so that routers prefer others, and at the
// deadline, if there is one, they are withdrawn. Kept in the state directory, so that a restart of control drains on.
// One thread; time is the journal's.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "controlplane/base/journal.h"
#include "controlplane/base/times.h"

namespace sluice::control {

class NodeDrain {
 public:
  struct Wish {
    SystemTime since;
    std::optional<SystemTime> deadline;
  };
  /// Quiet: new sessions have ceased. Empty: and none is open. Out: the deadline is over.
  enum class Phase : uint8_t { kServing, kDraining, kQuiet, kEmpty, kOut };
  struct Flows {
    uint64_t created = 0;  // since the data plane started; not those that began at another node
    uint64_t open = 0;
  };

  static constexpr std::chrono::seconds kQuiet{5};  // without a new session: they have ceased

  /// The journal outlives this.
  NodeDrain(Journal& journal, const std::string& state_directory);

  /// Goes on where an earlier process stood. A file that makes no sense is set aside, and the journal says so.
  void restore();

  /// The value is a warning ("" normally): in effect, but not on the disk. Once more: with another deadline.
  std::expected<std::string, std::string> drain(std::optional<std::chrono::seconds> deadline);
  /// The error: it does not drain.
  std::expected<std::string, std::string> undrain();

  /// To be called every second or so; nothing while the data plane does not say. Whether the phase has changed.
  bool tick(std::optional<Flows> flows);

  /// The clock was set: a drain that was said to this process goes on as before. What an earlier one kept stays where
  /// it is: the clock by which it was said may have been right.
  void move_times(SystemTime::duration by);

  const std::optional<Wish>& wish() const { return wish_; }
  Phase phase() const { return phase_; }
  /// Whether sessions are to be told 421 between messages (model/leaving.h).
  bool leaves() const;
  const std::optional<Flows>& flows() const { return flows_; }

 private:
  Phase next_phase(SystemTime now) const;
  std::string save();

  Journal& journal_;
  std::string path_;
  std::optional<Wish> wish_;
  bool is_absolute_ = false;  // an earlier process kept it
  Phase phase_ = Phase::kServing;
  std::optional<Flows> flows_;
  SystemTime last_new_;  // a session began, or nobody knows
};

/// "serving", "draining", "quiet", "empty", "out".
std::string_view name_of(NodeDrain::Phase phase);

}  // namespace sluice::control
