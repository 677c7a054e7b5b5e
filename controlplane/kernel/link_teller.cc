// SPDX-License-Identifier: Apache-2.0
#include "controlplane/kernel/link_teller.h"

#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "controlplane/kernel/link_frames.h"

namespace sluice::control {

LinkTeller::LinkTeller(boost::asio::io_context& io) : timer_(io) {}

std::string LinkTeller::tell(int link, const MacAddress& mac, const config::IpAddress& address) {
  std::string fault = send(link, mac, address);
  if (!fault.empty()) return fault;
  again_.push_back({Clock::now() + kAgainAfter, link, mac, address});
  if (again_.size() == 1) wait();
  return "";
}

void LinkTeller::forget(int link, const config::IpAddress& address) {
  std::erase_if(again_, [&](const Again& again) { return again.link == link && again.address == address; });
}

void LinkTeller::stop() {
  again_.clear();
  timer_.cancel();
}

std::string LinkTeller::send(int link, const MacAddress& mac, const config::IpAddress& address) {
  if (!socket_) socket_ = Descriptor(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));  // it hears nothing
  if (!socket_) return std::strerror(errno);
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = link;
  for (const auto& frame : address_announcements(mac, address)) {
    const auto* target = reinterpret_cast<const sockaddr*>(&to);
    if (sendto(socket_.get(), frame.data(), frame.size(), MSG_DONTWAIT, target, sizeof to) < 0)
      return std::strerror(errno);
  }
  return "";
}

void LinkTeller::wait() {
  if (again_.empty()) return;
  timer_.expires_at(again_.front().due);
  timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    while (!again_.empty() && again_.front().due <= Clock::now()) {
      const Again& each = again_.front();
      (void)send(each.link, each.mac, each.address);  // it has been told once
      again_.pop_front();
    }
    wait();
  });
}

}  // namespace sluice::control
