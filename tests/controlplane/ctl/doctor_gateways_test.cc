// SPDX-License-Identifier: Apache-2.0
//
// Whether mail servers' answers come back through us: as sessions tell, and as servers tell that are asked.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/doctor/examinations.h"
#include "tests/controlplane/ctl/made_up_machine.h"
#include "tests/support/ip.h"

namespace sluice::ctl {
namespace {

using What = SynAnswer::What;

class DoctorGateways : public MadeUpMachine {
 protected:
  DoctorGateways() {
    for (const char* twin : {"slf0", "slb0"}) put(std::string("/sys/class/net/") + twin + "/flags", "0x1003");
    own_addresses_ = {{"slf0", ip("192.0.2.25"), 128},
                      {"slf0", ip("fe80::2"), 64},
                      {"slf0", ip("192.0.2.2"), 120},
                      {"slb0", ip("10.0.1.1"), 120},
                      {"eth9", ip("203.0.113.9"), 120}};
  }

  void put_backend(uint64_t created, uint64_t established, const char* health = "up") {
    status_["backends"] = {{{"pool", "mta"},
                            {"name", "mta1"},
                            {"address", "10.0.1.10"},
                            {"port", 25},
                            {"health", health},
                            {"next_hop", {{"mac", "02:00:00:00:01:10"}, {"port", "back"}, {"vlan", 0}}},
                            {"figures", {{"flows_created", created}, {"flows_established", established}}}}};
  }
  Lines look(void (*examination)(const Patient&, Report&)) {
    const Machine machine = this->machine();
    Report report;
    syns_.clear();
    examination({config_, machine, "/etc/sluice/edge1.cfg", &status_, recent_}, report);
    return lines_of(report);
  }
  void answer(What what, const char* twin) { syn_answers_["10.0.1.10 10.0.1.10:25"] = {what, twin}; }

  nlohmann::json status_;
  std::map<std::string, RecentFlows> recent_;
};

TEST_F(DoctorGateways, AreKnownBySessions) {
  put_backend(19, 0);
  EXPECT_EQ(look(examine_gateways), Lines{});
  put_backend(20, 0, "down");
  EXPECT_EQ(look(examine_gateways), Lines{});
  put_backend(20, 1);
  EXPECT_EQ(look(examine_gateways), Lines{"ok gateways: answers of 1 mail servers' ports come back through us"});
  put_backend(20, 0);
  EXPECT_EQ(look(examine_gateways),
            Lines{"fail gateway of mta/mta1: it answers checks, and of 20 connections to 10.0.1.10 port 25 not one "
                  "answer came back through us"});
  config_.services[0].forwarding = config::Forwarding::kDsr;
  EXPECT_EQ(look(examine_gateways), Lines{});
}

TEST_F(DoctorGateways, AreKnownByTheNewestSessionsBeforeAll) {
  put_backend(5000, 4000);
  recent_["mta/mta1:25"] = {.created = 30, .established = 0};
  EXPECT_EQ(look(examine_gateways),
            Lines{"fail gateway of mta/mta1: it answers checks, and of the last 30 connections to 10.0.1.10 port 25 "
                  "not one answer came back through us"});
  recent_["mta/mta1:25"] = {.created = 30, .established = 29};
  put_backend(5000, 0);
  EXPECT_TRUE(look(examine_gateways).at(0).starts_with("ok gateways")) << "it was wrong, and is right now";
}

TEST_F(DoctorGateways, OfServersWithoutSessionsAreAskedFor) {
  put_backend(0, 0);
  answer(What::kOpen, "slb0");
  EXPECT_EQ(look(ask_gateways),
            Lines{"ok gateways, asked: answers of 1 mail servers to 192.0.2.2 come back through us"});
  ASSERT_EQ(syns_.size(), 1U);
  EXPECT_EQ(syns_[0].twin, "slb0");
  EXPECT_EQ(syns_[0].source, ip("192.0.2.2")) << "of the other twin, no VIP, and not of the server's network";
  EXPECT_EQ(syns_[0].forwarding, config::Forwarding::kNat);
  answer(What::kRefused, "slb0");
  EXPECT_EQ(look(ask_gateways).at(0).substr(0, 3), "ok ") << "a refusal has a way back, too";
}

TEST_F(DoctorGateways, AreAnotherIfTheAnswerDoesNotComeBack) {
  put_backend(0, 0);
  EXPECT_EQ(look(ask_gateways),
            Lines{"fail gateway of mta/mta1: 10.0.1.10 port 25 answers checks, and no SYN from 192.0.2.2, which is not "
                  "of its network: it has no way back through us"});
  answer(What::kOpen, "slf0");
  EXPECT_EQ(look(ask_gateways), Lines{"fail gateway of mta/mta1: 10.0.1.10 port 25 answers a SYN from 192.0.2.2 by "
                                      "another way: it came back by slf0, not slb0"});
}

TEST_F(DoctorGateways, AreNotAskedForWhereSessionsTellOrNobodyNeedsThem) {
  put_backend(3, 1);
  EXPECT_EQ(look(ask_gateways), Lines{}) << "one that was answered is enough";
  put_backend(20, 0);
  EXPECT_EQ(look(ask_gateways), Lines{}) << "told already";
  put_backend(0, 0, "down");
  EXPECT_EQ(look(ask_gateways), Lines{});
  put_backend(0, 0);
  config_.services[0].forwarding = config::Forwarding::kFullnat;
  EXPECT_EQ(look(ask_gateways), Lines{});
  EXPECT_TRUE(syns_.empty());
}

TEST_F(DoctorGateways, AreNotAskedForWithoutAnAddressThatTakesOne) {
  put_backend(0, 0);
  std::erase_if(own_addresses_, [](const OwnAddress& own) { return own.address == ip("192.0.2.2"); });
  EXPECT_EQ(look(ask_gateways), Lines{});
  own_addresses_.push_back({"slf0", ip("10.0.1.2"), 120});
  EXPECT_EQ(look(ask_gateways), Lines{}) << "the server has it on its own network";
}

TEST_F(DoctorGateways, SayThatNobodyMayAsk) {
  put_backend(0, 0);
  no_probes_ = "a packet socket: Operation not permitted";
  EXPECT_EQ(look(ask_gateways), Lines{"warn gateways, asked: nobody could be asked: " + no_probes_});
}

}  // namespace
}  // namespace sluice::ctl
