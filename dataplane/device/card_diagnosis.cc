// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/card_diagnosis.h"

#include <fmt/format.h>

#include <filesystem>

#include "dataplane/base/log.h"

namespace sluice {
namespace {

constexpr const char* kIommu =
    "there is no IOMMU, without which vfio-pci takes no card: turn it on in the firmware, and boot with intel_iommu=on "
    "iommu=pt (AMD: iommu=pt); where there is none to be had, uio_pci_generic (docs/installing.md)";

/// The kernel's driver, "" if none has it.
std::string driver_of(const std::filesystem::path& card) {
  std::error_code none;
  return std::filesystem::read_symlink(card / "driver", none).filename();
}

}  // namespace

std::string diagnose_card(const std::string& address, const std::string& sys) {
  const std::filesystem::path card = std::filesystem::path(sys) / "bus/pci/devices" / address;
  if (!std::filesystem::exists(card)) return "is not there; `dpdk-devbind.py --status-dev net` lists those that are";
  const std::string driver = driver_of(card);
  const bool iommu = std::filesystem::is_symlink(card / "iommu_group");
  const std::string bind = "modprobe vfio-pci; dpdk-devbind.py --bind=vfio-pci " + address;
  if (driver == "vfio-pci" || driver.starts_with("uio") || driver == "igb_uio") {
    return fmt::format(
        "is bound to {}, and DPDK could not open it ({}): is its PMD installed (librte-net-*), may this "
        "user open it (/dev/vfio, /dev/uio*), does another process have it?",
        driver, last_dpdk_error());
  }
  const std::string state = driver.empty() ? "has no driver" : fmt::format("is the kernel's ({})", driver);
  if (!iommu) return fmt::format("{}, and {}", state, kIommu);
  return fmt::format("{}; give it to DPDK{}: {}", state,
                     driver.empty() ? "" : ", unless your own connection leads over it", bind);
}

}  // namespace sluice
