// SPDX-License-Identifier: Apache-2.0
//
// `sluicectl setup` on a machine that is made up for it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "controlplane/ctl/setup/drop_ins.h"
#include "controlplane/ctl/setup/own_file.h"
#include "controlplane/ctl/setup/places.h"
#include "controlplane/ctl/setup/plan.h"
#include "tests/controlplane/ctl/made_up_machine.h"

namespace sluice::ctl {

namespace fs = std::filesystem;

inline constexpr const char* kSysctl = "/etc/sysctl.d/60-sluice-edge1.conf";
inline constexpr const char* kModules = "/etc/modules-load.d/sluice-edge1.conf";
inline constexpr const char* kDataplane = "/etc/systemd/system/sluice-dataplane@edge1.service.d/50-setup.conf";
inline constexpr const char* kControl = "/etc/systemd/system/sluice-control@edge1.service.d/50-setup.conf";
inline constexpr const char* kGrub = "/etc/default/grub.d/60-sluice-edge1.cfg";
inline const std::string kCard = "/sys/bus/pci/devices/0000:3b:00.0";
inline const std::string kPages = "/sys/kernel/mm/hugepages/hugepages-2048kB/";

/// The edge's machine as it comes: nothing is set up, GRUB boots it.
class Setup : public MadeUpMachine {
 protected:
  Setup() {
    put("/etc/default/grub", "GRUB_TIMEOUT=5");
    link(kCard + "/driver", "../../../bus/pci/drivers/ixgbe");
    put("/sys/devices/system/cpu/online", "0-3");
    put("/proc/sys/net/ipv4/ip_forward", "0");
    put("/proc/sys/net/ipv4/conf/slf0/rp_filter", "1");
    put("/proc/sys/net/ipv4/neigh/default/gc_thresh2", "2");
    put("/proc/sys/net/ipv4/neigh/default/gc_thresh3", "4");
  }
  /// As if it had been followed, and the machine started again.
  void follow() {
    link(kCard + "/driver", "../../../bus/pci/drivers/vfio-pci");
    put("/sys/kernel/iommu_groups/7/devices/0000:3b:00.0", "");
    link(kCard + "/iommu_group", root_ + "/sys/kernel/iommu_groups/7");
    put("/sys/devices/system/cpu/isolated", "2-3");
    put("/sys/devices/system/cpu/nohz_full", "2-3");
    put("/proc/sys/net/ipv4/ip_forward", "1");
    fs::remove_all(root_ + "/proc/sys/net/ipv4/conf");  // twins come with the data plane
    put("/proc/sys/net/ipv4/neigh/default/gc_thresh2", "516");
    put("/proc/sys/net/ipv4/neigh/default/gc_thresh3", "1032");
    put(kPages + "nr_hugepages", "576");
    put(kPages + "free_hugepages", "576");
  }

  Plan plan() {
    const Machine machine = this->machine();
    const Patient patient{config_, machine, "/etc/sluice/edge1.cfg"};
    return plan_of(patient, look_at(patient));
  }
  Plan apply() {
    Plan out = plan();
    const auto done = carry_out(out, root_);
    EXPECT_TRUE(done) << done.error();
    return out;
  }
  Plan undo() {
    Plan out = plan_of_undo(machine(), "edge1");
    const auto done = carry_out(out, root_);
    EXPECT_TRUE(done) << done.error();
    return out;
  }
  /// Path -> text of each file below /etc, but for what was there before.
  std::map<std::string, std::string> written() {
    std::map<std::string, std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(root_ + "/etc"))
      if (entry.is_regular_file() && entry.path() != root_ + "/etc/default/grub") {
        const std::string path = entry.path().string().substr(root_.size());
        out[path] = read(path);
      }
    return out;
  }
  static std::string below_first_line(const std::string& text) { return text.substr(text.find('\n') + 1); }
  static std::vector<std::string> topics(const std::vector<Finding>& findings) {
    std::vector<std::string> out;
    for (const Finding& finding : findings) out.push_back(finding.topic);
    return out;
  }
  using Words = std::vector<std::string>;
};

}  // namespace sluice::ctl
