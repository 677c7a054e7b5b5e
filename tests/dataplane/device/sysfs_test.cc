// SPDX-License-Identifier: Apache-2.0
//
// What is read from sysfs when a card or memory is missing: what is wrong, and what to do.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include "dataplane/device/card_diagnosis.h"
#include "dataplane/device/huge_pages.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCard = "0000:3b:00.0";

class Sysfs : public ::testing::Test {
 protected:
  Sysfs() : root_(::testing::TempDir() + "sysfs-" + std::to_string(getpid())) {
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  ~Sysfs() override { fs::remove_all(root_); }

  /// A card, its driver ("" = none), and whether it is behind an IOMMU.
  std::string diagnosis(const std::string& driver, bool iommu) {
    const fs::path card = root_ / "bus/pci/devices" / kCard;
    fs::remove_all(card);
    fs::create_directories(card);
    if (!driver.empty()) fs::create_symlink("../../drivers/" + driver, card / "driver");
    if (iommu) fs::create_symlink("../../groups/7", card / "iommu_group");
    return diagnose_card(kCard, root_);
  }

  void add_node(unsigned node, unsigned cpu, unsigned pages) {
    const fs::path directory = root_ / ("node" + std::to_string(node));
    fs::create_directories(directory / ("cpu" + std::to_string(cpu)));
    fs::create_directories(directory / "hugepages/hugepages-2048kB");
    std::ofstream(directory / "hugepages/hugepages-2048kB/free_hugepages") << pages;
  }

  fs::path root_;
};

TEST_F(Sysfs, DiagnosisSaysWhatToDo) {
  const struct {
    const char* driver;
    bool iommu;
    const char* says;
    const char* advises;
  } cases[] = {
      {"ixgbe", true, "is the kernel's (ixgbe); give it to DPDK, unless your own connection",
       "--bind=vfio-pci 0000:3b"},
      {"", true, "has no driver; give it to DPDK:", "--bind=vfio-pci 0000:3b:00.0"},
      {"", false, "has no driver, and there is no IOMMU", "intel_iommu=on"},
      {"ixgbe", false, "is the kernel's (ixgbe), and there is no IOMMU", "uio_pci_generic"},
      {"vfio-pci", true, "is bound to vfio-pci, and DPDK could not open it", "librte-net"},
      {"uio_pci_generic", false, "is bound to uio_pci_generic, and DPDK could not open it", "/dev/uio"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.says);
    const std::string said = diagnosis(c.driver, c.iommu);
    EXPECT_NE(said.find(c.says), std::string::npos) << said;
    EXPECT_NE(said.find(c.advises), std::string::npos) << said;
  }
  EXPECT_NE(diagnose_card("0000:ff:1f.7", root_).find("is not there"), std::string::npos);
}

TEST_F(Sysfs, NodeOfAWorkerHasToHaveItsPages) {
  add_node(0, 0, 512);
  add_node(1, 4, 100);
  const std::array<unsigned, 1> near{0};
  const std::array<unsigned, 2> both{0, 4};
  EXPECT_EQ(lacking_node(near, 1024, root_), "");
  EXPECT_EQ(lacking_node(both, 200, root_), "");
  const std::string said = lacking_node(both, 1024, root_);
  EXPECT_NE(said.find("CPU 4 of a worker is on NUMA node 1, where 200 MiB"), std::string::npos) << said;
  EXPECT_NE(said.find("node1/hugepages/hugepages-2048kB/nr_hugepages"), std::string::npos) << said;
  EXPECT_NE(said.find("dataplane.lcores"), std::string::npos) << said;
}

TEST_F(Sysfs, NodeWithoutMemoryHasNoPages) {
  add_node(0, 0, 512);
  fs::create_directories(root_ / "node1/cpu1");
  const std::array<unsigned, 1> far{1};
  EXPECT_NE(lacking_node(far, 256, root_).find("where 0 MiB"), std::string::npos);
}

TEST_F(Sysfs, MachineThatTellsNoNodesLacksNone) {
  const std::array<unsigned, 1> cpus{0};
  EXPECT_EQ(lacking_node(cpus, 1024, root_), "");
}

TEST_F(Sysfs, CountsFreePagesOfAllSizes) {
  for (const auto& [size, pages] : {std::pair{"2048", 5}, std::pair{"1048576", 2}}) {
    const fs::path directory = root_ / ("hugepages-" + std::string(size) + "kB");
    fs::create_directories(directory);
    std::ofstream(directory / "free_hugepages") << pages;
  }
  EXPECT_EQ(free_hugepages_mb(root_), 10U + 2048);
}

}  // namespace
}  // namespace sluice
