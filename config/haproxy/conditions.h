// SPDX-License-Identifier: Apache-2.0
//
// `.if`, `.elif`, `.else` and `.endif` of a haproxy.cfg. Numbers are taken as HAProxy takes them. What any other
// condition comes to is known where HAProxy runs alone: from there to the `.endif`, nothing is read.
#pragma once

#include <cstdint>
#include <vector>

#include "config/haproxy/file.h"

namespace sluice::config::haproxy {

class Conditions {
 public:
  /// Takes a line that is one of the four. Returns false if it is something else.
  bool take(const Line& line, Remarks& remarks);

  /// Whether what stands here is read.
  bool hold() const { return closed_ == 0; }

 private:
  enum class State : uint8_t {
    kHolds,
    kMayHold,  // none before it has held
    kOver,     // one has held, or nobody knows
  };
  static State judged(const Line& line, Remarks& remarks);
  void enter(State state);  // of the innermost

  std::vector<State> open_;
  size_t closed_ = 0;  // of them, those that do not hold
};

}  // namespace sluice::config::haproxy
