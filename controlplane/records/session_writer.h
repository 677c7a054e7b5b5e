// SPDX-License-Identifier: Apache-2.0
//
// Writes batches of records on a thread of its own, so that no disk keeps the event loop. Batches wait in a bounded
// queue; what is beyond it is lost and counted. Public functions are for the event loop, and none of them waits but the
// destructor, which writes what is left.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "config/model.h"
#include "controlplane/records/session_line.h"
#include "controlplane/records/session_output.h"

namespace sluice::control {

/// Records of one turn.
struct SessionBatch {
  std::vector<KnownSession> sessions;
  int64_t wall_offset_ms = 0;
};

class SessionWriter {
 public:
  static constexpr size_t kMostWaiting = 1 << 18;  // records

  /// `tell` is called on the writer's thread, when an output fails ("PATH: why") and when it works again ("").
  using Tell = std::function<void(std::string fault, uint64_t lost)>;

  SessionWriter(std::string node, Tell tell);
  ~SessionWriter();

  void follow(const config::Records& config);
  void reopen();
  void write(std::shared_ptr<const SessionBatch> batch);

  struct Figures {
    uint64_t written;
    uint64_t lost;         // that the output did not take
    uint64_t overrun;      // that found too many waiting
    uint64_t sampled_out;  // ordinary ones, by `share`
    bool failing;
  };
  Figures figures() const;

 private:
  /// What the thread has to do next.
  struct Work {
    std::shared_ptr<const SessionBatch> batch;
    std::optional<config::Records> config;
    bool reopen = false;
  };

  void put(Work work);
  void run(const std::stop_token& stop);
  void do_work(const Work& work);
  void write_batch(const SessionBatch& batch);
  bool is_wanted(const channel::SessionRecord& record) const;

  // The thread's own.
  LineStyle style_;
  Tell tell_;
  std::unique_ptr<SessionOutput> output_;
  bool told_ = false;
  uint64_t lost_since_ = 0;
  std::vector<const KnownSession*> wanted_;  // of a batch

  mutable std::mutex mutex_;
  std::condition_variable_any due_;
  std::deque<Work> work_;
  size_t waiting_ = 0;  // records

  std::atomic<uint64_t> written_{0}, lost_{0}, overrun_{0}, sampled_out_{0};
  std::atomic<bool> failing_{false};
  std::jthread thread_;
};

}  // namespace sluice::control
