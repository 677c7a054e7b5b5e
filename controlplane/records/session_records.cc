// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/session_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>

#include "controlplane/inspect/flow_scan.h"

namespace sluice::control {

using namespace std::chrono_literals;

namespace {

// A ring holds the records of 80 ms at 200,000 a second.
constexpr auto kShortestPause = 10ms, kLongestPause = 40ms;
constexpr size_t kAtOnce = 64;

int64_t wall_offset_ms() {
  const auto in_ms = [](auto time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  };
  return in_ms(std::chrono::system_clock::now()) - in_ms(std::chrono::steady_clock::now());
}

/// Gives `use` what is in a ring, but at most what that holds: the worker goes on writing meanwhile.
template <typename T, typename Take, typename Use>
void take_all(uint32_t ring_entries, Take take, Use use) {
  std::array<T, kAtOnce> some;
  for (uint32_t taken = 0; taken < ring_entries;) {
    const unsigned n = take(std::span(some));
    for (unsigned i = 0; i < n; i++) use(some[i]);
    taken += n;
    if (n < kAtOnce) break;
  }
}

}  // namespace

bool SessionFilter::matches(const channel::SessionRecord& record) const {
  if (failed_only && !went_wrong(record)) return false;
  if (client.port != 0 && record.client.port.host() != client.port) return false;
  return is_in_prefix(record.client.address, client.address, client.prefix_bits);
}

SessionRecords::SessionRecords(boost::asio::io_context& io, const Model& model, const ChannelClient& channel,
                               Journal& journal, std::string node, Watcher watcher, WhatBlocks what_blocks)
    : journal_(journal),
      channel_(channel),
      node_(std::move(node)),
      names_(model, channel),
      timer_(io),
      watcher_(std::move(watcher)),
      what_blocks_(std::move(what_blocks)),
      writer_(node_, [this, &io, alive = std::weak_ptr(alive_)](const std::string& fault, uint64_t lost) {
        boost::asio::post(io, [this, alive, fault, lost] {
          if (!alive.expired()) on_output(fault, lost);
        });
      }) {}

void SessionRecords::follow(const config::Records& config) {
  if (config == config_) return;
  config_ = config;
  writer_.follow(config);
}

void SessionRecords::stop() {
  running_ = false;  // what the timer has under way may not be cancelled any more
  timer_.cancel();
  drain();
}

void SessionRecords::tick() {
  pause_ = drain() ? std::chrono::milliseconds(kShortestPause)
                   : std::min<std::chrono::milliseconds>(2 * pause_ + 1ms, kLongestPause);
  timer_.expires_after(pause_);
  timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled && running_) tick();
  });
}

bool SessionRecords::drain() {
  const ChannelMapping* mapping = channel_.mapping();
  if (mapping == nullptr) return false;
  names_.begin_turn();
  auto batch = std::make_shared<SessionBatch>();
  batch->wall_offset_ms = wall_offset_ms();
  const bool any_ended = take_sessions(*mapping, *batch);
  // Only now: a worker hands a session's hello on before its record.
  const bool any_hello = take_hellos(*mapping);
  if (!any_ended) return any_hello;
  for (KnownSession& session : batch->sessions) {
    if (has(session.record, channel::kSessionTlsBegun)) session.hello = hellos_.of(session.worker, session.record);
    if (what_blocks_ && was_blocked(session.record)) session.block = what_blocks_(session.record.client.address);
  }
  if (watcher_) {
    for (const KnownSession& session : batch->sessions) watcher_(session);
  }
  if (!config_.to.empty()) writer_.write(batch);
  keep(std::move(batch));
  return true;
}

/// Returns whether there were any.
bool SessionRecords::take_sessions(const ChannelMapping& mapping, SessionBatch& batch) {
  for (uint32_t worker = 0; worker < mapping.workers(); worker++) {
    const auto take = [&](std::span<channel::SessionRecord> out) {
      return channel::take_sessions(mapping.session_ring(worker), out);
    };
    take_all<channel::SessionRecord>(channel::kSessionRingEntries, take, [&](const channel::SessionRecord& record) {
      batch.sessions.push_back({record, worker, names_.service(worker, record.service),
                                names_.backend(worker, record.backend, record.backend_generation), nullptr, nullptr});
    });
  }
  return !batch.sessions.empty();
}

/// Likewise.
bool SessionRecords::take_hellos(const ChannelMapping& mapping) {
  bool any = false;
  for (uint32_t worker = 0; worker < mapping.workers(); worker++) {
    const auto take = [&](std::span<channel::HelloPiece> out) {
      return channel::take_hellos(mapping.hello_ring(worker), out);
    };
    take_all<channel::HelloPiece>(channel::kHelloRingEntries, take, [&](const channel::HelloPiece& piece) {
      hellos_.take(worker, piece);
      any = true;
    });
  }
  return any;
}

void SessionRecords::keep(std::shared_ptr<const SessionBatch> batch) {
  next_ += batch->sessions.size();
  kept_sessions_ += batch->sessions.size();
  kept_.push_back(std::move(batch));
  while (kept_.size() > 1 && kept_sessions_ - kept_.front()->sessions.size() >= kMostKept) {
    kept_sessions_ -= kept_.front()->sessions.size();
    kept_.pop_front();
  }
}

SessionRecords::Seen SessionRecords::see(const SessionFilter& filter, std::optional<uint64_t> after,
                                         size_t most) const {
  return after ? see_from(filter, *after, most) : see_newest(filter, most);
}

SessionRecords::Seen SessionRecords::see_newest(const SessionFilter& filter, size_t most) const {
  Seen out{.next = next_};
  for (auto batch = kept_.rbegin(); batch != kept_.rend(); ++batch) {
    const auto& sessions = (*batch)->sessions;
    for (auto session = sessions.rbegin(); session != sessions.rend() && out.sessions.size() < most; ++session) {
      if (filter.matches(session->record)) out.sessions.push_back(json_of(*session, **batch));
    }
  }
  std::ranges::reverse(out.sessions);
  return out;
}

SessionRecords::Seen SessionRecords::see_from(const SessionFilter& filter, uint64_t after, size_t most) const {
  uint64_t number = next_ - kept_sessions_;
  Seen out{.next = std::clamp(after, number, next_), .missed = after < number ? number - after : 0};
  for (const auto& batch : kept_) {
    for (const KnownSession& session : batch->sessions) {
      if (number++ < out.next) continue;
      if (filter.matches(session.record)) {
        if (out.sessions.size() == most) return out;
        out.sessions.push_back(json_of(session, *batch));
      }
      out.next = number;
    }
  }
  return out;
}

std::string SessionRecords::json_of(const KnownSession& session, const SessionBatch& batch) const {
  fmt::memory_buffer line;
  append_json(line, session, {.node = node_, .wall_offset_ms = batch.wall_offset_ms});
  return fmt::to_string(line);
}

void SessionRecords::on_output(const std::string& fault, uint64_t lost) {
  if (fault.empty()) {
    journal_.record(Severity::kInfo, "control", "records", fmt::format("written again; {} were lost", lost));
  } else {
    journal_.record(Severity::kError, "control", "records", fmt::format("records of sessions are lost: {}", fault));
  }
}

}  // namespace sluice::control
