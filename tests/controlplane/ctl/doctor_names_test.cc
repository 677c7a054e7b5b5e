// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/doctor/examinations.h"
#include "tests/controlplane/ctl/made_up_machine.h"

namespace sluice::ctl {
namespace {

constexpr const char* kDiscovers = R"(instance = "edge1";
dataplane: { ports = ( { name = "wire"; device = "0000:3b:00.0"; } ); };
pools = ( { name = "mta"; discover: { dns = "mta.example"; }; } );
services = ( { name = "relay"; vip = "192.0.2.25"; pool = "mta"; } );
)";

class DoctorNames : public MadeUpMachine {
 protected:
  DoctorNames() { put("/etc/resolv.conf", "# ours\nsearch example\nnameserver 10.0.0.53\nnameserver 10.0.0.54"); }

  Lines look() {
    const Machine machine = this->machine();
    Report report;
    examine_names({config_, machine, "/etc/sluice/edge1.cfg", nullptr}, report);
    return lines_of(report);
  }
  static constexpr DnsSaid::What kRecords = DnsSaid::What::kRecords;
};

TEST_F(DoctorNames, SaysNothingWhereNoNameIsLookedUp) {
  EXPECT_EQ(look(), Lines{});
  EXPECT_TRUE(asked_names_.empty());
}

TEST_F(DoctorNames, LooksUpTheNamesOfPools) {
  take(kDiscovers);
  dns_["10.0.0.53"]["A mta.example"] = {kRecords, ""};
  EXPECT_EQ(look(), (Lines{"ok resolvers: 1 answer", "ok names: the DNS has records of 1"}));
  EXPECT_EQ(asked_names_, Lines{"10.0.0.53 A mta.example"});
}

TEST_F(DoctorNames, TellsWhichNameTheDnsDoesNotKnow) {
  take(kDiscovers);
  dns_["10.0.0.53"] = {};
  EXPECT_EQ(look(), (Lines{"fail name mta.example: the DNS has no A record of it (pools.mta.discover)",
                           "ok resolvers: 1 answer"}));
}

TEST_F(DoctorNames, TellsWhatResolversSayInsteadOfAnAnswer) {
  take(kDiscovers);
  for (const char* server : {"10.0.0.53", "10.0.0.54"})
    dns_[server]["A mta.example"] = {DnsSaid::What::kFault, "SERVFAIL"};
  EXPECT_EQ(look(), (Lines{"fail name mta.example: the resolvers answer SERVFAIL (pools.mta.discover)",
                           "ok resolvers: 2 answer"}));
}

TEST_F(DoctorNames, TellsWhichResolversAreSilent) {
  take(kDiscovers);
  dns_["10.0.0.54"]["A mta.example"] = {kRecords, ""};
  EXPECT_EQ(look(), (Lines{"warn resolver 10.0.0.53:53: does not answer, others do", "ok resolvers: 1 answer",
                           "ok names: the DNS has records of 1"}));
  dns_.clear();
  EXPECT_EQ(look(),
            (Lines{"fail resolver 10.0.0.53:53: does not answer", "fail resolver 10.0.0.54:53: does not answer"}));
}

TEST_F(DoctorNames, AsksAResolverOfALinkOnThatLink) {
  take(kDiscovers);
  put("/etc/resolv.conf", "nameserver fe80::1%eth0\nnameserver fe80::1%eth1");
  dns_["fe80::1%eth1"]["A mta.example"] = {kRecords, ""};
  EXPECT_EQ(look(), (Lines{"warn resolver [fe80::1%eth0]:53: does not answer, others do", "ok resolvers: 1 answer",
                           "ok names: the DNS has records of 1"}));
}

TEST_F(DoctorNames, WantsAResolvConfThatNamesSomebody) {
  take(kDiscovers);
  put("/etc/resolv.conf", "search example");
  EXPECT_EQ(look(), Lines{"fail resolv.conf: /etc/resolv.conf names no resolver, and names are to be looked up"});
  std::filesystem::remove(root_ + "/etc/resolv.conf");
  EXPECT_EQ(look(),
            Lines{"fail resolv.conf: there is no /etc/resolv.conf that can be read, and names are to be looked up"});
}

TEST_F(DoctorNames, AsksTheServersThatAPoolNamesAndNotThoseOfTheMachine) {
  std::string text = kDiscovers;
  text.insert(text.find("dns ="), "servers = [ \"10.9.9.9:5353\" ]; ");
  take(text);
  std::filesystem::remove(root_ + "/etc/resolv.conf");
  dns_["10.9.9.9"]["A mta.example"] = {kRecords, ""};
  EXPECT_EQ(look(), (Lines{"ok resolvers: 1 answer", "ok names: the DNS has records of 1"}));
}

TEST_F(DoctorNames, LooksUpEtcdsEndpointsUnlessTheMachineKnowsThem) {
  config_.fleet.etcd = config::Etcd{.endpoints = {"https://etcd1.example:2379", "https://10.9.0.9:2379",
                                                  "https://[fd00::9]:2379", "https://etcd2.example:2379"}};
  put("/etc/hosts", "127.0.0.1 localhost\n10.9.0.8  etcd2 etcd2.example # by hand");
  dns_["10.0.0.53"]["AAAA etcd1.example"] = {kRecords, ""};
  EXPECT_EQ(look(), (Lines{"ok resolvers: 1 answer", "ok names: the DNS has records of 1"}));
  EXPECT_EQ(asked_names_, (Lines{"10.0.0.53 A etcd1.example", "10.0.0.53 AAAA etcd1.example"}));
}

TEST_F(DoctorNames, LooksForWhatADomainIsToPublish) {
  config::Check check;
  check.name = "tls";
  check.server_name = "mx.example";
  check.mail_domain = "example";
  check.tlsa = check.mta_sts = true;
  config_.checks = {check};
  config_.pools[0].check = "tls";
  dns_["10.0.0.53"]["A mx.example"] = {kRecords, ""};
  dns_["10.0.0.53"]["MX example"] = {kRecords, ""};
  EXPECT_EQ(look(), (Lines{"warn name _mta-sts.example: the DNS has no TXT record of it (checks.tls.mta_sts)",
                           "warn name _25._tcp.mx.example: the DNS has no TLSA record of it (checks.tls.tlsa)",
                           "ok resolvers: 1 answer", "ok names: the DNS has records of 2"}));
}

}  // namespace
}  // namespace sluice::ctl
