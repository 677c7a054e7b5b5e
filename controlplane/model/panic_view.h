// SPDX-License-Identifier: Apache-2.0
//
// What panic.cc sees at one moment: the members of each group together, and the hosts of each place.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "controlplane/model/panic.h"

namespace sluice::control {

inline constexpr double kPanicRounding = 1e-9;  // of shares of a crowd

struct Panic::Crowd {
  double share = 0;
  size_t members = 0;
  size_t counted = 0;
  size_t failing = 0;
  size_t refusing = 0;
  size_t by_certificate = 0;
  size_t usable = 0;                // those that nothing is against
  std::vector<Time> sound_known;    // of those that do not fail: when that was last known, latest first
  std::vector<Time> no_refusal_at;  // of those that do not refuse

  bool panics() const { return static_cast<double>(failing) > share * static_cast<double>(counted) + kPanicRounding; }
};

struct Panic::PlaceView {
  std::map<config::IpAddress, bool> failing;  // by host: all of its members do
  Time heard;                                 // the latest of all, and the latest of another host
  config::IpAddress heard_from;
  Time heard_else;
  std::optional<config::IpAddress> answers;  // a host that answered when it was last asked
  bool another_answers = false;

  bool all_fail() const {
    return failing.size() >= 2 && std::ranges::all_of(failing, [](const auto& host) { return host.second; });
  }
  void add_heard(const config::IpAddress& from, Time at) {
    if (from == heard_from || at > heard) {
      if (from != heard_from) heard_else = std::max(heard_else, heard);
      heard = std::max(heard, at);
      heard_from = from;
    } else {
      heard_else = std::max(heard_else, at);
    }
  }
  void add_answering(const config::IpAddress& host) {
    another_answers |= answers && *answers != host;
    answers = host;
  }
  bool is_answered_beside(const config::IpAddress& address) const {
    return another_answers || (answers && *answers != address);
  }
  Time heard_beside(const config::IpAddress& address) const { return address == heard_from ? heard_else : heard; }
};

struct Panic::View {
  const std::vector<Crowd>& crowds;
  const std::map<Place, PlaceView>& places;
};

}  // namespace sluice::control
