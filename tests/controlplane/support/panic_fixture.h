// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "controlplane/model/panic.h"
#include "tests/support/ip.h"

namespace sluice::control {

using health::Evidence;
using namespace std::chrono_literals;

/// A pool of hosts behind one port, all up; time goes on by hand.
class PanicTest : public testing::Test {
 protected:
  void make(size_t hosts, double share = 0.5, std::chrono::milliseconds hold = 180s) {
    std::vector<Panic::Subject> subjects;
    Panic::Group group{share, hold, {}, {}};
    for (size_t i = 0; i < hosts; i++) {
      subjects.push_back({i + 1, ip("10.0.1." + std::to_string(i + 1))});
      group.members.push_back(i);
    }
    panic_.follow(subjects, {group});
    for (size_t i = 0; i < hosts; i++) {
      panic_.set_way(i, NextHop{{{2, 0, 0, 0, 0, static_cast<uint8_t>(i)}}, "slb0"}, now_);
      good(i);
    }
    evaluate();
  }
  void evaluate() { panic_.evaluate(now_); }
  void after(std::chrono::milliseconds time) { now_ += time; }
  void good(size_t i) {
    panic_.on_heard(i, now_);
    panic_.on_result(i, {Evidence::kNone, now_}, now_);
    panic_.set_down(i, false, now_);
  }
  /// A probe that fails; the next makes it down.
  void doubt(size_t i, Evidence evidence) { panic_.on_result(i, {evidence, now_, false}, now_); }
  void down(size_t i, Evidence evidence) {
    panic_.on_result(i, {evidence, now_}, now_);
    panic_.set_down(i, true, now_);
    evaluate();
  }
  void all_down(size_t members, Evidence evidence) {
    for (size_t i = 0; i < members; i++) down(i, evidence);
  }
  /// A probe that fails, all others are heard, another that fails and makes it down, and the others are heard again.
  void die(size_t i, Evidence evidence) {
    doubt(i, evidence);
    hear_all_but(i);
    after(500ms);
    down(i, evidence);
    hear_all_but(i);
    evaluate();
  }
  void hear_all_but(size_t dead) {
    for (size_t i = 0; i < size(); i++)
      if (i != dead && panic_.standing(i) == Standing::kGood) good(i);
  }
  std::string standings() {
    evaluate();
    std::string out;
    for (size_t i = 0; i < size(); i++) out += "GHOD"[static_cast<int>(panic_.standing(i))];
    return out;
  }
  size_t size() const { return size_; }
  void pool(size_t hosts, double share = 0.5, std::chrono::milliseconds hold = 180s) {
    size_ = hosts;
    make(hosts, share, hold);
  }

  size_t size_ = 0;
  Panic::Time now_{std::chrono::hours(1000)};
  Panic panic_;
};

}  // namespace sluice::control
