// SPDX-License-Identifier: Apache-2.0
//
// The main lcore's side of a capture: opens a pcapng file in the runtime directory, writes into it what the workers
// copied, and closes it at its limits, at control's word, or when control is gone. One at a time. The file is the
// data plane's own (mode 0600, a name that control cannot choose); who asked for it reads it from there. It goes when
// control says so, with the next capture, or with the next start.
//
// Thread safety: for the main lcore alone, but for the sinks, which workers fill.
#pragma once

#include <rte_mempool.h>
#include <rte_pcapng.h>
#include <rte_ring.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/shared_memory.h"
#include "dataplane/contract/segment.h"
#include "dataplane/worker/setup.h"

namespace sluice {

class Capture {
 public:
  /// `directory`: of the instance; what an earlier process left there is removed. `frame_bytes`: of the longest frame.
  /// `status` is kept up to date. Takes no memory before the first capture.
  Capture(std::string directory, uint32_t workers, uint32_t frame_bytes, channel::CaptureStatus& status);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  const CaptureSink* sink(uint32_t worker) const { return &sinks_[worker]; }

  /// Takes control's `commands` (null: control is not connected; others than before: another one is), and writes some
  /// of what the workers copied. `now_ms`: CLOCK_MONOTONIC. Returns whether there was anything to do.
  bool poll(rte_ring* commands, uint64_t now_ms);

  bool running() const { return writer_ != nullptr; }

 private:
  void start(const channel::StartCapture& wanted, uint64_t now_ms);
  bool make_sinks();
  bool open_file(uint64_t key);
  void write_some(rte_ring* ring);
  bool fits(const rte_mbuf& mbuf) const;
  void finish(channel::CaptureState state, uint32_t error = 0);
  void fail(int error);
  void remove_file();

  std::string directory_;
  uint32_t frame_bytes_;
  channel::CaptureStatus& status_;
  std::vector<CaptureSink> sinks_;  // by worker
  rte_ring* commands_ = nullptr;
  rte_mempool* pool_ = nullptr;
  channel::StartCapture wanted_{};
  Descriptor file_;
  std::string path_;
  rte_pcapng_t* writer_ = nullptr;
};

}  // namespace sluice
