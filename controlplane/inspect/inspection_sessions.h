// SPDX-License-Identifier: Apache-2.0
//
// Traces and captures that somebody has asked for: keeps their inspections on the workers, gathers the records that the
// workers send, follows the file that the data plane writes. Everything about a session is bounded: its time, its
// packets, the records that wait to be fetched. One that nobody asks after for a while ends, and so does one whose
// connection to the data plane ends. Runs on one io_context.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/channel/client.h"
#include "controlplane/inspect/client_filter.h"
#include "dataplane/contract/trace.h"

namespace sluice::control {

/// Whose packets, how many, how long.
struct InspectionWish {
  ClientFilter client;
  channel::ServiceId service = channel::kNoService;  // kNoService = any
  std::vector<channel::BackendId> backends;          // none = any
  std::chrono::seconds time{30};
  uint32_t packets = 1000;  // of each worker
  uint32_t snap_bytes = 0;  // captures: of a frame; 0 = its headers
  uint64_t file_bytes = 0;  // captures
};

enum class InspectionState : uint8_t { kStarting, kRunning, kEnded };

struct TracedBy {
  uint32_t worker = 0;
  channel::TraceRecord record;
};

/// A trace or a capture.
struct InspectionSession {
  uint64_t id = 0;
  bool is_capture = false;
  InspectionState state = InspectionState::kStarting;
  std::string reason;  // of kEnded
  InspectionWish wish;
  std::vector<uint16_t> places;  // of its inspections
  // Of all workers.
  uint64_t packets = 0;
  uint64_t skipped = 0;
  uint64_t lost = 0;
  // A trace's records; `first` is the number of the one in front.
  std::deque<TracedBy> records;
  uint64_t first = 0;
  uint64_t overrun = 0;  // that nobody fetched in time
  // A capture's file.
  std::string path;
  uint64_t written_packets = 0;
  uint64_t written_bytes = 0;

  std::chrono::steady_clock::time_point deadline;
  std::chrono::steady_clock::time_point asked_after;
  uint64_t epoch = 0;
};

class InspectionSessions {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr size_t kMostRecords = 20'000;  // of a trace, waiting to be fetched
  static constexpr std::chrono::seconds kPatience{5};

  /// `runtime_directory`: where the data plane writes captures.
  InspectionSessions(boost::asio::io_context& io, ChannelClient& channel, std::string runtime_directory);

  /// Begins. The error says, for the operator, why not.
  std::expected<uint64_t, std::string> start_trace(InspectionWish wish);
  std::expected<uint64_t, std::string> start_capture(InspectionWish wish);

  /// The session, up to date, and asked after; null if there is none.
  InspectionSession* find(uint64_t id);
  /// Ends a session; it can be found for a while yet. False if there is none.
  bool stop(uint64_t id);
  /// Ends all of them.
  void stop();

  size_t size() const { return sessions_.size(); }

 private:
  std::expected<std::unique_ptr<InspectionSession>, std::string> prepare(InspectionWish wish, bool is_capture);
  void start_inspections(InspectionSession& session);
  uint64_t add(std::unique_ptr<InspectionSession> session);
  void end(InspectionSession& session, std::string reason);
  void arm();
  void tick();
  void collect_records();
  void update(InspectionSession& session);
  void follow_capture(InspectionSession& session);
  /// Takes the workers' figures. Returns whether any inspection is active still.
  bool count(InspectionSession& session);

  ChannelClient& channel_;
  std::string runtime_directory_;
  boost::asio::steady_timer timer_;
  bool armed_ = false;
  std::map<uint64_t, std::unique_ptr<InspectionSession>> sessions_;
};

}  // namespace sluice::control
