// SPDX-License-Identifier: Apache-2.0
#include "perf/mail/sink.h"

#include <sys/socket.h>

#include <cerrno>
#include <system_error>

#include "perf/blast/dialogue.h"

namespace sluice::mail {

namespace {

constexpr uint64_t kEndOfDataBytes = 0x0d0a2e0d0a;  // blast::kEndOfData, as `last_bytes` holds it
constexpr uint64_t kEndOfDataMask = 0xffffffffff;

Descriptor listen_on(uint16_t port) {
  Descriptor out(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1, off = 0;
  const SocketAddress any = SocketAddress::of("::", port);
  if (out.get() < 0 || setsockopt(out.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
      setsockopt(out.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0 ||
      bind(out.get(), any.get(), any.size) < 0 || listen(out.get(), 4096) < 0)
    throw std::system_error(errno, std::generic_category(), "listening on port " + std::to_string(port));
  return out;
}

// Replies are short and the peer waits for each, so a full socket buffer means that the peer is gone.
bool say(int fd, std::string_view text) {
  return send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

}  // namespace

Sink::Sink(uint16_t port) : listener_(listen_on(port)) {
  poll_.add(listener_.get(), EPOLLIN, static_cast<uint64_t>(listener_.get()));
}

void Sink::run(const volatile std::sig_atomic_t& stop) {
  while (stop == 0) {
    for (const epoll_event& event : poll_.wait(500)) {
      if (event.data.u64 == static_cast<uint64_t>(listener_.get())) {
        accept_all();
      } else {
        serve(event.data.u64);
      }
    }
  }
}

void Sink::accept_all() {
  while (true) {
    Descriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket.get() < 0) return;
    const auto number = static_cast<size_t>(socket.get());
    if (!say(socket.get(), blast::kGreetingText)) continue;
    poll_.add(socket.get(), EPOLLIN, number);
    if (number >= clients_.size()) clients_.resize(number * 2 + 64);
    clients_[number] = Client{.socket = std::move(socket)};
  }
}

void Sink::serve(size_t number) {
  static char buffer[256 << 10];
  Client& client = clients_[number];
  const ssize_t bytes = recv(client.socket.get(), buffer, sizeof buffer, 0);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (bytes <= 0 || !take(client, {buffer, static_cast<size_t>(bytes)})) client = Client{};
}

// Returns whether the session goes on. The client sends one command at a time, so one never comes in two pieces.
bool Sink::take(Client& client, std::string_view bytes) {
  if (client.in_message) {
    for (const char byte : bytes.substr(bytes.size() > 5 ? bytes.size() - 5 : 0))
      client.last_bytes = client.last_bytes << 8 | static_cast<uint8_t>(byte);
    if ((client.last_bytes & kEndOfDataMask) != kEndOfDataBytes) return true;
    client.in_message = false;
    return say(client.socket.get(), blast::reply_to(blast::kEndOfData));
  }
  client.in_message = bytes.starts_with("DATA");
  client.last_bytes = 0;
  const std::string_view reply = blast::reply_to(bytes);
  return say(client.socket.get(), reply.empty() ? "500 5.5.2 What?\r\n" : reply) && !bytes.starts_with("QUIT");
}

}  // namespace sluice::mail
