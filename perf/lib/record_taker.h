// SPDX-License-Identifier: Apache-2.0
//
// All that records of sessions pass on their way from a worker to a file, as in the two processes: the data plane's end
// of the channel with its rings, and control's event loop and writer on threads of their own. One service, one backend:
// those of WorkerRig. `start()` needs a worker that polls meanwhile.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "config/model.h"
#include "controlplane/records/session_writer.h"
#include "dataplane/process/channel_server.h"
#include "perf/lib/worker_rig.h"

namespace sluice::perf {

class RecordTaker {
 public:
  /// `cpu`: what control's threads run on. `socket_path`: of the channel. Throws SetupError.
  RecordTaker(config::Records records, std::string socket_path, uint32_t flow_capacity, uint32_t cpu);
  ~RecordTaker();

  /// What the worker is to be given.
  RigChannel channel();
  /// Returns when the worker knows what it serves; `poll` is called until then.
  void start(const std::function<void()>& poll);
  /// While it does not take, records lie in the ring. Returns when control has heard of it, and has taken what lay
  /// there.
  void take(bool wanted);

  /// What somebody who looks on was told, by answers like those to `sluicectl sessions --follow`.
  struct Followed {
    uint64_t shown = 0, missed = 0, answers = 0;
    double seconds = 0, longest_s = 0;  // that answers took of the event loop
  };
  /// Begins to look on, every 10 ms, or ends it.
  void follow(bool wanted);
  /// Once follow(false) has been called.
  const Followed& followed() const { return followed_; }

  /// Records that lie in the ring.
  uint32_t waiting() const;
  control::SessionWriter::Figures figures() const;
  /// CPU time of the event loop.
  double loop_seconds() const;

 private:
  struct Control;

  void run();
  /// Has control's thread do it, and waits for that.
  void on_loop(const std::function<void(Control&)>& act);

  config::Records records_;
  std::string socket_path_;
  uint32_t cpu_;
  Statistics statistics_;
  SharedMemory flow_memory_;
  ChannelServer server_;
  std::atomic<Control*> control_{nullptr};  // the thread's own
  std::atomic<bool> settled_{false};
  clockid_t loop_clock_{};
  Followed followed_;
  std::jthread thread_;
};

}  // namespace sluice::perf
