// SPDX-License-Identifier: Apache-2.0
#include "controlplane/kernel/netlink_socket.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <system_error>

namespace sluice::control {

namespace {

constexpr size_t kBufferBytes = 64 * 1024;            // the kernel fills at most 32 KiB per message of a dump
constexpr int kReceiveBufferBytes = 4 * 1024 * 1024;  // a burst of route changes
constexpr timeval kTimeout{1, 0};
constexpr int kDumpAttempts = 5;
constexpr int kDiscarded = 64;  // messages at a time

}  // namespace

NetlinkSocket::NetlinkSocket(uint32_t groups)
    : fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)), buffer_(kBufferBytes) {
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (!fd_ || bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw std::system_error(errno, std::generic_category(), "rtnetlink socket");
  }
  setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &kTimeout, sizeof kTimeout);
  // Beyond the system's limit with CAP_NET_ADMIN; without it the smaller buffer only means an earlier resync.
  if (setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBufferBytes, sizeof kReceiveBufferBytes) != 0) {
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBufferBytes, sizeof kReceiveBufferBytes);
  }
}

void NetlinkSocket::be_strict() {
  constexpr int kOn = 1;
  setsockopt(fd_.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &kOn, sizeof kOn);
}

std::expected<std::vector<netlink::Message>, int> NetlinkSocket::ask(const netlink::Bytes& request, size_t limit) {
  auto out = ask_once(request, limit);
  for (int i = 1; i < kDumpAttempts && !out && out.error() == EINTR; i++) out = ask_once(request, limit);
  return out;
}

std::expected<std::vector<netlink::Message>, int> NetlinkSocket::ask_once(const netlink::Bytes& request, size_t limit) {
  while (receive(MSG_DONTWAIT)) {  // what an earlier request left behind
  }
  if (send(fd_.get(), request.data(), request.size(), 0) < 0) return std::unexpected(errno);
  const bool is_dump = (reinterpret_cast<const nlmsghdr*>(request.data())->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  std::vector<netlink::Message> out;
  bool interrupted = false;
  for (;;) {
    auto part = receive(0);
    if (!part) return std::unexpected(part.error());
    for (netlink::Message& message : *part) {
      interrupted |= std::holds_alternative<netlink::Interrupted>(message);
      if (std::holds_alternative<netlink::Done>(message)) {
        if (interrupted) return std::unexpected(EINTR);
        return out;
      }
      if (const auto* status = std::get_if<netlink::Status>(&message)) {
        if (status->error != 0) return std::unexpected(interrupted ? EINTR : status->error);
        return out;
      }
      out.push_back(std::move(message));
    }
    if (out.size() > limit) return std::unexpected(E2BIG);
    if (!is_dump) return out;
  }
}

std::expected<std::vector<int>, int> NetlinkSocket::ask_all(const std::vector<netlink::Bytes>& requests) {
  while (receive(MSG_DONTWAIT)) {  // what an earlier request left behind
  }
  netlink::Bytes all;
  for (const netlink::Bytes& request : requests) all.insert(all.end(), request.begin(), request.end());
  if (send(fd_.get(), all.data(), all.size(), 0) < 0) return std::unexpected(errno);
  std::vector<int> out;
  while (out.size() < requests.size()) {
    const auto part = receive(0);
    if (!part) return std::unexpected(part.error());
    for (const netlink::Message& message : *part)
      if (const auto* status = std::get_if<netlink::Status>(&message)) out.push_back(status->error);
  }
  return out;
}

std::expected<std::vector<netlink::Message>, int> NetlinkSocket::poll() {
  std::vector<netlink::Message> out;
  for (;;) {
    auto part = receive(MSG_DONTWAIT);
    if (!part && (part.error() == EAGAIN || part.error() == EWOULDBLOCK)) return out;
    if (!part) return std::unexpected(part.error());
    out.insert(out.end(), std::make_move_iterator(part->begin()), std::make_move_iterator(part->end()));
  }
}

void NetlinkSocket::discard() {
  for (int i = 0; i < kDiscarded; i++)
    if (recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT) < 0 && errno != EINTR && errno != ENOBUFS) return;
}

std::expected<std::vector<netlink::Message>, int> NetlinkSocket::receive(int flags) {
  for (;;) {
    const ssize_t n = recv(fd_.get(), buffer_.data(), buffer_.size(), flags);
    if (n >= 0) return netlink::parse({buffer_.data(), static_cast<size_t>(n)});
    if (errno != EINTR) return std::unexpected(errno);
  }
}

}  // namespace sluice::control
