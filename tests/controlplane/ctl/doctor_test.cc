// SPDX-License-Identifier: Apache-2.0
//
// Each finding of the doctor on a machine that is made up for it, beside one where all is well.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "controlplane/ctl/doctor/examinations.h"
#include "tests/controlplane/ctl/made_up_machine.h"

namespace sluice::ctl {
namespace {

namespace fs = std::filesystem;

class Doctor : public MadeUpMachine {
 protected:
  Lines look(void (*examination)(const Patient&, Report&)) {
    const Machine machine = this->machine();
    report_ = {};
    examination({config_, machine, "/etc/sluice/edge1.cfg", has_status_ ? &status_ : nullptr}, report_);
    return lines_of(report_);
  }
  nlohmann::json status_;
  bool has_status_ = false;
  Report report_;
};

TEST_F(Doctor, CountsHugePagesThatAreFree) {
  const std::string pages = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
  EXPECT_EQ(look(examine_memory), Lines{"fail huge pages: 0 MiB are free of 0 MiB, memory_mb = 1024 are wanted"});
  put(pages + "nr_hugepages", "1024");
  put(pages + "free_hugepages", "511");
  EXPECT_EQ(look(examine_memory), Lines{"fail huge pages: 1022 MiB are free of 2048 MiB, memory_mb = 1024 are wanted"});
  EXPECT_TRUE(report_.findings()[0].advice.starts_with("sysctl vm.nr_hugepages=1089 ")) << report_.findings()[0].advice;
  put(pages + "free_hugepages", "512");
  EXPECT_EQ(look(examine_memory), Lines{"ok huge pages: 1024 MiB are free, 1024 MiB are wanted"});
  put(pages + "free_hugepages", "0");
  start(77, "/usr/sbin/sluice-dataplane --config /etc/sluice/other.cfg");
  EXPECT_EQ(report_.count(Grade::kFail), 0U);
  EXPECT_EQ(look(examine_memory).at(0).substr(0, 4), "fail");
  start(77, "/usr/sbin/sluice-dataplane --config /etc/sluice/edge1.cfg");
  EXPECT_EQ(look(examine_memory), Lines{"ok huge pages: 2048 MiB, 0 MiB of them free, and sluice-dataplane runs"});
  config_.dataplane.hugepages = false;
  EXPECT_EQ(look(examine_memory), Lines{"ok huge pages: none are wanted (dataplane.hugepages = false)"});
}

TEST_F(Doctor, WantsCoresAndPagesOnTheCardsNode) {
  const std::string pages = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
  put(pages + "nr_hugepages", "1024");
  put(pages + "free_hugepages", "1024");
  put("/sys/bus/pci/devices/0000:3b:00.0/numa_node", "1");
  EXPECT_EQ(look(examine_memory).size(), 1U);  // one node
  put("/sys/devices/system/node/node1/cpu2/online", "1");
  EXPECT_EQ(look(examine_memory).at(1), "warn NUMA, port front: the card is on node 1, and cores 3 are not");
  put("/sys/devices/system/node/node1/cpu3/online", "1");
  EXPECT_EQ(look(examine_memory).at(1), "warn NUMA, port front: the card is on node 1, which has no huge pages");
  put("/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages", "512");
  EXPECT_EQ(look(examine_memory).at(1), "ok NUMA, port front: card, cores and huge pages are on node 1");
  put("/sys/bus/pci/devices/0000:3b:00.0/numa_node", "-1");
  EXPECT_EQ(look(examine_memory).size(), 1U);
}

TEST_F(Doctor, LooksWhoDrivesTheCard) {
  const std::string card = "/sys/bus/pci/devices/0000:3b:00.0";
  EXPECT_EQ(look(examine_cards), Lines{"fail card, port front: there is no device 0000:3b:00.0"});
  put(card + "/vendor", "0x8086");
  EXPECT_EQ(look(examine_cards), Lines{"fail card, port front: 0000:3b:00.0 has no driver"});
  link(card + "/driver", "../../../bus/pci/drivers/ixgbe");
  EXPECT_EQ(look(examine_cards), Lines{"fail card, port front: 0000:3b:00.0 is the kernel's (ixgbe)"});
  link(card + "/driver", "../../../bus/pci/drivers/mlx5_core");
  EXPECT_EQ(look(examine_cards), Lines{"ok card, port front: mlx5_core, which DPDK shares with the kernel"});
  link(card + "/driver", "../../../bus/pci/drivers/uio_pci_generic");
  EXPECT_EQ(look(examine_cards), Lines{"warn card, port front: uio_pci_generic: the card may write anywhere"});
  link(card + "/driver", "../../../bus/pci/drivers/vfio-pci");
  EXPECT_EQ(look(examine_cards), Lines{"fail card, port front: vfio-pci, and there is no IOMMU"});
  put("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y");
  EXPECT_EQ(look(examine_cards),
            Lines{"warn card, port front: vfio-pci without an IOMMU: the card may write anywhere"});
}

TEST_F(Doctor, HasNoRemedyForACardThatTheKernelRoutesOver) {
  const std::string card = "/sys/bus/pci/devices/0000:3b:00.0";
  put(card + "/net/eth2/mtu", "1500");
  link(card + "/driver", "../../../bus/pci/drivers/ixgbe");
  put("/proc/net/route", "Iface\tDestination\neth22\t00000000");
  put("/proc/net/ipv6_route",
      "fe800000000000000000000000000000 40 eth2\nff000000000000000000000000000000 08 eth2\n"
      "20010db8000000000000000000000000 20 eth1");
  EXPECT_EQ(look(examine_cards), Lines{"fail card, port front: 0000:3b:00.0 is the kernel's (ixgbe)"});
  EXPECT_EQ(report_.findings()[0].remedies, (Remedies{{Remedy::Kind::kModule, "vfio-pci", ""},
                                                      {Remedy::Kind::kDriver, "0000:3b:00.0", "vfio-pci"},
                                                      {Remedy::Kind::kBoot, "intel_iommu", "on"},
                                                      {Remedy::Kind::kBoot, "iommu", "pt"}}));
  const Lines routed{"fail card, port front: 0000:3b:00.0 is the kernel's (ixgbe), which has routes over it (eth2)"};
  put("/proc/net/ipv6_route", "20010db8000000000000000000000000 20 eth2");
  EXPECT_EQ(look(examine_cards), routed);
  put("/proc/net/ipv6_route", "");
  put("/proc/net/route", "Iface\tDestination\neth2\t00000000");
  EXPECT_EQ(look(examine_cards), routed);
  EXPECT_EQ(report_.findings()[0].remedies, Remedies{});
}

TEST_F(Doctor, FindsTheInterfaceOfAVirtioCard) {
  const std::string card = "/sys/bus/pci/devices/0000:3b:00.0";
  put(card + "/virtio3/net/eth2/mtu", "1500");
  link(card + "/driver", "../../../bus/pci/drivers/virtio-pci");
  put("/proc/net/route", "Iface\tDestination\neth2\t00000000");
  EXPECT_EQ(look(examine_cards),
            Lines{"fail card, port front: 0000:3b:00.0 is the kernel's (virtio-pci), which has routes over it (eth2)"});
  EXPECT_EQ(report_.findings()[0].remedies, Remedies{});
}

TEST_F(Doctor, HasNoRemedyForACardWithOtherInterfacesUponIt) {
  const std::string card = "/sys/bus/pci/devices/0000:3b:00.0";
  link(card + "/driver", "../../../bus/pci/drivers/ixgbe");
  for (const std::string upper : {"master", "upper_br0", "upper_bond0", "upper_eth2.10"}) {
    const std::string path = card + "/net/eth2/" + upper;
    link(path, "../../../virtual/net/other0");
    EXPECT_EQ(look(examine_cards),
              Lines{"fail card, port front: 0000:3b:00.0 is the kernel's (ixgbe), which has other0 upon it (eth2)"});
    EXPECT_EQ(report_.findings()[0].remedies, Remedies{});
    fs::remove(root_ + path);
  }
  look(examine_cards);
  EXPECT_FALSE(report_.findings()[0].remedies.empty());
}

TEST_F(Doctor, CountsPagesOfTheKernelsDefaultSizeAlone) {
  look(examine_memory);
  EXPECT_EQ(report_.findings()[0].remedies, (Remedies{{Remedy::Kind::kSysctl, "vm.nr_hugepages", "576"}}));
  put("/proc/meminfo", "HugePages_Free:        0\nHugepagesize:       2048 kB\nHugetlb:        0 kB");
  look(examine_memory);
  EXPECT_EQ(report_.findings()[0].remedies.size(), 1U);
  put("/proc/meminfo", "HugePages_Free:        0\nHugepagesize:    1048576 kB\nHugetlb:        0 kB");
  look(examine_memory);
  EXPECT_EQ(report_.findings()[0].remedies, Remedies{});
}

TEST_F(Doctor, LooksAtEveryMemberOfABond) {
  config::Port& port = config_.dataplane.ports[0];
  port.device = "bond";
  port.bond = config::Bond{.members = {"3b:00.0", "0000:3b:00.1", "net_af_packet0,iface=gone"}};
  EXPECT_EQ(look(examine_cards), (Lines{"fail card, port front: there is no device 0000:3b:00.0",
                                        "fail card, port front: there is no device 0000:3b:00.1"}));
  EXPECT_EQ(look(examine_links).at(0), "fail link, port front: there is no interface gone (net_af_packet0,iface=gone)");
}

TEST_F(Doctor, LooksWhoSharesTheCardsIommuGroup) {
  const std::string card = "/sys/bus/pci/devices/0000:3b:00.0", other = "/sys/bus/pci/devices/0000:3b:00.1";
  put("/sys/kernel/iommu_groups/7/devices/0000:3b:00.0", "");
  put("/sys/kernel/iommu_groups/7/devices/0000:3b:00.1", "");
  link(card + "/driver", "../../../bus/pci/drivers/vfio-pci");
  link(card + "/iommu_group", root_ + "/sys/kernel/iommu_groups/7");
  EXPECT_EQ(look(examine_cards), Lines{"ok card, port front: vfio-pci, behind an IOMMU"});
  link(other + "/driver", "../../../bus/pci/drivers/ixgbe");
  EXPECT_EQ(look(examine_cards),
            Lines{"fail card, port front: 0000:3b:00.1 shares its IOMMU group and is the kernel's"});
  link(other + "/driver", "../../../bus/pci/drivers/vfio-pci");
  EXPECT_EQ(look(examine_cards), Lines{"ok card, port front: vfio-pci, behind an IOMMU"});
}

TEST_F(Doctor, WantsCoresOfTheWorkersOwn) {
  const std::string cpus = "/sys/devices/system/cpu/";
  put(cpus + "online", "0-2");
  EXPECT_EQ(look(examine_cores), Lines{"fail cores: 3 of dataplane.lcores are not online"});
  put(cpus + "online", "0-3");
  EXPECT_EQ(look(examine_cores).at(0), "warn cores: the kernel gives cores 2,3 to others, too");
  put(cpus + "isolated", "3");
  EXPECT_EQ(look(examine_cores).at(0), "warn cores: the kernel gives cores 2 to others, too");
  put(cpus + "isolated", "2-3");
  EXPECT_EQ(look(examine_cores).at(0), "ok cores: 2,3 are isolated");
  EXPECT_EQ(look(examine_cores).at(1), "warn timer tick: interrupts the workers on cores 2,3");
  put(cpus + "nohz_full", "1-3");
  EXPECT_EQ(look(examine_cores).at(1), "ok timer tick: none on the workers' cores");
  config_.dataplane.idle = config::Idle::kSleep;
  EXPECT_EQ(look(examine_cores).at(0), "ok cores: workers on 2,3 give them away when idle (dataplane.idle)");
}

TEST_F(Doctor, TakesAllCoresButTheFirstWhereNoneAreNamed) {
  put("/sys/devices/system/cpu/online", "0-1");
  config_.dataplane.lcores.clear();
  EXPECT_EQ(look(examine_cores), Lines{"fail cores: 1 for 2 workers"});
  put("/sys/devices/system/cpu/online", "0-7");
  put("/sys/devices/system/cpu/isolated", "1-2");
  EXPECT_EQ(look(examine_cores).at(0), "ok cores: 1,2 are isolated");
}

TEST_F(Doctor, NamesWhoIsBoundToTheWorkersCores) {
  put("/sys/devices/system/cpu/online", "0-3");
  start(10, "/usr/bin/anything", "0-3");
  start(11, "/usr/sbin/sluice-dataplane --config /etc/sluice/edge1.cfg", "2");
  EXPECT_EQ(look(examine_cores).at(1), "ok other processes: none is bound to cores 2,3");
  start(12, "/usr/bin/greedy --fast", "3");
  EXPECT_EQ(look(examine_cores).at(1), "warn other processes: 1 bound to the workers' cores: greedy (12)");
}

TEST_F(Doctor, WantsCoresAtTheirSpeed) {
  put("/sys/devices/system/cpu/online", "0-3");
  EXPECT_EQ(look(examine_cores).back(), "ok CPU frequency: not lowered by the kernel");
  put("/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave");
  put("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave");
  EXPECT_EQ(look(examine_cores).back(), "warn CPU frequency: the governor of cores 3 is \"powersave\"");
  put("/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "performance");
  EXPECT_EQ(look(examine_cores).back(), "ok CPU frequency: not lowered by the kernel");
}

TEST_F(Doctor, LooksAtTwinsAndInterfaces) {
  const auto make = [&](const std::string& name, const char* flags, const char* carrier, const char* mtu) {
    put("/sys/class/net/" + name + "/flags", flags);
    put("/sys/class/net/" + name + "/carrier", carrier);
    put("/sys/class/net/" + name + "/mtu", mtu);
  };
  EXPECT_EQ(look(examine_links),
            (Lines{"warn link, port front: there is no twin slf0: the data plane does not run here",
                   "fail link, port back: there is no interface eth1 (net_af_xdp0,iface=eth1)"}));
  make("slf0", "0x1003", "1", "1500");
  make("slb0", "0x1003", "1", "1500");
  make("eth1", "0x1003", "1", "1500");
  const Lines well{"ok link, port front: slf0 is up, MTU 1500", "ok link, port back: slb0 is up, MTU 1500"};
  EXPECT_EQ(look(examine_links), well);
  make("slf0", "0x1002", "1", "1500");
  EXPECT_EQ(look(examine_links).at(0), "fail link, port front: slf0 is down");
  make("slf0", "0x1003", "0", "1500");
  EXPECT_EQ(look(examine_links).at(0), "fail link, port front: slf0 has no link");
  make("slf0", "0x1003", "1", "1500");
  make("eth1", "0x1003", "0", "1500");
  EXPECT_EQ(look(examine_links).at(1), "fail link, port back: eth1 has no link");
  make("eth1", "0x1003", "1", "1400");
  EXPECT_EQ(look(examine_links).at(1), "warn link, port back: MTU 1500 of slb0 is more than that of eth1, 1400");
  make("slb0", "0x1003", "1", "1400");
  EXPECT_EQ(look(examine_links).at(1), "warn link, port back: MTU 1400 of slb0 is not that of slf0, 1500");
}

TEST_F(Doctor, WantsTheKernelToPassOnWhatServersSend) {
  EXPECT_EQ(look(examine_kernel), Lines{});  // nothing is told
  put("/proc/sys/net/ipv4/ip_forward", "0");
  put("/proc/sys/net/ipv6/conf/all/forwarding", "0");
  EXPECT_EQ(look(examine_kernel),
            Lines{"warn net.ipv4.ip_forward: 0: what mail servers send of their own (DNS, mail that goes out) is not "
                  "passed on"});
  put("/proc/sys/net/ipv4/ip_forward", "1");
  EXPECT_EQ(look(examine_kernel), Lines{"ok net.ipv4.ip_forward: 1"});
  config_.dataplane.server_routing = config::ServerRouting::kWorker;
  EXPECT_EQ(
      look(examine_kernel).at(1),
      "ok dataplane.server_routing: \"worker\": no firewall of this machine sees what mail servers send of their own");
  config_.dataplane.server_routing = config::ServerRouting::kAuto;
  config_.services[0].forwarding = config::Forwarding::kDsr;
  EXPECT_EQ(look(examine_kernel), Lines{});
  config_.services[0].forwarding = config::Forwarding::kNat;
  config_.pools[0].backends[0].address = *config::IpAddress::parse("2001:db8::1");
  EXPECT_EQ(look(examine_kernel).at(1).substr(0, 35), "warn net.ipv6.conf.all.forwarding: ");
}

TEST_F(Doctor, WantsNoStrictReversePathFilter) {
  const auto conf = [](const std::string& interface) { return "/proc/sys/net/ipv4/conf/" + interface + "/rp_filter"; };
  put(conf("all"), "0");
  put(conf("slf0"), "0");
  put(conf("slb0"), "2");
  EXPECT_EQ(look(examine_kernel), (Lines{"ok rp_filter, port front: 0 on slf0", "ok rp_filter, port back: 2 on slb0"}));
  put(conf("all"), "1");
  const Lines found = look(examine_kernel);
  EXPECT_TRUE(found.at(0).starts_with("warn rp_filter, port front: 1 (strict) on slf0: ")) << found[0];
  EXPECT_EQ(found.at(1), "ok rp_filter, port back: 2 on slb0");
  EXPECT_EQ(report_.findings()[0].advice, "sysctl net.ipv4.conf.slf0.rp_filter=2 (2 outweighs the 1 of \"all\")");
  put(conf("all"), "0");
  put(conf("slb0"), "1");
  EXPECT_TRUE(look(examine_kernel).at(1).starts_with("warn rp_filter, port back: 1 (strict) on slb0: "));
}

TEST_F(Doctor, CountsServersAgainstTheNeighbourTable) {
  const std::string neighbours = "/proc/sys/net/ipv4/neigh/default/";
  put(neighbours + "gc_thresh2", "512");
  put(neighbours + "gc_thresh3", "1024");
  EXPECT_EQ(look(examine_kernel), Lines{"ok neighbours, IPv4: room for 1024, 2 mail servers"});
  put(neighbours + "gc_thresh2", "2");
  EXPECT_EQ(look(examine_kernel),
            Lines{"warn neighbours, IPv4: 2 mail servers, and beyond 2 (gc_thresh2) the kernel forgets the oldest"});
  put(neighbours + "gc_thresh3", "2");
  EXPECT_EQ(look(examine_kernel),
            Lines{"fail neighbours, IPv4: 2 mail servers, and the kernel knows at most 2 (gc_thresh3)"});
}

TEST_F(Doctor, LooksForVipsAmongTheAddresses) {
  EXPECT_EQ(look(examine_vips), Lines{"ok VIPs: are all addresses of this machine"});  // nothing is told
  put("/proc/net/fib_trie", "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.25\n        /24 link UNICAST");
  EXPECT_EQ(look(examine_vips), Lines{"warn VIPs: no address of this machine: 192.0.2.25"});
  put("/proc/net/fib_trie", "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.25\n        /32 host LOCAL");
  EXPECT_EQ(look(examine_vips), Lines{"ok VIPs: are all addresses of this machine"});
  config_.services[0].vip = *config::IpAddress::parse("2001:db8::25");
  put("/proc/net/if_inet6", "20010db8000000000000000000000024 04 80 00 80     slf0");
  EXPECT_EQ(look(examine_vips), Lines{"warn VIPs: no address of this machine: 2001:db8::25"});
  put("/proc/net/if_inet6", "20010db8000000000000000000000025 04 80 00 80     slf0");
  EXPECT_EQ(look(examine_vips), Lines{"ok VIPs: are all addresses of this machine"});
  put("/proc/net/if_inet6", "");
  config_.announce.mode = config::AnnounceMode::kAddress;
  EXPECT_EQ(look(examine_vips), Lines{"ok VIPs: are put on the twins by control while they are in service"});
}

TEST_F(Doctor, HoldsOpenFilesAgainstTheChecks) {
  const auto limit = [](const std::string& hard) {
    return "Limit                     Soft Limit           Hard Limit           Units\nMax open files            512 "
           "                 " +
           hard + "                files";
  };
  put("/proc/self/limits", limit("514"));
  EXPECT_EQ(look(examine_limits).at(0), "ok open files: this shell may have 514, 514 are wanted");
  put("/proc/self/limits", limit("513"));
  EXPECT_EQ(look(examine_limits).at(0), "warn open files: this shell may have 513; with 2 checks it may take 514");
  put("/proc/self/limits", limit("2"));
  EXPECT_EQ(look(examine_limits).at(0), "fail open files: this shell may have 2, and checks alone take 2");
  start(50, "/usr/sbin/sluice-control --config /etc/sluice/edge1.cfg");
  put("/proc/50/limits", limit("unlimited"));
  EXPECT_TRUE(look(examine_limits).at(0).starts_with("ok open files: sluice-control (50) may have "));
}

TEST_F(Doctor, WantsRoomForWhatIsWrittenDown) {
  fs::create_directories(root_ + "/var/lib");
  EXPECT_EQ(look(examine_limits), Lines{"ok disk of the state: 1048576 MiB are free at /var/lib"});
  EXPECT_EQ(asked_, "/var/lib");
  free_bytes_ = 1023UL << 20;
  EXPECT_EQ(look(examine_limits), Lines{"warn disk of the state: 1023 MiB are free at /var/lib"});
  free_bytes_ = 63UL << 20;
  fs::create_directories(root_ + "/var/log/sluice");
  config_.records.to = "file:/var/log/sluice/sessions.jsonl";
  EXPECT_EQ(look(examine_limits), (Lines{"fail disk of the state: 63 MiB are free at /var/lib",
                                         "fail disk of the records: 63 MiB are free at /var/log/sluice"}));
}

TEST_F(Doctor, WantsAClockThatIsKeptRight) {
  EXPECT_EQ(look(examine_clock), Lines{"ok clock: is synchronised"});
  synchronised_ = false;
  EXPECT_TRUE(look(examine_clock).at(0).starts_with("warn clock: nobody keeps it right"));
}

TEST_F(Doctor, AsksControlForTheDataPlane) {
  EXPECT_TRUE(look(examine_control).at(0).starts_with("warn control: does not answer"));
  has_status_ = true;
  status_["dataplane"] = {{"connected", true}, {"reason", ""}};
  EXPECT_EQ(look(examine_control), Lines{"ok data plane: control is connected to it"});
  status_["dataplane"] = {{"connected", false}, {"reason", "no socket"}};
  EXPECT_EQ(look(examine_control), Lines{"fail data plane: control is not connected to it: no socket"});
}

TEST(Cpus, AreReadFromLists) {
  EXPECT_EQ(cpus_of("2-4,8"), (std::vector<unsigned>{2, 3, 4, 8}));
  for (const char* text : {"", "(null)", "1-", "x", "1,x", "0-4294967295"})
    EXPECT_EQ(cpus_of(text), std::vector<unsigned>{}) << text;
}

}  // namespace
}  // namespace sluice::ctl
