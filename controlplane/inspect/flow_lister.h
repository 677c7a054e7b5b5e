// SPDX-License-Identifier: Apache-2.0
//
// Scans the workers' flow tables in slices, between which the event loop does its other work: ten million flows take a
// second or two, and nothing waits longer than a slice. A few scans at a time; more are refused. A scan ends with the
// connection whose memory it reads.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "controlplane/channel/client.h"
#include "controlplane/inspect/flow_scan.h"

namespace sluice::control {

class FlowLister {
 public:
  static constexpr size_t kScansAtATime = 4;
  static constexpr std::chrono::microseconds kSlice{500};

  /// What was found, as long as the connection that it came from.
  struct Found {
    FlowScan scan;
    uint32_t now_ms;
    std::chrono::microseconds took;
    std::chrono::microseconds longest_slice;
    uint64_t slices;
  };
  using Done = std::function<void(std::expected<Found*, std::string>)>;

  FlowLister(boost::asio::io_context& io, const ChannelClient& channel) : io_(io), channel_(channel) {}

  /// Calls `done` once, later. The error says, for the operator, why there is no list.
  void list(FlowFilter filter, size_t limit, Done done);

 private:
  struct Job;
  void next_slice(const std::shared_ptr<Job>& job);

  boost::asio::io_context& io_;
  const ChannelClient& channel_;
  size_t scans_ = 0;
};

}  // namespace sluice::control
