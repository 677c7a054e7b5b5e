// SPDX-License-Identifier: Apache-2.0
//
// The journal on disk: a line of JSON for each entry, appended as it happens. Bounded: when it has grown to twice what
// the journal holds, it is replaced by that. A line that was torn by a crash is passed over.
#pragma once

#include <deque>
#include <expected>
#include <string>
#include <vector>

#include "controlplane/base/descriptor.h"
#include "controlplane/base/journal.h"

namespace sluice::control {

class JournalFile {
 public:
  static constexpr size_t kMaxLines = 2 * Journal::kMaxEntries;

  /// Nothing is opened or read yet.
  explicit JournalFile(std::string path) : path_(std::move(path)) {}

  /// What the file holds, oldest first, at most Journal::kMaxEntries; then ready to append. The error says why nothing
  /// can be kept; `append` then does nothing. A file in which no line makes sense is set aside.
  std::expected<std::vector<JournalEntry>, std::string> open();

  /// Appends `entry`, the newest of `all`. The error is told once, until it works again; "" normally.
  std::string append(const JournalEntry& entry, const std::deque<JournalEntry>& all);

 private:
  std::string rewrite(const std::deque<JournalEntry>& all);

  std::string path_;
  Descriptor file_;
  size_t lines_ = 0;
  bool failed_ = false;
};

}  // namespace sluice::control
