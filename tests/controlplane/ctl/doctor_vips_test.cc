// SPDX-License-Identifier: Apache-2.0
//
// The VIPs on mail servers behind dsr and tunnels: each finding on a machine, and before servers, that are made up for
// it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/doctor/examinations.h"
#include "tests/controlplane/ctl/made_up_machine.h"
#include "tests/support/ip.h"

namespace sluice::ctl {
namespace {

using What = SynAnswer::What;

constexpr const char* kMac1 = "02:00:00:00:01:10";

class DoctorVips : public MadeUpMachine {
 protected:
  DoctorVips() {
    config_.services[0].forwarding = config::Forwarding::kDsr;
    put("/sys/class/net/slf0/address", "02:00:00:00:00:01");
    put("/sys/class/net/slb0/address", "02:00:00:00:00:02");
    own_addresses_ = {{"lo", ip("127.0.0.1"), 104},   {"slf0", ip("192.0.2.2"), 120}, {"slf0", ip("192.0.2.25"), 128},
                      {"slb0", ip("10.0.1.1"), 120},  {"slb0", ip("fd00:1::1"), 64},  {"slb0", ip("fe80::2"), 64},
                      {"slf0", ip("2001:db8::2"), 64}};
    add_backend("mta1", "10.0.1.10", kMac1);
  }

  void add_backend(const char* name, const char* address, const char* mac, const char* health = "up") {
    status_["backends"].push_back({{"pool", "mta"},
                                   {"name", name},
                                   {"address", address},
                                   {"port", 25},
                                   {"health", health},
                                   {"next_hop", {{"mac", mac}, {"port", "back"}, {"vlan", 0}}}});
  }
  Lines look(bool with_status = true) {
    const Machine machine = this->machine();
    report_ = {};
    asked_links_.clear();
    syns_.clear();
    examine_server_vips({config_, machine, "/etc/sluice/edge1.cfg", with_status ? &status_ : nullptr}, report_);
    return lines_of(report_);
  }
  void answer(What what) { syn_answers_["10.0.1.10 192.0.2.25:25"] = {what, "slb0"}; }

  nlohmann::json status_{{"backends", nlohmann::json::array()}};
  Report report_;
  const std::string silent_ = "ok VIPs on links: nobody else answers for them on slf0, slb0";
  const std::string there_ = "ok VIPs on mail servers: answer at 1 mail servers' ports";
};

TEST_F(DoctorVips, AsksNobodyWhereServersHaveNoVips) {
  for (const auto forwarding : {config::Forwarding::kNat, config::Forwarding::kFullnat}) {
    config_.services[0].forwarding = forwarding;
    EXPECT_EQ(look(), Lines{});
    EXPECT_EQ(asked_links_, Lines{});
  }
}

TEST_F(DoctorVips, FindsAllWell) {
  answer(What::kOpen);
  EXPECT_EQ(look(), (Lines{silent_, there_}));
  EXPECT_EQ(asked_links_, (Lines{"slf0 192.0.2.25", "slb0 192.0.2.25"}));
  ASSERT_EQ(syns_.size(), 1U);
  EXPECT_EQ(syns_[0].twin, "slb0");
  EXPECT_EQ(syns_[0].mac, kMac1);
  EXPECT_EQ(syns_[0].source, ip("10.0.1.1"));
  EXPECT_EQ(syns_[0].hops, 1) << "who does not have the VIP must not send it to us";
}

TEST_F(DoctorVips, NamesTheServerThatAnswersArpForAVip) {
  answer(What::kOpen);
  claims_["slb0 192.0.2.25"] = {kMac1};
  EXPECT_EQ(look(), (Lines{"fail VIP 192.0.2.25 on slb0: mta/mta1 (02:00:00:00:01:10) answers ARP for it: packets of "
                           "clients may go there, past the balancer",
                           there_}));
  EXPECT_NE(report_.findings()[0].advice.find("arp_ignore=1 net.ipv4.conf.all.arp_announce=2"), std::string::npos);
}

TEST_F(DoctorVips, NamesTheServerThatAnswersNeighbourDiscoveryForAVip) {
  config_.services[0].vip = ip("2001:db8::25");
  own_addresses_.push_back({"slf0", ip("2001:db8::25"), 128});
  claims_["slb0 2001:db8::25"] = {kMac1};
  syn_answers_["10.0.1.10 [2001:db8::25]:25"] = {What::kOpen, "slb0"};
  EXPECT_EQ(look().at(0),
            "fail VIP 2001:db8::25 on slb0: mta/mta1 (02:00:00:00:01:10) answers neighbour discovery for it: packets "
            "of clients may go there, past the balancer");
  EXPECT_EQ(syns_.at(0).source, ip("fd00:1::1")) << "no VIP, and none of the link alone";
}

TEST_F(DoctorVips, SaysOnWhichLinkItHasNoAddressToAskFrom) {
  config_.services[0].vip = ip("2001:db8::25");
  std::erase_if(own_addresses_, [](const OwnAddress& own) { return own.interface == "slf0"; });
  EXPECT_EQ(look().at(0), "warn VIPs on slf0: it has no IPv6 address from which those of IPv6 could be asked for");
  EXPECT_EQ(asked_links_, Lines{"slb0 2001:db8::25"});
}

TEST_F(DoctorVips, DoesNotTakeThisMachineForTheThief) {
  answer(What::kOpen);
  claims_["slb0 192.0.2.25"] = {"02:00:00:00:00:01"};  // both twins are on one link
  EXPECT_EQ(look(), (Lines{silent_, there_}));
}

TEST_F(DoctorVips, WarnsOfAStrangerThatHasAVipOfOurs) {
  answer(What::kOpen);
  claims_["slf0 192.0.2.25"] = {"02:00:00:00:00:77"};
  const std::string found =
      " VIP 192.0.2.25 on slf0: 02:00:00:00:00:77, which is no mail server that we know by it, answers ARP for it, too";
  EXPECT_EQ(look().at(0), "warn" + found);
  config_.announce.mode = config::AnnounceMode::kAddress;
  EXPECT_EQ(look().at(0), "fail" + found) << "no two nodes may have it";
  std::erase_if(own_addresses_, [](const OwnAddress& own) { return own.address == ip("192.0.2.25"); });
  EXPECT_EQ(look().at(0), silent_) << "another node has it now";
}

TEST_F(DoctorVips, FindsServersWithoutTheVip) {
  EXPECT_EQ(look(), (Lines{silent_,
                           "fail VIP 192.0.2.25 on mta/mta1: it is well at 10.0.1.10, where checks go, and does "
                           "not answer for 192.0.2.25:25 by dsr"}));
  EXPECT_NE(report_.findings()[1].advice.find("ip address add 192.0.2.25/32 dev mailvip"), std::string::npos);
  config_.services[0].forwarding = config::Forwarding::kGue;
  EXPECT_TRUE(look().at(1).ends_with("by gue"));
  EXPECT_NE(report_.findings()[1].advice.find("a device that unpacks gue"), std::string::npos);
}

TEST_F(DoctorVips, FindsServersThatListenOnTheirOwnAddressAlone) {
  answer(What::kRefused);
  EXPECT_EQ(look().at(1),
            "fail VIP 192.0.2.25 on mta/mta1: it is well at 10.0.1.10, where checks go, and refuses "
            "connections to 192.0.2.25:25 by dsr");
}

TEST_F(DoctorVips, SendsNothingToServersThatAreDownOrHaveNoWay) {
  status_["backends"].clear();
  add_backend("mta1", "10.0.1.10", kMac1, "down");
  add_backend("mta2", "10.0.1.11", "02:00:00:00:01:11");
  status_["backends"][1]["next_hop"] = nullptr;
  EXPECT_EQ(look(), Lines{silent_});
  EXPECT_EQ(look(false), Lines{silent_}) << "control does not answer";
}

TEST_F(DoctorVips, AsksEachServersPortOnceAndNotAllOfThousands) {
  config_.services.push_back(config_.services[0]);
  for (int i = 0; i < 300; i++)
    add_backend("more", ("10.0." + std::to_string(2 + i / 200) + "." + std::to_string(1 + i % 200)).c_str(), kMac1);
  look();
  EXPECT_EQ(syns_.size(), 256U);
  for (const SynProbe& probe : syns_) syn_answers_[probe.server.to_string() + " 192.0.2.25:25"].what = What::kOpen;
  EXPECT_EQ(look().at(1), "ok VIPs on mail servers: answer at 256 mail servers' ports (256 of 301 were asked)");
}

TEST_F(DoctorVips, SaysThatItMayNotAsk) {
  no_probes_ = "a packet socket: Operation not permitted";
  EXPECT_EQ(look(), (Lines{"warn VIPs on links: nobody could be asked: " + no_probes_,
                           "warn VIPs on mail servers: nobody could be asked: " + no_probes_}));
}

}  // namespace
}  // namespace sluice::ctl
