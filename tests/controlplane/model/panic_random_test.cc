// SPDX-License-Identifier: Apache-2.0
//
// Panic's invariants under random worlds: hosts die and come back, links and middleboxes break, ports are interrupted.
// What probes find follows from the world, so that it is known whom a cut would hit.
#include <gtest/gtest.h>

#include <random>

#include "controlplane/model/panic.h"

#include "tests/support/ip.h"
#include "tests/support/seed.h"

namespace sluice::control {
namespace {

using health::Evidence;
using namespace std::chrono_literals;

struct Host {
  bool dead = false;       // the process: it refuses
  bool off = false;        // the machine: it is silent
  bool misjudged = false;  // it serves, and the check does not like what it says
  uint32_t failures = 0;
  Panic::Time next_probe;
  Panic::Time changed_at;
  Panic::Time well_at;  // when a probe last found it so
  Evidence last_found = Evidence::kNone;
};

class World {
 public:
  explicit World(uint64_t seed) : random_(seed), hosts_(2 + random_() % 7) {
    std::vector<Panic::Subject> subjects;
    Panic::Group group{.members = {}};
    for (size_t i = 0; i < hosts_.size(); i++) {
      subjects.push_back({i + 1, ip("10.0.1." + std::to_string(i + 1))});
      group.members.push_back(i);
      hosts_[i].next_probe = now_ + std::chrono::milliseconds(random_() % 5000);
    }
    panic.follow(subjects, {group});
    for (size_t i = 0; i < hosts_.size(); i++) {
      panic.set_way(i, NextHop{{{2, 0, 0, 0, 0, 1}}, "slf0"}, now_);
      panic.on_result(i, {Evidence::kNone, now_}, now_);
    }
  }

  void step() {
    now_ += 50ms;
    // What breaks stays so for longer than `fall` probes take, or nobody could tell.
    if (now_ >= quiet_until_ && random_() % 60 == 0) happen();
    for (size_t i = 0; i < hosts_.size(); i++)
      if (now_ >= hosts_[i].next_probe) probe(i);
    for (const size_t i : panic.take_hurried()) hosts_[i].next_probe = std::min(hosts_[i].next_probe, now_ + 50ms);
    panic.evaluate(now_);
    for (const size_t i : panic.take_restarted()) start_over(i);
  }
  void require_invariants() {
    size_t left = 0;
    for (size_t i = 0; i < hosts_.size(); i++) {
      const Host& host = hosts_[i];
      const Standing standing = panic.standing(i);
      left += standing == Standing::kGood || standing == Standing::kHeld;
      if (standing == Standing::kDead && !was_dead_[i]) {
        EXPECT_TRUE(host.dead || host.off || refused_for_long(host)) << "cut, and its server lives";
      }
      was_dead_[i] = standing == Standing::kDead;
    }
    bool any_serves = false;
    for (const Host& host : hosts_) any_serves |= !host.dead && !host.off && now_ - host.changed_at > 10s;
    if (left == 0 && !link_down_ && !refusing_ && !interrupted_) {
      EXPECT_FALSE(any_serves && !was_broken_lately()) << "nobody is left";
    }
  }

  Panic panic;

 private:
  void happen() {
    quiet_until_ = now_ + 8s;
    Host& host = hosts_[random_() % hosts_.size()];
    host.changed_at = now_;
    switch (random_() % 8) {
      case 0:
        host.dead = !host.dead;
        break;
      case 1:
        host.off = !host.off;
        break;
      case 2:
        host.misjudged = !host.misjudged;
        break;
      case 3:
        for (Host& each : hosts_) each.misjudged = true;
        break;
      case 4:
        for (Host& each : hosts_) {
          each.dead = each.off = each.misjudged = false;
          each.changed_at = now_;
        }
        break;
      case 5:
        link_down_ = !link_down_;
        if (!link_down_) broken_until_ = now_;
        break;
      case 6:
        refusing_ = !refusing_;
        if (!refusing_) broken_until_ = now_;
        break;
      default:
        interrupt();
    }
  }
  void interrupt() {
    interrupted_ = !interrupted_;
    broken_until_ = now_;
    for (size_t i = 0; i < hosts_.size(); i++) {
      if (interrupted_) {
        panic.interrupt(i, "twin", now_);
      } else {
        panic.restore(i, now_);
        start_over(i);
      }
    }
  }
  void start_over(size_t i) {
    hosts_[i].failures = 0;
    hosts_[i].next_probe = now_;
  }
  Evidence find(const Host& host) const {
    if (link_down_ || (host.off && !refusing_)) return Evidence::kUnanswered;
    if (refusing_ || host.dead) return Evidence::kRefused;
    return host.misjudged ? Evidence::kJudged : Evidence::kNone;
  }
  void probe(size_t i) {
    Host& host = hosts_[i];
    const Evidence found = find(host);
    host.last_found = found;
    host.next_probe = now_ + std::chrono::milliseconds(found == Evidence::kNone ? 4000 + random_() % 2000 : 1000);
    if (interrupted_ && found != Evidence::kNone) return;
    host.failures = found == Evidence::kNone ? 0 : host.failures + 1;
    if (found == Evidence::kNone) host.well_at = now_;
    if (found == Evidence::kNone || found == Evidence::kJudged) panic.on_heard(i, now_);
    panic.on_result(i, {found, now_ - 40ms, found == Evidence::kNone || host.failures >= 3}, now_);
    if (found == Evidence::kNone) panic.set_down(i, false, now_);
    if (host.failures >= 3) panic.set_down(i, true, now_);
  }
  /// After the hold the evidence counts, whatever it is: what the last probe found.
  bool refused_for_long(const Host& host) const {
    return host.last_found == Evidence::kRefused && now_ - host.well_at > 170s;
  }
  bool was_broken_lately() const { return now_ - broken_until_ < 10s; }

  std::mt19937_64 random_;
  Panic::Time now_{std::chrono::hours(1000)};
  std::vector<Host> hosts_;
  std::array<bool, 16> was_dead_{};
  bool link_down_ = false;
  bool refusing_ = false;
  bool interrupted_ = false;
  Panic::Time broken_until_;
  Panic::Time quiet_until_;
};

TEST(PanicInRandomWorlds, CutsNobodyWhoseServerLives) {
  const uint64_t first = test_seed();
  for (uint64_t seed = first; seed < first + 80; seed++) {
    SCOPED_TRACE(how_to_repeat(seed));
    World world(seed);
    for (int i = 0; i < 6000; i++) {
      world.step();
      world.require_invariants();
      if (testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace sluice::control
