// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/kernel_interface.h"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>

#include "dataplane/base/setup_error.h"
#include "dataplane/base/shared_memory.h"

namespace sluice {
namespace {

/// Asks the kernel by a SIOCGIF* request; nothing if there is no such interface. `data`: what the request points to.
std::optional<ifreq> ask(const std::string& interface, unsigned long request, void* data = nullptr) {
  ifreq answer{};
  answer.ifr_data = static_cast<char*>(data);
  if (interface.size() >= sizeof answer.ifr_name) return std::nullopt;
  std::ranges::copy(interface, answer.ifr_name);
  const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket || ioctl(socket.get(), request, &answer) != 0) return std::nullopt;
  return answer;
}

bool has_addresses(const std::string& interface) {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return false;
  bool found = false;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || interface != one->ifa_name) continue;
    found |= one->ifa_addr->sa_family == AF_INET || one->ifa_addr->sa_family == AF_INET6;
  }
  freeifaddrs(all);
  return found;
}

}  // namespace

std::optional<uint16_t> interface_mtu(const std::string& interface) {
  const auto answer = ask(interface, SIOCGIFMTU);
  if (!answer) return std::nullopt;
  return static_cast<uint16_t>(std::clamp(answer->ifr_mtu, 0, UINT16_MAX));
}

std::optional<InterfaceLink> interface_link(const std::string& interface) {
  const auto flags = ask(interface, SIOCGIFFLAGS);
  if (!flags) return std::nullopt;
  InterfaceLink out;
  out.up = (flags->ifr_flags & IFF_UP) != 0 && (flags->ifr_flags & IFF_RUNNING) != 0;
  ethtool_cmd settings{};
  settings.cmd = ETHTOOL_GSET;  // the older request: its answer has a fixed size
  if (!out.up || !ask(interface, SIOCETHTOOL, &settings)) return out;
  const uint32_t speed = ethtool_cmd_speed(&settings);
  if (speed != static_cast<uint32_t>(SPEED_UNKNOWN)) out.speed_mbps = speed;
  out.half_duplex = settings.duplex == DUPLEX_HALF;
  out.full_duplex = settings.duplex == DUPLEX_FULL;
  return out;
}

void check_interface(const std::string& port, const std::string& interface) {
  const auto flags = ask(interface, SIOCGIFFLAGS);
  if (!flags) {
    throw SetupError(
        fmt::format("port {}: there is no interface \"{}\" in this network namespace; see `ip link`", port, interface));
  }
  if ((flags->ifr_flags & IFF_UP) == 0) {
    spdlog::warn("port {}: interface {} is down; `ip link set {} up`", port, interface, interface);
  }
  if (has_addresses(interface)) {
    spdlog::warn(
        "port {}: interface {} has addresses of its own, at which the kernel may answer besides the twin; "
        "`ip addr flush dev {}` and `sysctl net.ipv6.conf.{}.disable_ipv6=1`",
        port, interface, interface, interface);
  }
}

}  // namespace sluice
