// SPDX-License-Identifier: Apache-2.0
//
// Whether this process may speak for its node, where two have been given one name by mistake. Who speaks puts the key
// of the node anew every two seconds, under a lease, so that the key's revision tells whether its owner lives: a key of
// another process that stays as it is for kQuietLooks is a former one's, as of ours before a restart, and taken over.
// Whoever finds one that lives keeps silent, and says so in a key of its own, by which the other hears of it. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/fleet/etcd_messages.h"

namespace sluice::control {

/// Another process under the same name.
struct Rival {
  std::string instance;  // "" = it does not say
  std::string host;      // where it runs; "" likewise

  friend bool operator==(const Rival&, const Rival&) = default;
};

/// How the name of this node stands.
struct NameState {
  bool is_ours = false;        // what this process says of the node is what others see
  std::optional<Rival> rival;  // that lives, too

  friend bool operator==(const NameState&, const NameState&) = default;
};

class NameClaim {
 public:
  static constexpr int kQuietLooks = 3;  // in which an owner that lives would have put its key anew

  /// `instance`: by which this process is known.
  explicit NameClaim(std::string instance) : instance_(std::move(instance)) {}

  /// `key`: what the key of the node holds; nothing: there is none. `rivals`: keys of those who keep silent, below
  /// `prefix`, each named by its instance; our own may be among them.
  void look(const std::optional<etcd::Record>& key, const std::vector<etcd::Record>& rivals, const std::string& prefix);

  /// The revision that the key has to have when it is put; nothing: it is not to be put.
  std::optional<int64_t> may_put() const { return state_.is_ours ? std::optional(revision_) : std::nullopt; }
  const NameState& state() const { return state_; }

 private:
  std::string instance_;
  NameState state_;
  int64_t revision_ = 0;        // of the key; 0 = there is none
  int quiet_looks_ = 0;         // in which it stayed as it is
  std::optional<Rival> lives_;  // whose key was seen to be put anew
};

/// What a node's report says of the process that wrote it.
Rival author_of_report(const std::string& text);

}  // namespace sluice::control
