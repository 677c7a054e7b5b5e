// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/device_string.h"

#include <rte_pci.h>

#include <array>
#include <string_view>

namespace sluice {

DeviceString split_device(const std::string& device) {
  const size_t comma = device.find(',');
  if (comma == std::string::npos) return {.name = device, .arguments = ""};
  return {.name = device.substr(0, comma), .arguments = device.substr(comma + 1)};
}

bool is_pci_device(const std::string& device) {
  rte_pci_addr address;
  return rte_pci_addr_parse(split_device(device).name.c_str(), &address) == 0;
}

std::string pci_port_name(const std::string& device) {
  rte_pci_addr address{};
  rte_pci_addr_parse(split_device(device).name.c_str(), &address);
  std::array<char, PCI_PRI_STR_SIZE + 1> name{};
  rte_pci_device_name(&address, name.data(), name.size());
  return name.data();
}

std::optional<std::string> device_argument(const std::string& device, const std::string& key) {
  const std::string arguments = split_device(device).arguments;
  std::string_view rest = arguments;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    if (item.size() > key.size() && item.starts_with(key) && item[key.size()] == '=') {
      return std::string(item.substr(key.size() + 1));
    }
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return std::nullopt;
}

}  // namespace sluice
