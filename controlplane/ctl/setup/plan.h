// SPDX-License-Identifier: Apache-2.0
//
// What `sluicectl setup` would do: the doctor's findings, and the files of its own that are there already, become
// changes of files. Nothing is written before all of it is known.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "controlplane/ctl/doctor/examinations.h"

namespace sluice::ctl {

struct Change {
  enum class Kind : uint8_t {
    kNew,
    kChanged,
    kSame,     // is as it should be
    kRemoved,  // nothing is left in it
    kForeign,  // somebody else's, or changed by hand: not touched
  };
  Kind kind = Kind::kSame;
  std::string path;
  std::vector<std::string> added, removed;  // lines
  std::string text;                         // of the whole file; "" where it goes
  bool is_pending = false;                  // as it should be, and the machine does not follow it yet
};

struct Plan {
  std::vector<Change> changes;        // files that are not wanted and not there are left out
  std::vector<Finding> by_hand;       // not well, and no file can help
  std::vector<std::string> to_apply;  // commands that make the machine follow what is written

  bool changes_anything() const;
  /// Paths of files that are somebody else's.
  std::vector<std::string> foreign() const;
};

/// What earlier runs wrote stays until it is undone, for it may be why all is well; but for cards that are no longer in
/// the configuration. `unwanted`: names of settings that are not to be written ("net.ipv4.ip_forward", "isolcpus");
/// what they are for is to be done by hand.
Plan plan_of(const Patient& patient, const Report& report, const std::vector<std::string>& unwanted = {});

/// Which of the names are none of a setting that is missing, kept or written; `known`: those that are.
std::vector<std::string> unknown_names(const Patient& patient, const Report& report,
                                       const std::vector<std::string>& names, std::vector<std::string>& known);

/// All own files of the instance go.
Plan plan_of_undo(const Machine& machine, const std::string& instance);

/// Writes and removes. `root`: as the machine's that was planned for. The error says which file could not be written;
/// those before it are.
std::expected<void, std::string> carry_out(const Plan& plan, const std::string& root);

}  // namespace sluice::ctl
