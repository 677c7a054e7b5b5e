// SPDX-License-Identifier: Apache-2.0
#include "controlplane/inspect/flow_lister.h"

#include <algorithm>
#include <boost/asio/post.hpp>

namespace sluice::control {

namespace {

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC, as the workers'

constexpr size_t kEntriesPerStep = 1024;  // looked at without asking for the time: some 10 us

uint32_t now_ms() {
  return static_cast<uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch()).count());
}

}  // namespace

struct FlowLister::Job {
  Found found;
  Done done;
  uint64_t epoch;
  Clock::time_point begin = Clock::now();
  uint32_t worker = 0;
  size_t next = 0;  // entry of `worker`
};

void FlowLister::list(FlowFilter filter, size_t limit, Done done) {
  const ChannelMapping* mapping = channel_.mapping();
  if (mapping == nullptr) return done(std::unexpected("the data plane is not connected"));
  if (scans_ == kScansAtATime) return done(std::unexpected("too many lists of flows are under way; try again"));
  scans_++;
  const uint32_t now = now_ms();
  const auto job = std::make_shared<Job>(
      Job{Found{FlowScan(std::move(filter), limit, now), now, {}, {}, 0}, std::move(done), mapping->epoch()});
  boost::asio::post(io_, [this, job] { next_slice(job); });
}

void FlowLister::next_slice(const std::shared_ptr<Job>& job) {
  const ChannelMapping* mapping = channel_.mapping();
  if (mapping == nullptr || mapping->epoch() != job->epoch) {
    scans_--;
    return job->done(std::unexpected("the data plane's connection ended meanwhile"));
  }
  const auto begin = Clock::now();
  bool rest = false;
  while (job->worker < mapping->workers()) {
    const auto flows = flows_in(mapping->flow_memory(job->worker));
    if (!flows || job->next >= flows->size()) {
      job->worker++;
      job->next = 0;
      continue;
    }
    const size_t n = std::min(kEntriesPerStep, flows->size() - job->next);
    job->found.scan.look_at(flows->part(job->next, n), job->worker);
    job->next += n;
    if (Clock::now() - begin >= kSlice) {
      rest = true;
      break;
    }
  }
  const auto end = Clock::now();
  const auto slice = std::chrono::duration_cast<std::chrono::microseconds>(end - begin);
  job->found.longest_slice = std::max(job->found.longest_slice, slice);
  job->found.slices++;
  if (rest) return boost::asio::post(io_, [this, job] { next_slice(job); });
  job->found.took = std::chrono::duration_cast<std::chrono::microseconds>(end - job->begin);
  scans_--;
  job->done(&job->found);
}

}  // namespace sluice::control
