// SPDX-License-Identifier: Apache-2.0
//
// Records of sessions, from the workers' rings to the writer: drained every few milliseconds, given names, kept for a
// while for those who look on. Runs on one io_context, and never waits.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "controlplane/base/journal.h"
#include "controlplane/inspect/client_filter.h"
#include "controlplane/records/hellos.h"
#include "controlplane/records/session_writer.h"

namespace sluice::control {

/// Which sessions somebody wants to see.
struct SessionFilter {
  ClientFilter client;
  bool failed_only = false;

  bool matches(const channel::SessionRecord& record) const;
};

class SessionRecords {
 public:
  static constexpr size_t kMostKept = 20'000;  // the newest, for those who look on

  /// Is shown each session when it has ended.
  using Watcher = std::function<void(const KnownSession&)>;
  /// What blocks a source now; null: nothing.
  using WhatBlocks = std::function<std::shared_ptr<const BlockNames>(const Address& source)>;

  SessionRecords(boost::asio::io_context& io, const Model& model, const ChannelClient& channel, Journal& journal,
                 std::string node, Watcher watcher = {}, WhatBlocks what_blocks = {});

  void follow(const config::Records& config);
  void start() {
    running_ = true;
    tick();
  }
  /// Takes what the workers have written so far. Returns whether there was anything.
  bool drain();
  void stop();
  /// The file was moved away: begin another.
  void reopen() { writer_.reopen(); }

  /// Sessions that match, as JSON objects, oldest first: at most so many with numbers from `after` on, or the newest.
  struct Seen {
    std::vector<std::string> sessions;
    uint64_t next = 0;    // number to go on with
    uint64_t missed = 0;  // that came and went since `after`
  };
  Seen see(const SessionFilter& filter, std::optional<uint64_t> after, size_t most) const;
  SessionWriter::Figures figures() const { return writer_.figures(); }
  const Hellos::Figures& hello_figures() const { return hellos_.figures(); }
  /// Where they go: "file", "unix_datagram" or "none".
  std::string_view output() const { return kind_of(config_); }

 private:
  void tick();
  bool take_sessions(const ChannelMapping& mapping, SessionBatch& batch);
  bool take_hellos(const ChannelMapping& mapping);
  std::string json_of(const KnownSession& session, const SessionBatch& batch) const;
  Seen see_newest(const SessionFilter& filter, size_t most) const;
  Seen see_from(const SessionFilter& filter, uint64_t after, size_t most) const;
  void keep(std::shared_ptr<const SessionBatch> batch);
  void on_output(const std::string& fault, uint64_t lost);

  Journal& journal_;
  const ChannelClient& channel_;
  std::string node_;
  config::Records config_;
  SessionNames names_;
  Hellos hellos_;
  boost::asio::steady_timer timer_;
  Watcher watcher_;
  WhatBlocks what_blocks_;
  std::chrono::milliseconds pause_{};
  bool running_ = false;
  std::deque<std::shared_ptr<const SessionBatch>> kept_;
  size_t kept_sessions_ = 0;
  uint64_t next_ = 1;  // number of the session that comes next; kept ones have those before it
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  SessionWriter writer_;  // last: its thread ends first
};

}  // namespace sluice::control
