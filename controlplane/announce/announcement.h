// SPDX-License-Identifier: Apache-2.0
//
// Decides for each VIP whether the network is to be told of it, and as what. What its services say counts when it has
// lasted for the hold-down, in either direction; a VIP that goes soon after it came waits twice as long for its next
// announcement, then four times, up to kMaxStrikes doublings. What means that packets are lost here (the data plane
// away, no link) withdraws at once, and so does the operator. Pure: facts and the time come in; the journal hears of
// each change.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"
#include "controlplane/base/journal.h"
#include "controlplane/base/times.h"

namespace sluice::control {

/// Draining: only where no other node announces it better.
enum class VipState : uint8_t { kWithdrawn, kDraining, kAnnounced };

/// "withdrawn", "draining", "announced".
std::string_view name_of(VipState state);

struct VipFacts {
  config::IpAddress vip;
  bool in_service = false;
  std::string reason;    // why not; "" if it is
  bool leaving = false;  // its services left the file, and sessions of theirs are open
  bool is_known = true;  // false: one of its services has not been judged yet, so that nothing follows
};

struct NodeFacts {
  std::string fault;      // packets to any VIP are lost here, in words; "" = they are not
  bool draining = false;  // the operator wants others to be preferred
  bool out = false;       // and no VIP announced at all
  std::vector<VipFacts> vips;
};

class Announcement {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr unsigned kMaxStrikes = 5;
  static constexpr int kCalm = 20;  // hold-downs after which a VIP that goes has been there for long

  struct Change {
    VipState to = VipState::kWithdrawn;
    Clock::time_point due;
  };
  struct Vip {
    VipState state = VipState::kWithdrawn;
    std::string reason = "not judged yet";
    SystemTime since;
    std::optional<Change> pending;  // if things stay as they are
    uint64_t changes = 0;           // of its state

    // What its services say, held down.
    bool in_service = false;
    std::optional<Clock::time_point> differs_since;  // the facts say otherwise
    Clock::time_point in_service_since;
    Clock::time_point sound_since;  // the node has had no fault
    unsigned strikes = 0;
  };

  /// The journal outlives this.
  explicit Announcement(Journal& journal) : journal_(journal) {}

  void follow(const config::Announce& config) { config_ = config; }
  /// What an earlier process told the network, and what is still so. Before the first update().
  void adopt(const config::IpAddress& vip, VipState state, bool in_service, Clock::time_point now);
  /// Whether the state of any VIP has changed.
  bool update(const NodeFacts& facts, Clock::time_point now);
  /// When update() has something to do though no fact has changed.
  std::optional<Clock::time_point> next_step() const;

  const std::map<config::IpAddress, Vip>& vips() const { return vips_; }
  /// Its metric among our routes; nothing: it has none, or there are no routes.
  std::optional<uint32_t> metric_of(VipState state) const;

 private:
  struct Verdict {
    VipState state;
    std::string reason;
  };

  Clock::duration hold(const Vip& vip) const;
  void judge_services(Vip& vip, bool in_service, Clock::time_point now);
  void take_out_of_service(Vip& vip, Clock::time_point now);
  Verdict verdict(const Vip& vip, const VipFacts& facts, const NodeFacts& node, Clock::time_point now) const;
  std::optional<Change> pending(const Vip& vip, const NodeFacts& node, Clock::time_point now) const;
  bool settle(const config::IpAddress& address, Vip& vip, Verdict verdict);

  Journal& journal_;
  config::Announce config_;
  std::map<config::IpAddress, Vip> vips_;
};

}  // namespace sluice::control
