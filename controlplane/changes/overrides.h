// SPDX-License-Identifier: Apache-2.0
//
// Keeps what operators changed by hand (by_hand.h), puts it into the model, and carries out what time brings: the end
// of a drain, the days of a warm-up. Every change is on the disk before it takes effect. One thread; time is the
// journal's.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/base/journal.h"
#include "controlplane/changes/by_hand.h"
#include "controlplane/model/model.h"

namespace sluice::control {

class Overrides {
 public:
  enum class Action : uint8_t {
    kDrain,     // no new flows; what is open goes on, to the deadline if there is one
    kDisable,   // no new flows; what is open is cut
    kEnable,    // takes back either
    kWeight,    // instead of the configured one; without a value, the configured one again
    kClear,     // takes back everything
    kPause,     // the warm-up stays at this day
    kResume,    // and goes on
    kRollBack,  // by some days, or to its beginning
  };

  struct Change {
    Action action = Action::kClear;
    std::vector<std::string> names;  // of entries, as find_backend() gives them
    std::optional<std::chrono::seconds> deadline;
    std::optional<uint32_t> weight;
    std::optional<uint32_t> days;
  };

  /// A member's open flows; nothing while the data plane does not say.
  using Flows = std::function<std::optional<uint64_t>(const Member&)>;

  /// `directory` is where the state is kept. The references outlive this.
  Overrides(const config::Config& config, Model& model, Journal& journal, Flows flows, const std::string& directory);

  /// Reads what was kept, and puts it into the model. A file that makes no sense is set aside, and the journal says so.
  void restore();

  /// Changes all of the names or none. The value is a warning ("" normally): in effect, but not on the disk. The error
  /// says why not.
  std::expected<std::string, std::string> change(const Change& change);

  /// What `entries` are after a change of them; or why it cannot be.
  std::expected<ByHandEntries, std::string> changed(ByHandEntries entries, const Change& change) const;

  /// What holds on all nodes, in the place of what did. Kept, as they are not heard anew while etcd is away. Whether
  /// the data plane has to hear of it.
  bool set_wishes(Wishes wishes);
  const Wishes& wishes() const { return wishes_; }

  /// Puts everything into the model, which has other members now. Whether the data plane has to hear of it.
  bool apply();

  /// To be called every second or so: has clients told of drains, ends them, moves warm-ups on. Whether the data plane
  /// has to hear of it.
  bool tick();

  /// The clock was set: drains that were said to this process end after the time that was given to them. What an
  /// earlier one kept, and what another node said, stays where it is: the clock by which it was said may have been
  /// right. Whether the data plane has to hear of it.
  bool move_times(SystemTime::duration by);

  const ByHandEntries& entries() const { return entries_; }
  /// What was changed by hand for a member, here or for all nodes: that of its port before that of its backend. Null if
  /// nothing was.
  const ByHand* find(const Member& member) const;
  /// By which the warm-up of a backend, "POOL/BACKEND", goes: as was said here, or else for all nodes.
  WarmUpClock warm_up_clock(const std::string& name) const;
  /// Open flows of all members that an entry speaks of; nothing if one of them is not known.
  std::optional<uint64_t> flows_of(const std::string& name) const { return sum_of(name, flows_); }
  /// Likewise of another count.
  std::optional<uint64_t> sum_of(const std::string& name, const Flows& count) const;

 private:
  std::expected<void, std::string> change_one(const std::string& name, const Change& change,
                                              ByHandEntries& entries) const;
  std::expected<void, std::string> change_warm_up(const std::string& name, const Change& change, ByHand& entry) const;
  void record(const std::string& name, const Change& change);
  void record_wish(const std::string& name, const Wish* before, const Wish* after);
  /// Whether its deadline has passed: what is left of it is cut then.
  bool end_drain(const std::string& name, ByHand& entry);
  bool apply_to(size_t member);
  bool end_drains();
  /// Those of which the last part of the time has begun (model/leaving.h).
  bool tell_drained();
  bool apply_warm_up(size_t member);

  const config::Config& config_;
  Model& model_;
  Journal& journal_;
  Flows flows_;
  std::string path_, wishes_path_;
  ByHandEntries entries_;
  Wishes wishes_;
  std::set<std::string> said_to_us_;  // entries whose drain goes by the clock of this process
  std::set<std::string> empty_;       // draining, with no flow left, and the journal says so
};

/// Pool and backend of an entry's name, its port left out: "mta/mta1" of "mta/mta1:25".
std::string backend_part(const std::string& name);

}  // namespace sluice::control
