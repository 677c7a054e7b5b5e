// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/datagram_socket.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <boost/asio/ip/udp.hpp>
#include <boost/asio/local/datagram_protocol.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "config/model.h"
#include "healthcheck/sockets.h"

namespace sluice::control {

namespace {

using Endpoint = boost::asio::generic::datagram_protocol::endpoint;

Endpoint endpoint_of(const std::string& where) {
  if (const auto inet = config::SocketAddress::parse(where)) {
    return boost::asio::ip::udp::endpoint(health::to_asio(inet->address), inet->port);
  }
  return boost::asio::local::datagram_protocol::endpoint(where);
}

}  // namespace

DatagramSocket::DatagramSocket(std::string where) : where_(std::move(where)), to_(endpoint_of(where_)) {}

std::string DatagramSocket::connect_socket() {
  socket_ = Descriptor(socket(to_.data()->sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket_ && connect(socket_.get(), to_.data(), static_cast<socklen_t>(to_.size())) == 0) return "";
  const int error = errno;
  socket_ = Descriptor();
  return fmt::format("{}: {}", where_, std::strerror(error));
}

std::string DatagramSocket::send(std::string_view datagram) {
  const auto try_once = [&] {
    return socket_ && ::send(socket_.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL) >= 0;
  };
  const auto fault = [&](int error) { return fmt::format("{}: {}", where_, std::strerror(error)); };
  if (given_up_) return where_ + ": nobody reads it";
  if (try_once()) return "";
  if (socket_ && (errno == EAGAIN || errno == ENOBUFS || errno == EMSGSIZE)) return fault(errno);
  if (socket_ &&
      to_.data()->sa_family != AF_UNIX) {  // nobody listens there, or there is no way: an earlier one was lost
    given_up_ = true;
    std::string reason = fault(errno);
    socket_ = Descriptor();
    return reason;
  }
  std::string reason = connect_socket();
  if (reason.empty() && try_once()) return "";
  if (reason.empty()) reason = fault(errno);
  given_up_ = true;
  return reason;
}

}  // namespace sluice::control
