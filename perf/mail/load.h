// SPDX-License-Identifier: Apache-2.0
//
// A mail client that holds many sessions over ordinary sockets in one thread and measures each: as many at once as
// wanted, or so many a second whatever the answers take. A paced session's time counts from when it was due, so a
// server that stalls cannot hide it by being sent less.
#pragma once

#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

#include "perf/blast/dialogue.h"
#include "perf/blast/histogram.h"
#include "perf/mail/connection.h"

namespace sluice::mail {

struct LoadPlan {
  std::vector<SocketAddress> targets;  // taken in turn
  std::vector<SocketAddress> sources;  // addresses to bind to, in turn; empty = the kernel's choice
  uint32_t concurrency = 64;           // sessions at once; with a rate, the most that may be late at once
  double rate = 0;                     // sessions begun in a second; 0 = as many as `concurrency` allows
  double seconds = 5;                  // no session is begun after this
  double patience_s = 20;              // until an open session counts as failed
  uint32_t message_bytes = 2000;
};

struct LoadFigures {
  uint64_t completed = 0;
  uint64_t failed = 0;         // refused, reset, wrong reply, or not done within the patience
  uint64_t message_bytes = 0;  // of messages that were accepted
  double seconds = 0;          // from the first session to the end of the last
  blast::Histogram session_us;
  std::string first_failure;
};

/// The sessions of one plan.
class Load {
 public:
  explicit Load(LoadPlan plan);

  /// Runs the plan to its end.
  LoadFigures run();

  /// Opens sessions until `count` have been greeted, which then stay silent. Returns how many are: fewer if one failed.
  uint64_t hold(uint64_t count, const volatile std::sig_atomic_t& stop);

  /// Ends every held session with QUIT. Returns how many said goodbye properly.
  uint64_t release();

  const std::string& first_failure() const { return figures_.first_failure; }

 private:
  using Stage = blast::Stage;
  struct Session {
    Descriptor socket;
    Stage stage = Stage::kIdle;
    uint64_t due_us = 0;
    size_t sent = 0;  // of the message
  };

  void begin(uint64_t due_us);
  void begin_due(uint64_t begun_us, uint64_t now);
  void step(size_t number, uint32_t events);
  void on_reply(size_t number, char digit);
  void send_message(size_t number);
  void enter(size_t number, Stage stage);
  void finish(size_t number);
  void fail(size_t number, const std::string& why);
  void turn(int timeout_ms);

  LoadPlan plan_;
  std::string message_;
  Poll poll_;
  std::vector<Session> sessions_;  // by descriptor
  uint64_t begun_ = 0, open_ = 0, held_ = 0;
  bool holding_ = false;
  LoadFigures figures_;
};

}  // namespace sluice::mail
