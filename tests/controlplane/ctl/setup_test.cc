// SPDX-License-Identifier: Apache-2.0
//
// What `sluicectl setup` writes.
#include "tests/controlplane/ctl/setup_fixture.h"

namespace sluice::ctl {
namespace {

TEST_F(Setup, WritesWhatTheDoctorMisses) {
  const Plan planned = plan();
  EXPECT_EQ(written().size(), 0U) << "a plan writes nothing";
  EXPECT_EQ(planned.to_apply, (Words{"update-grub", "reboot"}));

  apply();
  const auto files = written();
  ASSERT_EQ(files.size(), 4U);
  EXPECT_EQ(below_first_line(files.at(kSysctl)),
            "-net/ipv4/conf/slf0/rp_filter = 2\nnet.ipv4.ip_forward = 1\nnet.ipv4.neigh.default.gc_thresh2 = 516\n"
            "net.ipv4.neigh.default.gc_thresh3 = 1032\nvm.nr_hugepages = 576\n");
  EXPECT_EQ(below_first_line(files.at(kModules)), "vfio-pci\n");
  EXPECT_EQ(below_first_line(files.at(kDataplane)),
            "[Service]\nExecStartPre=+" + std::string(kBindCard) + " 0000:3b:00.0 vfio-pci\n");
  EXPECT_EQ(below_first_line(files.at(kGrub)),
            "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX intel_iommu=on\"\nGRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX "
            "iommu=pt\"\nGRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX isolcpus=2,3\"\nGRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_"
            "LINUX nohz_full=2,3\"\nGRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX rcu_nocbs=2,3\"\n");
  for (const auto& [path, text] : files) {
    EXPECT_TRUE(text.starts_with("# Of sluicectl setup, instance edge1, ")) << text;
    EXPECT_EQ(fs::status(root_ + path).permissions(), static_cast<fs::perms>(0644)) << path;
  }
}

TEST_F(Setup, WritesTheSameTwiceAndNothingWhereAllIsWell) {
  apply();
  const auto files = written();
  EXPECT_FALSE(apply().changes_anything());
  follow();
  const Plan later = apply();
  EXPECT_FALSE(later.changes_anything()) << "what is well because of it stays";
  EXPECT_EQ(later.to_apply, Words{});
  EXPECT_EQ(written(), files);
}

TEST_F(Setup, KeepsACardThatWasBoundByHand) {
  follow();
  apply();
  EXPECT_EQ(below_first_line(read(kDataplane)),
            "[Service]\nExecStartPre=+" + std::string(kBindCard) + " 0000:3b:00.0 vfio-pci\n");
  EXPECT_TRUE(written().contains(kModules));
}

TEST_F(Setup, WritesByWhatACardIsKnownAndKeepsItWhileDpdkHasTheCard) {
  const std::string line = "[Service]\nExecStartPre=+" + std::string(kBindCard) + " 0000:3b:00.0 vfio-pci 8086:10fb";
  const std::string interface = kCard + "/net/eth2";
  put(kCard + "/vendor", "0x8086");
  put(kCard + "/device", "0x10fb");
  put(interface + "/address", "3c:fd:fe:00:00:01");
  put(interface + "/addr_assign_type", "1");
  apply();
  EXPECT_EQ(below_first_line(read(kDataplane)), line + "\n")
      << "a MAC that was drawn at random is another one next time";
  put(interface + "/addr_assign_type", "0");
  apply();
  EXPECT_EQ(below_first_line(read(kDataplane)), line + " 3c:fd:fe:00:00:01\n");
  follow();
  fs::remove_all(root_ + kCard + "/net");
  EXPECT_FALSE(apply().changes_anything()) << "DPDK has the card, and its MAC is not told";
  link(kCard + "/driver", "../../../bus/pci/drivers/ixgbe");
  put(interface + "/address", "3c:fd:fe:00:00:02");
  put(interface + "/addr_assign_type", "0");
  apply();
  EXPECT_EQ(below_first_line(read(kDataplane)), line + " 3c:fd:fe:00:00:02\n") << "another card that is wanted there";
}

TEST_F(Setup, KeepsWhatWasSetByHandUnlessAFileDoes) {
  follow();
  put("/proc/sys/net/ipv4/conf/slf0/rp_filter", "2");
  put("/proc/sys/net/ipv4/conf/default/rp_filter", "1");
  put("/proc/sys/net/ipv4/conf/slb0/rp_filter", "1");
  put("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
  apply();
  EXPECT_EQ(below_first_line(read(kSysctl)),
            "-net/ipv4/conf/slb0/rp_filter = 2\n-net/ipv4/conf/slf0/rp_filter = 2\nnet.ipv4.ip_forward = 1\n"
            "vm.nr_hugepages = 576\n");
  undo();
  put("/usr/lib/sysctl.d/50-operator.conf", "# net.ipv4.ip_forward = 1\n-net/ipv4/ip_forward=1\n");
  put("/etc/sysctl.conf", "net.ipv4.conf.slf0.rp_filter = 2");
  put("/proc/cmdline", "quiet hugepages=600");
  apply();
  EXPECT_EQ(below_first_line(read(kSysctl)), "-net/ipv4/conf/slb0/rp_filter = 2\n") << "of the others there are files";
  put("/etc/sysctl.d/50-operator.conf", "net.ipv4.ip_forward = 0");
  apply();
  EXPECT_NE(read(kSysctl).find("net.ipv4.ip_forward = 1\n"), std::string::npos) << "/etc has it instead of /usr/lib";
}

TEST_F(Setup, DoesNotLowerItsPagesWhenTheKernelFoundFewer) {
  apply();
  follow();
  put(kPages + "nr_hugepages", "570");
  put(kPages + "free_hugepages", "570");
  EXPECT_FALSE(plan().changes_anything());
}

TEST_F(Setup, KeepsRoomForManyNeighbours) {
  const auto remedies = [&] {
    const Machine machine = this->machine();
    Report report;
    examine_kernel({config_, machine, ""}, report);
    return report.findings().back().remedies;
  };
  put("/proc/sys/net/ipv4/neigh/default/gc_thresh2", "2048");
  put("/proc/sys/net/ipv4/neigh/default/gc_thresh3", "4096");
  EXPECT_EQ(remedies(), Remedies{}) << "the kernel has room for two servers as it comes";
  config::Backend server = config_.pools[0].backends[0];
  for (int i = 0; i < 600; i++) {
    server.address = *config::IpAddress::parse("10.1." + std::to_string(i / 200) + "." + std::to_string(i % 200));
    config_.pools[0].backends.push_back(server);
  }
  EXPECT_EQ(remedies(), (Remedies{{Remedy::Kind::kSysctl, "net.ipv4.neigh.default.gc_thresh2", "2048"},
                                  {Remedy::Kind::kSysctl, "net.ipv4.neigh.default.gc_thresh3", "4096"}}));
}

TEST_F(Setup, TakesTheLargerCountOfTwoInstances) {
  const std::string theirs = "/etc/sysctl.d/60-sluice-edge2.conf";
  put(theirs, own_text("edge2", "net.ipv4.neigh.default.gc_thresh2 = 600\nvm.nr_hugepages = 2000\n"));
  start(60, "/usr/sbin/sluice-dataplane --config /etc/sluice/edge2.cfg");
  const Plan both = apply();
  EXPECT_NE(read(kSysctl).find("vm.nr_hugepages = 2000\n"), std::string::npos) << read(kSysctl);
  EXPECT_NE(read(kSysctl).find("gc_thresh2 = 600\n"), std::string::npos) << read(kSysctl);
  EXPECT_NE(read(kSysctl).find("gc_thresh3 = 1032\n"), std::string::npos) << read(kSysctl);
  EXPECT_FALSE(std::ranges::count(topics(both.by_hand), "vm.nr_hugepages"));
  put(theirs, own_text("edge2", "vm.nr_hugepages = 100\n"));
  Plan smaller = plan();
  EXPECT_EQ(std::ranges::count(topics(smaller.by_hand), "vm.nr_hugepages"), 1) << "theirs is read later, and outweighs";
  fs::remove_all(root_ + "/proc/60");
  put(theirs, own_text("edge2", "vm.nr_hugepages = 2000\n"));
  smaller = plan();
  const auto found = std::ranges::find(smaller.by_hand, "vm.nr_hugepages", &Finding::topic);
  ASSERT_NE(found, smaller.by_hand.end());
  EXPECT_NE(found->advice.find("does not run"), std::string::npos) << "its pages count as free: " << found->advice;
}

TEST_F(Setup, LeavesAWordOfTheCommandLineThatIsThereWithAnotherValue) {
  put("/proc/cmdline", "BOOT_IMAGE=/vmlinuz isolcpus=2 iommu=pt");
  put("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"nohz_full=1\"");
  const Plan planned = apply();
  EXPECT_EQ(read(kGrub).find("isolcpus"), std::string::npos);
  EXPECT_EQ(read(kGrub).find("nohz_full"), std::string::npos);
  EXPECT_NE(read(kGrub).find("rcu_nocbs=2,3"), std::string::npos);
  const auto by_hand = topics(planned.by_hand);
  EXPECT_EQ(std::ranges::count(by_hand, "isolcpus"), 1);
  EXPECT_EQ(std::ranges::count(by_hand, "nohz_full"), 1);
  put("/etc/default/grub.d/60-sluice-edge2.cfg",
      own_text("edge2", "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX rcu_nocbs=4,5\"\n"));
  EXPECT_EQ(std::ranges::count(topics(plan().by_hand), "rcu_nocbs"), 1) << "of another instance";
}

TEST_F(Setup, ChangesItsOwnWordOfTheCommandLine) {
  apply();
  put("/proc/cmdline", "intel_iommu=on iommu=pt isolcpus=2,3 nohz_full=2,3 rcu_nocbs=2,3");
  put("/sys/devices/system/cpu/isolated", "2-3");
  put("/sys/devices/system/cpu/online", "0-7");
  config_.dataplane.lcores = "4-5";
  apply();
  EXPECT_NE(read(kGrub).find(" isolcpus=4,5\""), std::string::npos) << read(kGrub);
}

TEST_F(Setup, NamesItsCommandsAgainUntilTheyAreFollowed) {
  apply();
  const Plan again = plan();
  EXPECT_FALSE(again.changes_anything());
  EXPECT_EQ(again.to_apply, (Words{"update-grub", "reboot"}));
  follow();
  put("/proc/sys/net/ipv4/ip_forward", "0");
  EXPECT_EQ(plan().to_apply, Words{std::string("sysctl -p ") + kSysctl});
}

TEST_F(Setup, KnowsTheNamesThatCanBeLeftOut) {
  apply();
  follow();
  const Machine machine = this->machine();
  const Patient patient{config_, machine, "/etc/sluice/edge1.cfg"};
  const Report report = look_at(patient);
  Words known;
  EXPECT_EQ(unknown_names(patient, report,
                          {"net/ipv4/ip_forward", "isolcpus", "net.ipv4.conf.slf0.rp_filter", "isolcpu", ""}, known),
            (Words{"isolcpu", ""}));
  EXPECT_EQ(known,
            (Words{"0000:3b:00.0", "intel_iommu", "iommu", "isolcpus", "net.ipv4.conf.slf0.rp_filter",
                   "net.ipv4.ip_forward", "net.ipv4.neigh.default.gc_thresh2", "net.ipv4.neigh.default.gc_thresh3",
                   "nohz_full", "rcu_nocbs", "vfio-pci", "vm.nr_hugepages"}));
  const Plan less = plan_of(patient, report, {"net/ipv4/ip_forward", "net.ipv4.conf.slf0.rp_filter"});
  ASSERT_TRUE(carry_out(less, root_));
  EXPECT_EQ(read(kSysctl).find("ip_forward"), std::string::npos) << read(kSysctl);
  EXPECT_EQ(read(kSysctl).find("rp_filter"), std::string::npos) << read(kSysctl);
}

TEST_F(Setup, TellsWhatNoFileCanDo) {
  put("/sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "powersave");
  synchronised_ = false;
  EXPECT_EQ(topics(plan().by_hand),
            (Words{"CPU frequency", "link, port front", "link, port back", "clock", "control"}));
  fs::remove(root_ + "/etc/default/grub");
  const Plan without_grub = apply();
  EXPECT_EQ(topics(without_grub.by_hand), (Words{"card, port front", "cores", "CPU frequency", "link, port front",
                                                 "link, port back", "clock", "control"}));
  EXPECT_FALSE(written().contains(kGrub));
  EXPECT_TRUE(written().contains(kDataplane));
}

TEST_F(Setup, ChangesALineThatIsSaidOtherwiseNow) {
  apply();
  follow();
  put("/sys/devices/system/cpu/online", "0-7");
  config_.dataplane.lcores = "4-5";
  config_.dataplane.memory_mb = 4096;
  const Plan changed = apply();
  EXPECT_EQ(changed.to_apply, (Words{"update-grub", "reboot"}));
  const std::string grub = read(kGrub);
  EXPECT_NE(grub.find(" isolcpus=4,5\""), std::string::npos) << grub;
  EXPECT_EQ(grub.find("2,3"), std::string::npos) << grub;
  EXPECT_NE(grub.find(" iommu=pt\""), std::string::npos) << "the others stay: " << grub;
  EXPECT_NE(read(kSysctl).find("vm.nr_hugepages = 2112\n"), std::string::npos) << read(kSysctl);
}

TEST_F(Setup, LetsGoOfACardThatIsNoLongerInTheConfiguration) {
  apply();
  follow();
  config_.dataplane.ports[0].device = "0000:3b:00.1";
  link("/sys/bus/pci/devices/0000:3b:00.1/driver", "../../../bus/pci/drivers/ixgbe");
  put("/sys/kernel/iommu_groups/8/devices/0000:3b:00.1", "");
  link("/sys/bus/pci/devices/0000:3b:00.1/iommu_group", root_ + "/sys/kernel/iommu_groups/8");
  const Plan other = apply();
  EXPECT_EQ(other.to_apply, Words{"systemctl daemon-reload && systemctl restart sluice-dataplane@edge1"});
  EXPECT_EQ(below_first_line(read(kDataplane)),
            "[Service]\nExecStartPre=+" + std::string(kBindCard) + " 0000:3b:00.1 vfio-pci\n");
  config_.dataplane.ports[0].device = "net_af_packet0,iface=eth1";
  apply();
  EXPECT_EQ(read(kDataplane), "");
}

TEST_F(Setup, KeepsTheBindingOfACardThatIsAbsent) {
  apply();
  fs::remove_all(root_ + kCard);
  EXPECT_FALSE(plan().changes_anything());
}

TEST_F(Setup, GivesControlMoreFiles) {
  start(50, "/usr/sbin/sluice-control --config /etc/sluice/edge1.cfg");
  put("/proc/50/limits", "Max open files            100                  100                  files");
  apply();
  EXPECT_EQ(below_first_line(read(kControl)), "[Service]\nLimitNOFILE=1028\n");
}

}  // namespace
}  // namespace sluice::ctl
