// SPDX-License-Identifier: Apache-2.0
//
// What is refused of ports: sizes beyond what a frame holds, addresses that are no station's, bonds.
#include "config/schema/devices.h"
#include "tests/config/cases.h"

namespace sluice::config {
namespace {

TEST(Rules, HoldPortsToWhatAFrameCanHold) {
  const Case cases[] = {
      {"ports",
       R"({ name = "a"; device = "net_tap0"; mtu = 9000; receive_descriptors = 4096; promiscuous = true; })",
       {}},
      {"ports",
       R"({ name = "a"; device = "net_tap0"; mtu = 1279; })",
       {"2: dataplane.ports[0].mtu: 1279 is out of range; allowed: 1280 to 16110 bytes"}},
      {"ports",
       R"({ name = "a"; device = "net_tap0"; transmit_descriptors = 32; })",
       {"2: dataplane.ports[0].transmit_descriptors: 32 is out of range; allowed: 64 to 32768"}},
      {"ports", R"({ name = "a"; device = "net_tap0"; flow_control = "both"; })", {}},
      {"ports",
       R"({ name = "a"; device = "net_tap0"; flow_control = "on"; })",
       {R"(2: dataplane.ports[0].flow_control: "on" is not one of its values; allowed...)"}},
  };
  expect_faults(cases);
}

TEST(Rules, MacAddressesAreThoseOfOneStation) {
  const Case cases[] = {
      {"ports", R"({ name = "a"; device = "net_tap0"; mac_addresses = ["00:00:5E:00:01:19"]; })", {}},
      {"ports",
       R"({ name = "a"; device = "net_tap0"; mac_addresses = ["00:00:5e:00:01"]; })",
       {R"(2: dataplane.ports[0].mac_addresses: "00:00:5e:00:01" is not six bytes in hexadecimal, with colons between them; allowed...)"}},
      {"ports",
       R"({ name = "a"; device = "net_tap0"; mac_addresses = ["01:00:5e:00:00:01"]; })",
       {R"(2: dataplane.ports[0].mac_addresses: "01:00:5e:00:00:01" is that of a group of stations; allowed...)"}},
      {"ports",
       R"({ name = "a"; device = "net_tap0"; mac_addresses = ["00:00:00:00:00:00"]; })",
       {R"(2: dataplane.ports[0].mac_addresses: "00:00:00:00:00:00" is nobody's; allowed...)"}},
  };
  expect_faults(cases);
}

TEST(Rules, BondsHaveMembersOfTheirOwn) {
  const Case cases[] = {
      {"ports", R"({ name = "a"; device = "bond"; bond = { members = ["0000:3b:00.0", "0000:3b:00.1"]; }; })", {}},
      {"ports",
       R"({ name = "a"; device = "bond"; bond = { mode = "lacp"; members = ["net_tap0", "net_tap1"]; }; })",
       {}},
      {"ports",
       R"({ name = "a"; device = "bond"; })",
       {R"(2: dataplane.ports[0].device: "bond" has no members; allowed: with `bond = { members = [...]; }` beside it)"}},
      {"ports",
       R"({ name = "a"; device = "net_tap0"; bond = { members = ["net_tap1"]; }; })",
       {R"(2: dataplane.ports[0].bond: has no effect beside device = "net_tap0"; allowed: with device = "bond")"}},
      {"ports",
       R"({ name = "a"; device = "bond"; bond = { mode = "lacp"; }; })",
       {"2: dataplane.ports[0].bond.members: is missing: the devices that DPDK opens; allowed..."}},
      {"ports",
       R"({ name = "a"; device = "bond"; bond = { members = []; }; })",
       {"2: dataplane.ports[0].bond.members: is empty; allowed: one to 8 devices"}},
      {"ports",
       R"({ name = "a"; device = "bond"; bond = { members = ["bond"]; }; })",
       {R"(2: dataplane.ports[0].bond.members: "bond" cannot be a member of a bond; allowed: devices)"}},
      {"ports",
       R"({ name = "a"; device = "bond"; bond = { members = ["net_tap0", "net_tap0,iface=x"]; }; })",
       {R"(2: dataplane.ports[0].bond.members: "net_tap0" is that of another port, on line 2; allowed: one of its own)"}},
      {"ports",
       R"({ name = "a"; device = "bond"; bond = { members = ["net_af_packet0,iface=e1"]; }; twin = "e1"; })",
       {R"(2: dataplane.ports[0].twin: "e1" is the interface of a device; allowed: a name that is not in use)"}},
      {"ports",
       R"({ name = "a"; device = "bond"; bond = { members = ["net_tap0"]; }; }, { name = "b"; device = "net_tap0"; })",
       {R"(2: dataplane.ports[1].device: "net_tap0" is that of another port, on line 2; allowed: one of its own)"}},
      {"ports",
       R"({ name = "a"; device = "bond"; bond = { mode = "802.3ad"; members = ["net_tap0"]; }; })",
       {R"(2: dataplane.ports[0].bond.mode: "802.3ad" is not one of its values; allowed...)"}},
  };
  expect_faults(cases);
}

TEST(Devices, AreToldApartByTheirStrings) {
  EXPECT_EQ(pci_address("3b:00.0"), "0000:3b:00.0");
  EXPECT_EQ(pci_address("0000:3b:00.1,representor=0"), "0000:3b:00.1");
  EXPECT_EQ(pci_address("net_af_xdp0,iface=a:b"), "");
  EXPECT_EQ(interface_of("net_af_xdp0,iface=eth1,queue_count=1"), "eth1");
  EXPECT_EQ(interface_of("0000:3b:00.0"), "");
  EXPECT_EQ(devices_of({.name = "a", .device = "3b:00.0"}), std::vector<std::string>{"3b:00.0"});
  const Port bond{.name = "a", .device = "bond", .bond = Bond{.members = {"3b:00.0", "3b:00.1"}}};
  EXPECT_EQ(devices_of(bond), (std::vector<std::string>{"3b:00.0", "3b:00.1"}));
}

}  // namespace
}  // namespace sluice::config
