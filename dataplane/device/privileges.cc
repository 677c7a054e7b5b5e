// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <utility>

#include "dataplane/device/device_string.h"

namespace sluice {
namespace {

constexpr uint64_t bit(unsigned capability) {
  return uint64_t{1} << capability;
}

}  // namespace

uint64_t needed_capabilities(const std::vector<PortOptions>& ports) {
  uint64_t needed = bit(CAP_NET_ADMIN);  // twins
  for (const PortOptions& port : ports) {
    for (const std::string& device : devices_of(port)) {
      const std::string name = split_device(device).name;
      if (name.starts_with("net_af_packet")) needed |= bit(CAP_NET_RAW);
      // The library under the driver looks its XDP program up by number.
      if (name.starts_with("net_af_xdp")) needed |= bit(CAP_NET_RAW) | bit(CAP_SYS_ADMIN);
    }
  }
  return needed;
}

std::string capability_names(uint64_t capabilities) {
  constexpr std::array kNames{std::pair{CAP_NET_ADMIN, "CAP_NET_ADMIN"}, std::pair{CAP_NET_RAW, "CAP_NET_RAW"},
                              std::pair{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}};
  std::string out;
  for (const auto& [capability, name] : kNames) {
    if ((capabilities & bit(static_cast<unsigned>(capability))) == 0) continue;
    out += (out.empty() ? "" : " and ") + std::string(name);
  }
  return out;
}

uint64_t effective_capabilities() {
  std::ifstream status("/proc/thread-self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("CapEff:")) return std::stoull(line.substr(7), nullptr, 16);
  }
  return 0;
}

int drop_capabilities() noexcept {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  return syscall(SYS_capset, &header, none.data()) == 0 ? 0 : errno;
}

}  // namespace sluice
