// SPDX-License-Identifier: Apache-2.0
//
// Who may come: puts together what the block file, operators (blocks.h, fleet_blocks.h), offences (offenders.h) and
// sources.allow say, and keeps the list that follows from it. The file is looked at each second and read again when it
// is another; one with a fault changes nothing, and neither does one that is gone. The last good one is kept in the
// state directory, for a start of control that finds none.
//
// Reading, merging and building more than a few prefixes are done in a thread of their own, one job after the other, so
// that the event loop goes on; everything else is for the thread of the event loop.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/base/journal.h"
#include "controlplane/base/watched_file.h"
#include "controlplane/changes/block_file.h"
#include "controlplane/changes/blocks.h"
#include "controlplane/changes/fleet_blocks.h"
#include "controlplane/changes/offenders.h"
#include "controlplane/tables/source_list.h"

namespace sluice::control {

/// What a source is blocked by.
struct BlockedBy {
  config::IpPrefix prefix;
  std::optional<Block> by_hand;
  std::optional<Offender> offender;
  std::optional<FleetBlock> on_all_nodes;  // none of the three: the file
};

/// "hand", "fleet", "file", or the offence.
std::string_view name_of(const BlockedBy& by);

class Sources {
 public:
  using Prefixes = std::vector<config::IpPrefix>;

  /// `changed`: there is another list. The journal outlives this.
  Sources(boost::asio::io_context& io, Journal& journal, const std::string& state_directory,
          std::function<void()> changed);

  /// Takes up what was blocked by hand, and begins with the file. Where there is little to read, the list is there at
  /// once, and `changed` is not called for it.
  void start(const config::Sources& config);
  /// The configuration was reloaded.
  void follow(const config::Sources& config);
  /// To be called every second.
  void tick();

  /// Null until the first is there; before that, nothing should be published: whom it blocks would get in.
  const std::shared_ptr<const SourceList>& list() const { return list_; }

  /// Whose new sessions are refused, with a word; null: nobody's.
  const std::shared_ptr<const SourceList>& refused() const { return refused_; }
  /// A session has ended, of the service of that name. The answer is what its source gave offence by.
  Offences see(const channel::SessionRecord& record, std::string_view service) {
    return offenders_.see(record, service);
  }
  const Offenders& offenders() const { return offenders_; }

  /// Whom sources.allow exempts from limits too; null: nobody.
  const std::shared_ptr<const SourceList>& exempt() const { return exempt_; }

  /// Likewise for the two: as Blocks has them.
  std::expected<std::string, std::string> block(const config::IpPrefix& prefix,
                                                std::optional<std::chrono::seconds> duration);
  std::expected<std::string, std::string> unblock(const config::IpPrefix& prefix);

  /// What is blocked on all nodes now.
  void hear_fleet(FleetBlocksHeard heard);
  const FleetBlocks& on_all_nodes() const { return fleet_blocks_; }

  /// What blocks `prefix` or a part of it, at most `most`: the longest of those that hold all of it first.
  std::vector<BlockedBy> what_blocks(const config::IpPrefix& prefix, size_t most) const;
  /// What blocks a source, the longest prefix that does: some hundred comparisons, however many prefixes there are.
  std::optional<BlockedBy> longest_block(const config::IpAddress& source) const;
  /// Whether sources.allow exempts all of it.
  bool is_exempt(const config::IpPrefix& prefix) const;

  const config::Sources& config() const { return config_; }
  const std::map<config::IpPrefix, Block>& by_hand() const { return blocks_.entries(); }
  size_t file_prefixes() const { return file_->size(); }
  std::optional<SystemTime> file_loaded() const { return file_loaded_; }
  /// What is wrong with the file; "" = nothing.
  const std::string& file_fault() const { return file_fault_; }

 private:
  struct Job;
  struct Done;

  static Done carry_out(const Job& job);
  void take_up(const config::Sources& config);
  void begin();
  void list_refused();
  void finish(Done done);

  boost::asio::io_context& io_;
  Journal& journal_;
  std::function<void()> changed_;
  Blocks blocks_;
  FleetBlocks fleet_blocks_;
  Offenders offenders_;
  std::string copy_path_;
  std::string offenders_path_;
  std::string offenders_fault_;  // why they could not be kept the last time; "" = they were
  config::Sources config_;
  std::shared_ptr<const Prefixes> file_ = std::make_shared<Prefixes>();  // in ascending order
  std::optional<FileStamp> stamp_;                                       // of the file when it was read
  std::optional<SystemTime> file_loaded_;
  std::string file_fault_;
  std::shared_ptr<const SourceList> list_;
  std::shared_ptr<const SourceList> exempt_;
  std::shared_ptr<const SourceList> refused_;
  bool offenders_changed_ = false;
  SystemTime offenders_due_;  // when the list may follow them again
  bool reads_file_ = false;   // the next job is to
  bool is_due_ = false;       // another job, after the one under way
  bool is_busy_ = false;
  bool is_starting_ = false;          // whoever starts us knows that there may be a list
  boost::asio::thread_pool pool_{1};  // last: a job under way ends before the rest does
};

}  // namespace sluice::control
