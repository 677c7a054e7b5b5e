// SPDX-License-Identifier: Apache-2.0
//
// What a node's control is made of, as far as it can be asked and told things: pool mta of two backends, service relay,
// a clock that stands, a journal that says nothing in the log, and a state directory in memory. No data plane; nothing
// is begun that would speak to the kernel or to a network.
#pragma once

#include "controlplane/model/model.h"
#include "tests/controlplane/support/small_configuration.h"
#include "tests/controlplane/support/state_directory.h"

namespace sluice::testing {

struct SmallNode {
  SmallNode() : config(configuration()) {}

  static config::Config configuration() {
    config::Config out = control::small_configuration({{"relay", 25}});
    out.services.front().table_size = 101;
    return out;
  }
  /// Whether somebody has been told that a file of state makes no sense.
  bool has_set_aside() const {
    for (const control::JournalEntry& entry : journal.entries()) {
      if (entry.subject == "state" && entry.text.find(" makes no sense (") != std::string::npos) return true;
    }
    return false;
  }

  config::Config config;
  control::SystemTime now{std::chrono::seconds(1'800'000'000)};
  control::Journal journal = control::Journal::silent([this] { return now; });
  control::Model model{config, journal};
  control::StateDirectory state{"/dev/shm"};
};

}  // namespace sluice::testing
