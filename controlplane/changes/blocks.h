// SPDX-License-Identifier: Apache-2.0
//
// The prefixes that operators blocked by hand, for good or for a time. Every change is on the disk before it takes
// effect. One thread; time is the journal's.
#pragma once

#include <chrono>
#include <expected>
#include <map>
#include <optional>
#include <string>

#include "config/model.h"
#include "controlplane/base/journal.h"
#include "controlplane/base/times.h"

namespace sluice::control {

struct Block {
  SystemTime since;
  std::optional<SystemTime> until;  // nothing: for good

  friend bool operator==(const Block&, const Block&) = default;
};

class Blocks {
 public:
  static constexpr size_t kMost = 10'000;

  /// `directory` is where the state is kept. The journal outlives this.
  Blocks(Journal& journal, const std::string& directory);

  /// Reads what was kept. A file that makes no sense is set aside, and the journal says so.
  void restore();

  /// Blocks a prefix; one that is blocked already is from now on blocked for that time. The value is a warning (""
  /// normally): in effect, but not on the disk. The error says why not.
  std::expected<std::string, std::string> block(const config::IpPrefix& prefix,
                                                std::optional<std::chrono::seconds> duration);
  /// Likewise; the error is that it was not blocked by hand.
  std::expected<std::string, std::string> unblock(const config::IpPrefix& prefix);

  /// To be called every second or so: lets go what has expired. Whether any has.
  bool tick();

  const std::map<config::IpPrefix, Block>& entries() const { return entries_; }

 private:
  /// The warning.
  std::string save();

  Journal& journal_;
  std::string path_;
  std::map<config::IpPrefix, Block> entries_;
};

}  // namespace sluice::control
