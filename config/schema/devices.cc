// SPDX-License-Identifier: Apache-2.0
#include "config/schema/devices.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace sluice::config {

std::vector<std::string> devices_of(const Port& port) {
  if (port.device != Port::kBondDevice) return {port.device};
  return port.bond ? port.bond->members : std::vector<std::string>{};
}

std::string pci_address(const std::string& device) {
  std::string address = device.substr(0, device.find(','));
  const auto colons = std::ranges::count(address, ':');
  const bool only_digits =
      std::ranges::all_of(address, [](unsigned char c) { return std::isxdigit(c) != 0 || c == ':' || c == '.'; });
  if (colons == 0 || !only_digits) return "";
  return colons == 1 ? "0000:" + address : address;
}

std::string interface_of(const std::string& device) {
  constexpr std::string_view kKey = ",iface=";
  const size_t start = device.find(kKey);
  if (start == std::string::npos) return "";
  const size_t end = device.find(',', start + kKey.size());
  return device.substr(start + kKey.size(), end == std::string::npos ? end : end - start - kKey.size());
}

}  // namespace sluice::config
