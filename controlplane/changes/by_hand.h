// SPDX-License-Identifier: Apache-2.0
//
// What operators changed by hand, over what the file says: for each backend, named "POOL/BACKEND" (on all its ports) or
// "POOL/BACKEND:PORT". Plain data, and its form in the state directory.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "controlplane/model/admin.h"
#include "controlplane/weights/warm_up.h"

namespace sluice::control {

struct ByHand {
  Admin admin = Admin::kEnabled;  // kEnabled: nothing was said
  SystemTime admin_since;
  std::optional<SystemTime> deadline;  // of a drain: what is left then is cut
  uint64_t flows_cut = 0;              // when it was disabled, or at the deadline
  std::optional<uint32_t> weight;      // stands in for the configured one
  SystemTime weight_since;
  WarmUpClock warm_up;
  SystemTime warm_up_since;

  /// Whether there is nothing to keep.
  bool is_empty() const { return admin == Admin::kEnabled && !weight && warm_up == WarmUpClock{}; }

  friend bool operator==(const ByHand&, const ByHand&) = default;
};

using ByHandEntries = std::map<std::string, ByHand, std::less<>>;

/// What an operator wishes for a backend on all nodes.
struct Wish {
  ByHand entry;
  std::string node;      // where it was said
  std::string who;       // and by whom, in words
  int64_t revision = 0;  // by which it is known whether another was said meanwhile

  friend bool operator==(const Wish&, const Wish&) = default;
};

using Wishes = std::map<std::string, Wish, std::less<>>;

/// As JSON, of version 1.
std::string to_text(const ByHandEntries& entries);
std::string to_text(const Wishes& wishes);
/// Without its revision.
std::string to_text(const Wish& wish);

/// The error says why `text` is not what `to_text` gives.
std::expected<ByHandEntries, std::string> by_hand_from(std::string_view text);
std::expected<Wishes, std::string> wishes_from(std::string_view text);
std::expected<Wish, std::string> wish_from(std::string_view text);

}  // namespace sluice::control
