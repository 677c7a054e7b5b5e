// SPDX-License-Identifier: Apache-2.0
//
// What bad news about backends may do (DESIGN.md section 7). Of one that fails alone the evidence is believed; where
// many fail at once, the cause is taken to lie between us and them, and they go on as before for a while: panic. Pure;
// time is injected. Not thread-safe. Members are named by their index in the last `follow()`.
//
// Invariants: (1) kDead, which may cost open sessions, takes a refusal, or silence of a host on whose way others
// answer; others were heard both before and after the failure that counts; and it was not found among many that failed:
// of those that are left of a panic, only what is found out after it counts, and so after a hold: the server may be
// back since it was last asked. Silence counts from when its host was last heard, by whatever port or session: a full
// queue of connections and a firewall are silent, too. (2) A member that a judgement alone is
// against (what it says, its certificate) is never out when no other is left. (3) Nothing is held for longer than its
// pool's hold, but for (2).
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "config/model.h"
#include "controlplane/kernel/next_hop.h"
#include "healthcheck/verdict.h"

namespace sluice::control {

enum class Standing : uint8_t {
  kGood,  // nothing is against it
  kHeld,  // it fails, or nothing is known, and it goes on as before
  kOut,   // it gets no new sessions; open ones are kept
  kDead,  // it gets no new sessions, and open ones may be cut
};

/// "good", "held", "out", "dead".
std::string_view name_of(Standing standing);

class Panic {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// Failures that began within this time of each other count as one event.
  static constexpr std::chrono::seconds kWindow{60};
  /// How many others, at most, have to be heard before one is believed to be dead.
  static constexpr size_t kPanel = 8;

  struct Subject {
    uint64_t key = 0;  // by which its state is found again in the next `follow()`
    config::IpAddress address;
  };
  struct Group {
    double share = 0.5;
    std::chrono::milliseconds hold{180000};
    std::vector<size_t> members;
    std::vector<size_t> beside;  // judged by how these members do, and not held against them
  };
  /// Why members of a group go on although they fail.
  struct State {
    size_t held = 0;
    size_t failing = 0;
    size_t counted = 0;         // of which these are held against `share`
    std::string why;            // "3 of 3 backends fail at once"
    std::optional<Time> until;  // when the first hold ends; nothing: not by time
  };

  /// Whoever is in no group is one alone.
  void follow(const std::vector<Subject>& subjects, std::vector<Group> groups);

  /// The data plane was using it before we came: it counts as seen good.
  void presume_good(size_t member) { members_[member].was_good = true; }
  /// Nothing is ever found out about it, as it has no check: it counts as good wherever there is a way to it.
  void trust(size_t member);
  /// It completed a handshake.
  void on_heard(size_t member, Time now);
  /// Its host sent something, whatever it was: its silence is not a dead host's.
  void on_host_heard(size_t member, Time now);
  struct Result {
    health::Evidence evidence = health::Evidence::kNone;  // kNone: it passed, or was put off
    Time began;
    bool settled = true;  // rise and fall have made up their mind since they were last started over
  };
  /// A probe that counts has ended.
  void on_result(size_t member, const Result& result, Time now);
  /// What rise and fall make of the results.
  void set_down(size_t member, bool down, Time now);
  /// Whether the operator, its agent and its weight let it take sessions: if not, the others are not held against it.
  void set_serving(size_t member, bool serving) { members_[member].serving = serving; }
  /// Where packets for it go now; nothing: there is no next hop.
  void set_way(size_t member, const std::optional<NextHop>& way, Time now);
  /// The way to it is interrupted at our end: nothing that is found out meanwhile counts.
  void interrupt(size_t member, std::string why, Time now);
  /// It is there again: what was so far stands until the first result with a next hop, or until it alone
  /// of those on its way is silent.
  void restore(size_t member, Time now);

  /// Judges anew. True if a standing has changed.
  bool evaluate(Time now);

  Standing standing(size_t member) const { return members_[member].standing; }
  /// Of kHeld, and of kOut and kDead where there is more to say than what the probe found; else "".
  const std::string& why(size_t member) const { return members_[member].why; }
  /// Whether nothing came back of its last probe.
  bool is_silent(size_t member) const;
  /// Whether a verdict is still awaited after an interruption.
  bool is_awaited(size_t member) const { return members_[member].awaiting; }
  /// Nothing if the group goes by what is found out.
  std::optional<State> state(size_t group) const;
  /// Nothing fails and nothing is awaited: time alone changes nothing.
  bool is_quiet() const { return quiet_; }
  /// Members that should be probed at once, as what becomes of others depends on them. Each call takes them.
  std::vector<size_t> take_hurried() { return std::exchange(hurried_, {}); }
  /// Members whose probes should start over, as what was found out of them so far is not to be believed. Likewise.
  std::vector<size_t> take_restarted() { return std::exchange(restarted_, {}); }

 private:
  /// What is reached the same way: behind one port, on the link or by one gateway.
  struct Place {
    std::string twin;         // of the port
    bool whole_port = false;  // whatever the gateway
    std::optional<MacAddress> gateway;
    friend bool operator==(const Place&, const Place&) = default;
    friend bool operator<(const Place& a, const Place& b) { return a.order() < b.order(); }
    std::tuple<std::string_view, bool, std::array<uint8_t, 6>> order() const {
      return {twin, whole_port, gateway ? gateway->bytes : std::array<uint8_t, 6>{}};
    }
  };

  struct Member {
    config::IpAddress address;
    uint64_t key = 0;
    size_t group = 0;

    bool serving = true;
    bool was_good = false;
    bool checked = false;   // probes of it come in
    bool doubtful = false;  // its last result was bad
    bool down = false;
    Time down_since;
    bool has_way = false;
    std::optional<Place> place;  // of its last way
    health::Evidence evidence = health::Evidence::kNone;
    Time evidence_since;               // the first of such results in a row
    std::optional<Time> witnessed_at;  // the first time since then that another was heard
    bool bracketed = false;            // a probe that began after that failed as well
    Time asked_at;                     // when the last probe that has ended began
    std::optional<Time> failing_since;
    Time heard_at;  // last
    Time known_at;  // heard, or found to fail

    bool interrupted = false;
    bool awaiting = false;
    Time awaiting_until;
    std::string interruption;

    Standing standing = Standing::kGood;
    std::string why;
    std::optional<Time> held_since;
    std::optional<Time> spent_at;  // it was held for as long as it may, until then

    bool lost_way() const { return place.has_value() && !has_way; }
    bool is_bad() const { return down || lost_way(); }
    bool is_failing() const { return doubtful || is_bad(); }
    bool is_answering() const {
      if (interrupted || awaiting || lost_way() || heard_at == Time{}) return false;
      return !is_failing() || evidence == health::Evidence::kJudged || evidence == health::Evidence::kCertificate;
    }
    bool is_refusing() const { return is_failing() && evidence == health::Evidence::kRefused; }
    /// No probe has begun and ended since its hold was over.
    bool has_yet_to_be_asked() const { return spent_at && asked_at < *spent_at; }
    /// Since when others have to be heard for its failure to be its own.
    Time believed_since() const { return std::max(evidence_since, down_since); }
    void forget_witnesses() {
      witnessed_at.reset();
      bracketed = false;
    }
    void change_evidence(health::Evidence to, Time now) {
      evidence = to;
      evidence_since = now;
      forget_witnesses();
    }
    /// What was found so far proves nothing any more.
    void forget_evidence(Time now) {
      change_evidence(is_failing() ? health::Evidence::kJudged : health::Evidence::kNone, now);
    }
    bool is_judged() const { return !lost_way() && evidence == health::Evidence::kJudged; }
  };
  struct Crowd;      // a group at one moment
  struct PlaceView;  // a place at one moment
  struct View;

  static bool counts(const Member& member, Time now);
  Crowd look_at(const Group& group, Time now) const;
  std::map<Place, PlaceView> look_at_places(Time now) const;
  bool place_fails(const Member& member, const View& view) const;
  bool is_proven(const Member& member, const View& view) const;
  bool is_refusal_proven(const Member& member, const Crowd& crowd) const;
  bool is_host_silent(const Member& member) const;
  Standing judge(Member& member, const View& view, Time now) const;
  Standing judge_after_hold(const Member& member, const View& view) const;
  void note_failing(size_t index, Time now);
  void bear_witness(const Member& heard, Time now);
  void vouch_for_host(const Member& heard, Time now);
  void start_over(size_t index, Time now);
  void hurry_others(size_t index);

  std::vector<Member> members_;
  std::map<config::IpAddress, std::vector<size_t>> by_host_;
  std::vector<Group> groups_;
  std::vector<std::pair<size_t, size_t>> tally_;  // by group: failing, counted
  bool quiet_ = false;
  std::vector<size_t> hurried_;
  std::vector<size_t> restarted_;
};

}  // namespace sluice::control
