// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/address_watch.h"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "dataplane/base/setup_error.h"

namespace sluice {
namespace {

/// The addresses of all interfaces; nothing if the kernel does not tell.
bool read_addresses(std::vector<Address>& out) {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return false;
  for (const ifaddrs* found = first; found != nullptr; found = found->ifa_next) {
    if (found->ifa_addr == nullptr) continue;
    if (found->ifa_addr->sa_family == AF_INET) {
      sockaddr_in address;
      std::memcpy(&address, found->ifa_addr, sizeof address);
      out.push_back(Address::v4(Be32{address.sin_addr.s_addr}));
    } else if (found->ifa_addr->sa_family == AF_INET6) {
      sockaddr_in6 address;
      std::memcpy(&address, found->ifa_addr, sizeof address);
      Address v6;
      std::memcpy(v6.bytes.data(), &address.sin6_addr, 16);
      out.push_back(v6);
    }
  }
  freeifaddrs(first);
  return true;
}

}  // namespace

AddressWatch::AddressWatch(OwnAddresses& own) : own_(own) {
  notifications_ = Descriptor(socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE));
  sockaddr_nl groups{};
  groups.nl_family = AF_NETLINK;
  groups.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (!notifications_ || bind(notifications_.get(), reinterpret_cast<const sockaddr*>(&groups), sizeof groups) != 0) {
    throw SetupError(fmt::format("addresses of the kernel: netlink: {}", std::strerror(errno)));
  }
  survey();
}

void AddressWatch::poll() {
  // What has changed does not matter, nor that some of it was lost: all are looked at again.
  std::array<char, 8192> message;
  bool any = false;
  for (ssize_t n; (n = recv(notifications_.get(), message.data(), message.size(), 0)) >= 0 || errno == ENOBUFS;) {
    any = true;
  }
  if (any) survey();
}

void AddressWatch::survey() {
  std::vector<Address> addresses;
  if (!read_addresses(addresses)) return;
  own_.set(addresses);
  const bool too_many = addresses.size() > OwnAddresses::kMax;
  if (too_many && !too_many_) {
    spdlog::warn("the kernel has {} addresses; what comes for those beyond {} is taken for a stranger's",
                 addresses.size(), OwnAddresses::kMax);
  }
  too_many_ = too_many;
}

}  // namespace sluice
