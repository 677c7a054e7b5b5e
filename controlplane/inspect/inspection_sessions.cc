// SPDX-License-Identifier: Apache-2.0
#include "controlplane/inspect/inspection_sessions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <set>

#include "controlplane/base/times.h"

namespace sluice::control {

using namespace std::chrono_literals;
using channel::CaptureState;

namespace {

constexpr auto kTick = 20ms;
constexpr size_t kMostSessions = 64;  // those that have ended and may still be asked after, too

constexpr const char* kTimeOver = "its time is over";

uint64_t draw_id() {
  static std::mt19937_64 generator{std::random_device{}()};
  return generator() >> 12 | 1;  // exact in JSON, and never 0
}

}  // namespace

InspectionSessions::InspectionSessions(boost::asio::io_context& io, ChannelClient& channel,
                                       std::string runtime_directory)
    : channel_(channel), runtime_directory_(std::move(runtime_directory)), timer_(io) {}

std::expected<std::unique_ptr<InspectionSession>, std::string> InspectionSessions::prepare(InspectionWish wish,
                                                                                           bool is_capture) {
  if (channel_.mapping() == nullptr || channel_.publisher() == nullptr) {
    return std::unexpected("the data plane is not connected");
  }
  if (sessions_.size() >= kMostSessions) return std::unexpected("too many traces and captures; try again");
  std::set<uint16_t> taken;
  for (const auto& [id, session] : sessions_) {
    if (session->state == InspectionState::kEnded) continue;
    if (is_capture && session->is_capture) return std::unexpected("another capture is under way: one at a time");
    taken.insert(session->places.begin(), session->places.end());
  }
  auto out = std::make_unique<InspectionSession>();
  const size_t needed = std::max<size_t>(wish.backends.size(), 1);
  for (uint16_t place = 0; place < channel::kMaxInspections && out->places.size() < needed; place++) {
    if (!taken.contains(place)) out->places.push_back(place);
  }
  if (out->places.size() < needed) {
    return std::unexpected(
        fmt::format("the workers have room for {} inspections, and {} are in use; end another trace first",
                    channel::kMaxInspections, taken.size()));
  }
  out->id = draw_id();
  out->is_capture = is_capture;
  out->asked_after = Clock::now();
  out->deadline = out->asked_after + wish.time;
  out->epoch = channel_.mapping()->epoch();
  out->wish = std::move(wish);
  return out;
}

std::expected<uint64_t, std::string> InspectionSessions::start_trace(InspectionWish wish) {
  auto session = prepare(std::move(wish), false);
  if (!session) return std::unexpected(session.error());
  start_inspections(**session);
  return add(std::move(*session));
}

std::expected<uint64_t, std::string> InspectionSessions::start_capture(InspectionWish wish) {
  auto session = prepare(std::move(wish), true);
  if (!session) return std::unexpected(session.error());
  channel::StartCapture message{};
  message.header.type = channel::CommandType::kStartCapture;
  message.key = (*session)->id;
  message.deadline_ms = monotonic_ms((*session)->deadline);
  message.packets = (*session)->wish.packets;
  message.bytes = (*session)->wish.file_bytes;
  if (!channel_.tell_main(channel::Command(message))) return std::unexpected("the data plane takes no commands");
  (*session)->path = runtime_directory_ + "/" + channel::capture_file_name((*session)->id);
  return add(std::move(*session));
}

uint64_t InspectionSessions::add(std::unique_ptr<InspectionSession> session) {
  const uint64_t id = session->id;
  sessions_[id] = std::move(session);
  arm();
  return id;
}

void InspectionSessions::start_inspections(InspectionSession& session) {
  const InspectionWish& wish = session.wish;
  std::vector<channel::Command> commands;
  for (size_t i = 0; i < session.places.size(); i++) {
    channel::StartInspection message{};
    message.header = {channel::CommandType::kStartInspection, 0, session.places[i], 0};
    message.key = session.id;
    message.deadline_ms = monotonic_ms(session.deadline);
    message.client = wish.client.address;
    message.prefix_bits = static_cast<uint8_t>(wish.client.prefix_bits);
    message.flags = session.is_capture ? channel::kInspectForCapture : channel::kInspectForTrace;
    message.client_port = Be16::of(wish.client.port);
    message.service = wish.service;
    message.backend = wish.backends.empty() ? channel::kNoBackend : wish.backends[i];
    message.packets = wish.packets;
    message.snap_bytes = wish.snap_bytes;
    commands.emplace_back(message);
  }
  channel_.tell_workers(std::move(commands));
  session.state = InspectionState::kRunning;
}

InspectionSession* InspectionSessions::find(uint64_t id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return nullptr;
  found->second->asked_after = Clock::now();
  collect_records();
  update(*found->second);
  return found->second.get();
}

bool InspectionSessions::stop(uint64_t id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return false;
  InspectionSession& session = *found->second;
  collect_records();
  update(session);
  end(session, "stopped");
  if (session.is_capture) {
    channel_.tell_main(channel::Command(channel::CommandHeader{channel::CommandType::kStopCapture}));
  }
  return true;
}

void InspectionSessions::stop() {
  timer_.cancel();
  while (!sessions_.empty()) {
    stop(sessions_.begin()->first);
    sessions_.erase(sessions_.begin());
  }
}

void InspectionSessions::end(InspectionSession& session, std::string reason) {
  if (session.state == InspectionState::kEnded) return;
  if (session.state == InspectionState::kRunning) (void)count(session);
  collect_records();  // what was told before a worker's inspection was seen to have ended
  session.state = InspectionState::kEnded;
  session.reason = std::move(reason);
  std::vector<channel::Command> commands;
  commands.reserve(session.places.size());
  for (const uint16_t place : session.places) {
    commands.emplace_back(channel::CommandHeader{channel::CommandType::kStopInspection, 0, place, 0});
  }
  channel_.tell_workers(std::move(commands));
}

void InspectionSessions::arm() {
  if (armed_) return;
  armed_ = true;
  timer_.expires_after(kTick);
  timer_.async_wait([this](const boost::system::error_code& cancelled) {
    armed_ = false;
    if (!cancelled) tick();
  });
}

void InspectionSessions::tick() {
  collect_records();
  for (const auto& [id, session] : sessions_) update(*session);
  const auto now = Clock::now();
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    InspectionSession& session = *it->second;
    if (now - session.asked_after < kPatience) {
      ++it;
      continue;
    }
    stop(session.id);  // nobody is interested any more; a capture's file goes
    it = sessions_.erase(it);
  }
  if (!sessions_.empty()) arm();
}

void InspectionSessions::collect_records() {
  const ChannelMapping* mapping = channel_.mapping();
  if (mapping == nullptr) return;
  std::array<channel::TraceRecord, 256> records;
  for (uint32_t worker = 0; worker < mapping->workers(); worker++) {
    while (const unsigned n =
               channel::take_some(mapping->trace_ring(worker), std::span<channel::TraceRecord>(records))) {
      for (const auto& [id, session] : sessions_) {
        if (session->is_capture || session->state == InspectionState::kEnded || session->epoch != mapping->epoch())
          continue;
        uint8_t bits = 0;
        for (const uint16_t place : session->places) bits |= static_cast<uint8_t>(1U << place);
        for (unsigned i = 0; i < n; i++) {
          if ((records[i].inspections & bits) == 0) continue;
          session->records.push_back({worker, records[i]});
          if (session->records.size() <= kMostRecords) continue;
          session->records.pop_front();
          session->first++;
          session->overrun++;
        }
      }
    }
  }
}

void InspectionSessions::update(InspectionSession& session) {
  if (session.state == InspectionState::kEnded) return;
  const ChannelMapping* mapping = channel_.mapping();
  if (mapping == nullptr || mapping->epoch() != session.epoch) {
    session.state = InspectionState::kEnded;  // its inspections ended with the connection
    session.reason = "the data plane's connection ended";
    return;
  }
  const bool is_over = Clock::now() >= session.deadline;
  if (session.is_capture) follow_capture(session);
  const bool active = session.state != InspectionState::kRunning || count(session);
  if (!active && !session.is_capture) end(session, is_over ? kTimeOver : "it has as many packets as asked for");
  if (session.state == InspectionState::kStarting && is_over) end(session, "the data plane did not begin it");
}

void InspectionSessions::follow_capture(InspectionSession& session) {
  const channel::CaptureStatus& status = channel_.mapping()->stats_header().capture;
  if (__atomic_load_n(&status.key, __ATOMIC_ACQUIRE) != session.id) return;
  // Pairs with the main lcore's release store: the file is open, or whole.
  const auto state =
      static_cast<CaptureState>(__atomic_load_n(reinterpret_cast<const uint32_t*>(&status.state), __ATOMIC_ACQUIRE));
  session.written_packets = channel::read_counter(status.packets);
  session.written_bytes = channel::read_counter(status.bytes);
  if (state == CaptureState::kRunning && session.state == InspectionState::kStarting) start_inspections(session);
  if (state == CaptureState::kFailed) {
    end(session, fmt::format("the data plane cannot write it: {}", std::strerror(static_cast<int>(status.error))));
  } else if (state == CaptureState::kEnded && session.written_packets >= session.wish.packets) {
    end(session, "it has as many packets as asked for");
  } else if (state == CaptureState::kEnded) {
    end(session, Clock::now() >= session.deadline ? kTimeOver : "it has as many bytes as asked for");
  }
}

bool InspectionSessions::count(InspectionSession& session) {
  const ChannelMapping* mapping = channel_.mapping();
  if (mapping == nullptr || mapping->epoch() != session.epoch) return false;
  uint64_t packets = 0, skipped = 0, lost = 0;
  bool active = false;
  for (uint32_t worker = 0; worker < mapping->workers(); worker++) {
    for (const uint16_t place : session.places) {
      const channel::InspectionStats& stats = mapping->worker_stats(worker).inspections[place];
      if (channel::read_counter(stats.key) != session.id) {
        active = true;  // the command is on its way
        continue;
      }
      // Pairs with the worker's release store: the other figures are the last.
      active |= __atomic_load_n(&stats.active, __ATOMIC_ACQUIRE) != 0;
      packets += channel::read_counter(stats.packets);
      skipped += channel::read_counter(stats.skipped);
      lost += channel::read_counter(stats.lost);
    }
  }
  session.packets = packets;
  session.skipped = skipped;
  session.lost = lost + session.overrun;
  return active;
}

}  // namespace sluice::control
