// SPDX-License-Identifier: Apache-2.0
#include "perf/blast/clients.h"

#include <algorithm>

namespace sluice::blast {
namespace {

constexpr uint32_t kStartProbes = 64;         // clients looked at for one without a session
constexpr uint64_t kSweepsPerSecond = 5'000;  // parts of a sweep; kSweepParts of them see every session
constexpr uint32_t kSweepParts = 50;

constexpr Stage after(Stage stage) {
  return static_cast<Stage>(static_cast<uint8_t>(stage) + 1);
}

}  // namespace

Clients::Clients(Link& link, const ClientSpace& space, const ClientOptions& options)
    : link_(link),
      space_(space),
      options_(options),
      sessions_(space.count()),
      syn_(space.v6(), kTcpSyn, ""),
      ack_(space.v6(), kTcpAck, ""),
      fin_(space.v6(), kTcpFin | kTcpAck, "") {
  active_.reserve(options.sessions_max);
  says_[static_cast<size_t>(Stage::kSynSent)].push_back(syn_);
  says_[static_cast<size_t>(Stage::kGreeting)].push_back(ack_);
  says_[static_cast<size_t>(Stage::kFin)].push_back(fin_);
  for (const Stage stage : {Stage::kEhlo, Stage::kMail, Stage::kRcpt, Stage::kData, Stage::kQuit}) {
    says_[static_cast<size_t>(stage)].emplace_back(space.v6(), kTcpAck | kTcpPsh, command_at(stage));
  }
  for (const std::string& part : body_segments(options.body_bytes, kMss)) {
    says_[static_cast<size_t>(Stage::kBody)].emplace_back(space.v6(), kTcpAck | kTcpPsh, part);
  }
}

uint64_t Clients::to_ns(uint64_t cycles) const {
  return static_cast<uint64_t>(static_cast<double>(cycles) * 1e9 / static_cast<double>(options_.tsc_hz));
}

bool Clients::start(uint64_t now, bool hold) {
  if (active_.size() >= options_.sessions_max) return false;
  for (uint32_t probe = 0; probe < kStartProbes; probe++) {
    const uint32_t n = next_client_;
    if (++next_client_ == space_.count()) next_client_ = 0;
    Session& session = sessions_[n];
    if (session.stage != Stage::kIdle) continue;
    session = Session{};
    session.started = now;
    session.hold = hold;
    session.place = static_cast<uint32_t>(active_.size());
    active_.push_back(n);
    // Further on with every session, so that a client's next connection is ahead of its last (RFC 9293 section 3.4.1).
    initial_sequence_ += 64'013;
    session.next = initial_sequence_;
    figures_.started++;
    enter(n, session, Stage::kSynSent, now);
    return true;
  }
  return false;
}

uint32_t Clients::length_at(Stage stage) const {
  uint32_t out = 0;
  for (const Segment& segment : says_[static_cast<size_t>(stage)]) out += segment.length();
  return out;
}

void Clients::enter(uint32_t n, Session& session, Stage stage, uint64_t now) {
  session.stage = stage;
  session.sent = now;
  session.tries = 0;
  session.next += length_at(stage);
  transmit(n, session);
}

void Clients::transmit(uint32_t n, const Session& session) {
  uint32_t sequence = session.next - length_at(session.stage);
  for (const Segment& segment : says_[static_cast<size_t>(session.stage)]) {
    put(n, segment, sequence, session.stage == Stage::kSynSent ? 0 : session.wanted);
    sequence += segment.length();
  }
}

void Clients::put(uint32_t n, const Segment& segment, uint32_t sequence, uint32_t ack) {
  rte_mbuf* mbuf = link_.make();
  if (mbuf == nullptr) return;
  segment.write(*mbuf, {link_.mac(), options_.gateway, space_.endpoint(n), options_.vip}, sequence, ack);
  figures_.sent++;
  link_.send(mbuf);
}

void Clients::acknowledge(uint32_t n, const Session& session) {
  put(n, ack_, session.next, session.wanted);
}

void Clients::on_segment(const rte_mbuf& mbuf, const Packet& packet, uint64_t now) {
  const std::optional<uint32_t> n = space_.number(packet.destination);
  if (!n || packet.source != options_.vip) return;
  figures_.received++;
  if (options_.verify && !has_right_checksums(mbuf, packet)) {
    figures_.wrong_checksum++;
    return;
  }
  Session& session = sessions_[*n];
  const bool opening = session.stage == Stage::kSynSent;
  const bool has_syn = (packet.tcp_flags & kTcpSyn) != 0;
  if (session.stage == Stage::kIdle) {
    figures_.unexpected++;
    return;
  }
  if ((packet.tcp_flags & kTcpRst) != 0) return give_up(session, figures_.reset);
  if (opening) {
    if (!has_syn || packet.ack != session.next) {
      figures_.unexpected++;
      return;
    }
    session.wanted = packet.sequence + 1;
    figures_.handshake_ns.add(to_ns(now - session.sent));
    return enter(*n, session, Stage::kGreeting, now);
  }
  if (packet.sequence_length() == 0) return;  // an acknowledgement and no more
  if (has_syn || packet.sequence != session.wanted) {
    figures_.unexpected++;
    if (packet.sequence_length() != 0 && session.stage != Stage::kHeld) acknowledge(*n, session);
    return;
  }
  session.wanted += packet.sequence_length();
  if (session.stage == Stage::kFin) {
    if ((packet.tcp_flags & kTcpFin) == 0) return;
    acknowledge(*n, session);
    figures_.session_ns.add(to_ns(now - session.started));
    figures_.completed++;
    return end(session);
  }
  const std::string_view text = payload_of(mbuf, packet);
  if (text.empty() || text[0] != digit_wanted(session.stage)) {
    put(*n, fin_, session.next, session.wanted);
    return give_up(session, figures_.refused);
  }
  go_on(*n, session, now);
}

void Clients::go_on(uint32_t n, Session& session, uint64_t now) {
  figures_.reply_ns.add(to_ns(now - session.sent));
  if (session.stage == Stage::kBody) figures_.bytes += options_.body_bytes;
  if (session.stage == Stage::kGreeting && session.hold) {
    session.stage = Stage::kHeld;
    held_++;
    acknowledge(n, session);
    return;
  }
  enter(n, session, after(session.stage), now);
}

bool Clients::release(uint64_t now, uint32_t most) {
  for (size_t i = 0; i < active_.size() && most != 0 && held_ != 0; i++) {
    Session& session = sessions_[active_[i]];
    if (session.stage != Stage::kHeld) continue;
    held_--;
    most--;
    enter(active_[i], session, Stage::kEhlo, now);
  }
  return held_ != 0;
}

void Clients::sweep(uint64_t now) {
  if (now - swept_at_ < options_.tsc_hz / kSweepsPerSecond) return;
  swept_at_ = now;
  const uint64_t timeout = options_.tsc_hz / 1000 * kFirstTimeoutMs;
  for (size_t visits = active_.size() / kSweepParts + 1; visits != 0 && !active_.empty(); visits--) {
    if (++swept_ >= active_.size()) swept_ = 0;
    const uint32_t n = active_[swept_];
    Session& session = sessions_[n];
    if (session.stage == Stage::kHeld || now - session.sent < timeout << session.tries) continue;
    if (++session.tries > kTries) {
      give_up(session, figures_.timed_out);
      continue;
    }
    figures_.resent++;
    transmit(n, session);
  }
}

uint32_t Clients::abandon() {
  uint32_t count = 0;
  for (size_t i = active_.size(); i-- > 0;) {
    Session& session = sessions_[active_[i]];
    if (session.stage == Stage::kHeld) continue;
    end(session);
    count++;
  }
  return count;
}

void Clients::give_up(Session& session, uint64_t& reason) {
  reason++;
  if (session.hold) figures_.held_lost++;
  if (session.stage == Stage::kHeld) held_--;
  end(session);
}

void Clients::end(Session& session) {
  const uint32_t last = active_.back();
  active_[session.place] = last;
  sessions_[last].place = session.place;
  active_.pop_back();
  session.stage = Stage::kIdle;
}

}  // namespace sluice::blast
