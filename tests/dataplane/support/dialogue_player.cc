// SPDX-License-Identifier: Apache-2.0
#include "tests/dataplane/support/dialogue_player.h"

#include <gtest/gtest.h>

#include <cstring>

namespace sluice::testing {

using channel::SmtpCounters;

namespace {

Counts nonzero(const SmtpCounters& counters) {
  Counts out;
  for (size_t i = 0; i < channel::kSmtpCounterCount; i++) {
    const auto& info = channel::kSmtpCounterInfo[i];
    if (counters.counters[i] == 0) continue;
    const std::string labels = info.labels.empty() ? "" : "{" + std::string(info.labels) + "}";
    out[std::string(info.family) + labels] = counters.counters[i];
  }
  return out;
}

}  // namespace

std::string tls_record(uint8_t type, const std::string& content) {
  std::string out{static_cast<char>(type), 3, 3, static_cast<char>(content.size() >> 8),
                  static_cast<char>(content.size() & 0xff)};
  return out + content;
}

std::string tls_record(uint8_t type, size_t bytes) {
  return tls_record(type, std::string(bytes, '\x5a'));
}

Counts without_reasons(const Counts& counts) {
  Counts out;
  for (const auto& [name, n] : counts) out[name.starts_with("refusal_reasons") ? "refusal_reasons" : name] += n;
  return out;
}

DialoguePlayer::DialoguePlayer()
    : stats_(std::make_unique<channel::WorkerStats>()),
      observer_(std::make_unique<SmtpObserver>(*stats_, notes_.data())) {}

void DialoguePlayer::open(uint16_t port) {
  service_.vip.port = Be16::of(port);
  stats_->service_smtp[kService] = SmtpCounters{};
  stats_->backend_smtp[kBackend] = SmtpCounters{};
  flow_ = Flow{};
  notes_[kFlow] = {};
  flow_.service = kService;
  flow_.backend = kBackend;
  notes_[kFlow].begun_ms = static_cast<uint32_t>(now_ms_);
  flow_.client_next = 0xffffff00;  // wraps in mid-dialogue
  flow_.server_next = 0xffffffc0;
  flow_.state = TcpState::kSynSent;
  send(true, flow_.client_next - 1, "", kTcpSyn);
  flow_.state = TcpState::kSynReceived;
  send(false, flow_.server_next - 1, "", kTcpSyn | kTcpAck);
  flow_.state = TcpState::kEstablished;
  send(true, flow_.client_next, "", kTcpAck);
}

void DialoguePlayer::send(bool from_client, uint32_t sequence, const std::string& text, uint8_t flags) {
  Packet packet{};
  packet.sequence = sequence;
  packet.payload_bytes = static_cast<uint16_t>(text.size());
  packet.tcp_flags = flags;
  // A copy of exactly the right size, so that reading beyond it is found out.
  const std::vector<uint8_t> payload(text.begin(), text.end());
  uint32_t& next = from_client ? flow_.client_next : flow_.server_next;
  const ObservedSegment segment{payload.data(), packet.payload_bytes, sequence, next, flags};
  if ((flags & kTcpSyn) == 0) {
    const uint32_t end = sequence + packet.sequence_length();
    if (static_cast<int32_t>(end - next) > 0) next = end;
  }
  const bool matters =
      from_client ? SmtpObserver::client_matters(flow_, packet) : SmtpObserver::backend_matters(flow_, packet);
  if (!matters) return;
  looked_at_++;
  if (from_client) {
    observer_->from_client(kFlow, flow_, service_, segment, now_ms_);
  } else {
    observer_->from_backend(kFlow, flow_, service_, segment, now_ms_);
  }
}

void DialoguePlayer::say(bool from_client, const std::string& text, uint8_t flags) {
  say_at(from_client, 0, text, flags);
}

void DialoguePlayer::say_at(bool from_client, int64_t offset, const std::string& text, uint8_t flags) {
  const uint32_t next = from_client ? flow_.client_next : flow_.server_next;
  send(from_client, next + static_cast<uint32_t>(offset), text, flags | kTcpAck);
}

void DialoguePlayer::fin(bool from_client) {
  const TcpState other = from_client ? TcpState::kServerFin : TcpState::kClientFin;
  const TcpState own = from_client ? TcpState::kClientFin : TcpState::kServerFin;
  flow_.state = flow_.state == other ? TcpState::kClosed : own;
  say(from_client, "", kTcpFin);
}

void DialoguePlayer::reset(bool from_client) {
  flow_.state = TcpState::kReset;
  say(from_client, "", kTcpRst);
}

void DialoguePlayer::expire() {
  observer_->expires(kFlow, flow_, now_ms_);
  forget();
}

void DialoguePlayer::forget() {
  observer_->forget(kFlow, flow_);
  flow_.state = TcpState::kFree;
}

void DialoguePlayer::say_cut(bool from_client, const std::string& text, size_t before, const Way& way) {
  std::vector<std::string> pieces{text};
  if (way.cut_at == kEverywhere) {
    pieces.clear();
    for (const char c : text) pieces.emplace_back(1, c);
  } else if (way.cut_at > before && way.cut_at - before < text.size()) {
    pieces = {text.substr(0, way.cut_at - before), text.substr(way.cut_at - before)};
  }
  for (const std::string& piece : pieces) {
    say(from_client, piece);
    if (way.again) say_at(from_client, -static_cast<int64_t>(piece.size()), piece);
  }
}

size_t DialoguePlayer::bytes_of(const std::vector<Move>& dialogue) {
  size_t bytes = 0;
  for (const Move& move : dialogue) bytes += move.text.size();
  return bytes;
}

Counts DialoguePlayer::counts() const {
  const Counts backend = nonzero(stats_->backend_smtp[kBackend]);
  EXPECT_EQ(backend, nonzero(stats_->service_smtp[kService]));
  return backend;
}

Counts DialoguePlayer::play(const std::vector<Move>& dialogue, uint16_t port, const Way& way) {
  open(port);
  size_t said = 0;
  for (const Move& move : dialogue) {
    switch (move.kind) {
      case Move::Kind::kClient:
      case Move::Kind::kServer:
        say_cut(move.kind == Move::Kind::kClient, move.text, said, way);
        said += move.text.size();
        break;
      case Move::Kind::kClientFin:
      case Move::Kind::kServerFin:
        fin(move.kind == Move::Kind::kClientFin);
        break;
      case Move::Kind::kClientReset:
      case Move::Kind::kServerReset:
        reset(move.kind == Move::Kind::kClientReset);
        break;
      case Move::Kind::kIdle:
        expire();
        break;
      case Move::Kind::kWait:
        advance(move.wait_ms);
        break;
    }
  }
  forget();
  EXPECT_EQ(observer_->dialogues_in_use(), 0u);
  return counts();
}

}  // namespace sluice::testing
