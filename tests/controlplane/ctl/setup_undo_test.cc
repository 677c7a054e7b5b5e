// SPDX-License-Identifier: Apache-2.0
//
// What `sluicectl setup` leaves alone, and that all that it wrote goes again.
#include "tests/controlplane/ctl/setup_fixture.h"

namespace sluice::ctl {
namespace {

TEST_F(Setup, LeavesOutWhatIsNotWanted) {
  apply();
  const Machine machine = this->machine();
  const Patient patient{config_, machine, "/etc/sluice/edge1.cfg"};
  const Plan less =
      plan_of(patient, look_at(patient), {"net.ipv4.ip_forward", "nohz_full", "0000:3b:00.0", "vfio", ""});
  ASSERT_TRUE(carry_out(less, root_));
  EXPECT_EQ(topics(less.by_hand).at(0), "card, port front");
  EXPECT_EQ(topics(less.by_hand).at(1), "cores");
  EXPECT_EQ(read(kSysctl).find("ip_forward"), std::string::npos);
  EXPECT_NE(read(kSysctl).find("gc_thresh3 = 1032"), std::string::npos);
  EXPECT_EQ(read(kGrub).find("nohz_full"), std::string::npos);
  EXPECT_EQ(read(kDataplane), "");
  EXPECT_EQ(below_first_line(read(kModules)), "vfio-pci\n") << "names are whole";
}

TEST_F(Setup, NeverTouchesWhatIsOfOthers) {
  put(kSysctl, "net.ipv4.ip_forward = 0");
  const Plan refused = plan();
  EXPECT_EQ(refused.foreign(), Words{kSysctl});
  undo();
  EXPECT_EQ(read(kSysctl), "net.ipv4.ip_forward = 0\n");
  fs::remove(root_ + kSysctl);

  apply();
  put(kModules, below_first_line(read(kModules)) + "vfio");
  put(kDataplane, read(kDataplane) + "Nice=5");
  link(kGrub, root_ + "/etc/default/elsewhere");
  EXPECT_EQ(plan().foreign(), (Words{kModules, kDataplane, kGrub}));
  const auto before = written();
  EXPECT_EQ(undo().foreign(), (Words{kModules, kDataplane, kGrub}));
  auto after = before;
  EXPECT_EQ(after.erase(kSysctl), 1U);
  EXPECT_EQ(written(), after);
  EXPECT_TRUE(fs::is_symlink(root_ + kGrub));
}

TEST_F(Setup, DoesNotTakeAnotherInstancesFileForItsOwn) {
  put(kModules, own_text("edge2", "vfio-pci\n"));
  EXPECT_EQ(find_own(machine(), kModules, "edge1").owner, Owner::kOthers);
  EXPECT_EQ(find_own(machine(), kModules, "edge2").owner, Owner::kSetup);
  EXPECT_EQ(find_own(machine(), kSysctl, "edge2").owner, Owner::kNobody);
  for (const char* text :
       {"", "# Of sluicectl setup", "\n\n", "# Of sluicectl setup, instance edge1, 0: x\nvfio-pci"}) {
    put(kModules, text);
    EXPECT_EQ(find_own(machine(), kModules, "edge1").owner, Owner::kOthers) << text;
  }
}

TEST_F(Setup, IsUndoneWhole) {
  put("/etc/sysctl.d/10-operator.conf", "vm.swappiness = 1");
  const auto before = written();
  apply();
  const Plan undone = undo();
  EXPECT_EQ(undone.to_apply, (Words{"update-grub", "reboot"}));
  EXPECT_EQ(written(), before);
  EXPECT_FALSE(fs::exists(fs::path(root_ + kDataplane).parent_path())) << "an empty directory of drop-ins";
  EXPECT_FALSE(undo().changes_anything());
}

TEST_F(Setup, LeavesADirectoryOfDropInsThatOthersUse) {
  apply();
  const std::string theirs = fs::path(kDataplane).parent_path().string() + "/af_xdp.conf";
  put(theirs, "[Service]");
  undo();
  EXPECT_EQ(read(theirs), "[Service]\n");
}

TEST_F(Setup, TellsWhichFileCannotBeWritten) {
  const Plan planned = plan();
  put("/etc/sysctl.d", "a file where a directory should be");
  const auto done = carry_out(planned, root_);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().find("/etc/sysctl.d"), std::string::npos) << done.error();
}

}  // namespace
}  // namespace sluice::ctl
