// SPDX-License-Identifier: Apache-2.0
#include "perf/mail/load.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <system_error>

namespace sluice::mail {

namespace {

constexpr uint64_t kOpeningAtOnce = 128;  // handshakes under way while sessions to be held are opened

std::string joined(const std::vector<std::string>& parts) {
  return std::accumulate(parts.begin(), parts.end(), std::string());
}

uint64_t to_us(double seconds) {
  return static_cast<uint64_t>(seconds * 1e6);
}

}  // namespace

Load::Load(LoadPlan plan)
    : plan_(std::move(plan)), message_(joined(blast::body_segments(plan_.message_bytes, plan_.message_bytes))) {}

LoadFigures Load::run() {
  const uint64_t begun_us = now_us();
  const uint64_t last_begin_us = begun_us + to_us(plan_.seconds);
  const uint64_t give_up_us = last_begin_us + to_us(plan_.patience_s);
  while (true) {
    const uint64_t now = now_us();
    if (now < last_begin_us) {
      begin_due(begun_us, now);
    } else if (open_ == 0) {
      break;
    } else if (now > give_up_us) {
      for (size_t i = 0; i < sessions_.size(); i++)
        if (sessions_[i].stage != Stage::kIdle) fail(i, "not done in time");
    }
    turn(1);
  }
  figures_.seconds = static_cast<double>(now_us() - begun_us) / 1e6;
  return figures_;
}

void Load::begin_due(uint64_t begun_us, uint64_t now) {
  if (plan_.rate <= 0) {
    while (open_ < plan_.concurrency) begin(now);
    return;
  }
  const auto due_at = [&](uint64_t number) {
    return begun_us + static_cast<uint64_t>(static_cast<double>(number) * 1e6 / plan_.rate);
  };
  while (due_at(begun_) <= now && open_ < plan_.concurrency) begin(due_at(begun_));
}

uint64_t Load::hold(uint64_t count, const volatile std::sig_atomic_t& stop) {
  holding_ = true;
  const uint64_t failed_before = figures_.failed;
  uint64_t progress = held_, progress_us = now_us();
  while (held_ < count && stop == 0 && figures_.failed == failed_before) {
    while (open_ < count && open_ - held_ < kOpeningAtOnce) begin(now_us());
    turn(10);
    if (held_ != progress) progress = held_, progress_us = now_us();
    if (now_us() - progress_us > to_us(plan_.patience_s)) {
      figures_.first_failure = "no session was greeted for so long";
      break;
    }
  }
  return held_;
}

uint64_t Load::release() {
  holding_ = false;
  const uint64_t completed_before = figures_.completed;
  size_t next = 0;
  const uint64_t give_up_us = now_us() + to_us(plan_.patience_s);
  while (open_ != 0 && now_us() < give_up_us) {
    for (size_t quits = 0; next < sessions_.size() && quits < kOpeningAtOnce; next++) {
      if (sessions_[next].stage != Stage::kHeld) continue;
      enter(next, Stage::kQuit);
      quits++;
    }
    turn(10);
  }
  return figures_.completed - completed_before;
}

void Load::begin(uint64_t due_us) {
  const SocketAddress& target = plan_.targets[begun_ % plan_.targets.size()];
  Descriptor socket(::socket(target.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) throw std::system_error(errno, std::generic_category(), "socket");
  const int on = 1;
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (!plan_.sources.empty()) {
    // The port is chosen when the target is known: each source has all its ports towards each target.
    const SocketAddress& source = plan_.sources[begun_ % plan_.sources.size()];
    setsockopt(socket.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(socket.get(), source.get(), source.size) < 0)
      throw std::system_error(errno, std::generic_category(), "binding to a source address");
  }
  const auto number = static_cast<size_t>(socket.get());
  if (number >= sessions_.size()) sessions_.resize(number * 2 + 64);
  begun_++;
  open_++;
  const int result = connect(socket.get(), target.get(), target.size);
  const int error = errno;
  sessions_[number] = Session{.socket = std::move(socket), .stage = Stage::kGreeting, .due_us = due_us};
  if (result < 0 && error != EINPROGRESS) return fail(number, std::strerror(error));
  poll_.add(static_cast<int>(number), EPOLLIN, number);
}

void Load::turn(int timeout_ms) {
  for (const epoll_event& event : poll_.wait(timeout_ms)) step(event.data.u64, event.events);
}

void Load::step(size_t number, uint32_t events) {
  Session& session = sessions_[number];
  if (session.stage == Stage::kIdle) return;  // ended by an earlier event of the same wait
  if ((events & EPOLLOUT) != 0 && session.sent < message_.size()) send_message(number);
  if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0) return;
  char reply[512];
  const ssize_t bytes = recv(session.socket.get(), reply, sizeof reply, 0);
  if (bytes > 0) return on_reply(number, reply[0]);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (bytes == 0 && session.stage == Stage::kFin) return finish(number);
  fail(number, bytes == 0 ? "closed before its time" : std::strerror(errno));
}

// Replies are one line each, and each is waited for, so one never comes in two pieces.
void Load::on_reply(size_t number, char digit) {
  const Stage stage = sessions_[number].stage;
  if (digit != blast::digit_wanted(stage) || stage == Stage::kHeld || stage == Stage::kFin)
    return fail(number, std::string("unexpected reply ") + digit + "xx");
  switch (stage) {
    case Stage::kGreeting:
      if (!holding_) return enter(number, Stage::kEhlo);
      held_++;
      sessions_[number].stage = Stage::kHeld;
      return;
    case Stage::kEhlo:
      return enter(number, Stage::kMail);
    case Stage::kMail:
      return enter(number, Stage::kRcpt);
    case Stage::kRcpt:
      return enter(number, Stage::kData);
    case Stage::kData:
      sessions_[number].stage = Stage::kBody;
      return send_message(number);
    case Stage::kBody:
      figures_.message_bytes += message_.size();
      return enter(number, Stage::kQuit);
    default:
      sessions_[number].stage = Stage::kFin;
  }
}

void Load::enter(size_t number, Stage stage) {
  Session& session = sessions_[number];
  if (session.stage == Stage::kHeld) held_--;
  session.stage = stage;
  const std::string_view command = blast::command_at(stage);
  if (send(session.socket.get(), command.data(), command.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(command.size()))
    fail(number, "a command could not be sent");
}

void Load::send_message(size_t number) {
  Session& session = sessions_[number];
  const bool was_waiting = session.sent != 0;
  const ssize_t bytes =
      send(session.socket.get(), message_.data() + session.sent, message_.size() - session.sent, MSG_NOSIGNAL);
  if (bytes < 0 && errno != EAGAIN && errno != EINTR) return fail(number, std::strerror(errno));
  session.sent += static_cast<size_t>(std::max<ssize_t>(bytes, 0));
  const bool waits = session.sent < message_.size();
  if (waits || was_waiting)
    poll_.change(static_cast<int>(number), waits ? EPOLLIN | EPOLLOUT : uint32_t{EPOLLIN}, number);
}

void Load::finish(size_t number) {
  figures_.completed++;
  figures_.session_us.add(now_us() - sessions_[number].due_us);
  sessions_[number] = Session{};
  open_--;
}

void Load::fail(size_t number, const std::string& why) {
  if (figures_.first_failure.empty())
    figures_.first_failure = why + ", at stage " + std::to_string(static_cast<int>(sessions_[number].stage));
  if (sessions_[number].stage == Stage::kHeld) held_--;
  figures_.failed++;
  sessions_[number] = Session{};
  open_--;
}

}  // namespace sluice::mail
