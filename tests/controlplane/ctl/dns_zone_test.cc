// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/dns_zone.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr int64_t kNow = 1795276800;  // 2026-11-21T16:00:00Z

json service(const std::string& name, const std::string& vip, unsigned port, bool in_service = true) {
  return {{"name", name},
          {"vip", vip},
          {"port", port},
          {"state", in_service ? "in service" : "out of service"},
          {"reason", in_service ? "3 of 3 backends" : "0 of 3 backends are up, at least 1 is needed"}};
}

json status(std::vector<json> services, bool connected = true) {
  return {{"time", "2026-11-21T16:00:00.123Z"},
          {"dataplane", {{"connected", connected}}},
          {"services", std::move(services)}};
}

DnsSite site(const json& from, const std::string& name = "", uint16_t weight = 0) {
  auto out = read_site(from);
  EXPECT_TRUE(out);
  out->name = name;
  out->weight = weight;
  return *out;
}

DnsPlan plan() {
  return {.name = "mail.example.net", .ttl_s = 30, .now_s = kNow};
}

TEST(DnsZone, HasAnAddressForEveryVipInService) {
  const auto text =
      write_zone(plan(), {site(status({service("relay", "192.0.2.25", 25), service("relay6", "2001:DB8::25", 25)}))});
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "mail.example.net. 30 IN A 192.0.2.25\nmail.example.net. 30 IN AAAA 2001:db8::25\n");
}

TEST(DnsZone, KeepsAVipWhoseControlHasJustBegun) {
  json starting = service("relay", "192.0.2.25", 25);
  starting["state"] = "starting";
  starting["reason"] = "not started yet";
  EXPECT_THAT(*write_zone(plan(), {site(status({starting}))}), HasSubstr("A 192.0.2.25"));
}

TEST(DnsZone, LeavesOutAVipWithAServiceThatIsOut) {
  const json from = status({service("relay", "192.0.2.25", 25), service("submission", "192.0.2.25", 587, false),
                            service("other", "192.0.2.26", 25)});
  auto text = write_zone(plan(), {site(from)});
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("; left out 192.0.2.25: submission:587: 0 of 3 backends"));
  EXPECT_THAT(*text, Not(HasSubstr("A 192.0.2.25")));
  EXPECT_THAT(*text, HasSubstr("A 192.0.2.26"));
  DnsPlan relay = plan();
  relay.port = 25;
  text = write_zone(relay, {site(from)});
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("A 192.0.2.25"));
}

TEST(DnsZone, WritesNoZoneWithoutAnAddress) {
  for (const json& from : {status({}), status({service("relay", "192.0.2.25", 25, false)}),
                           status({service("relay", "192.0.2.25", 25)}, false)}) {
    SCOPED_TRACE(from.dump());
    for (const bool nsupdate : {false, true}) {
      DnsPlan wanted = plan();
      wanted.nsupdate = nsupdate;
      const auto text = write_zone(wanted, {site(from)});
      ASSERT_FALSE(text);
      EXPECT_THAT(text.error(), HasSubstr("no VIP is in service"));
    }
  }
}

TEST(DnsZone, ReplacesTheNamesAddressesInOneUpdate) {
  DnsPlan wanted = plan();
  wanted.nsupdate = true;
  const auto text = write_zone(wanted, {site(status({service("relay", "192.0.2.25", 25)}))});
  ASSERT_TRUE(text);
  EXPECT_EQ(*text,
            "update delete mail.example.net. A\nupdate delete mail.example.net. AAAA\n"
            "update add mail.example.net. 30 A 192.0.2.25\nsend\n");
}

TEST(DnsZone, GivesSitesWeightsInSrvRecordsAlone) {
  const auto text = write_zone(
      plan(),
      {site(status({service("relay", "192.0.2.25", 25), service("submission", "192.0.2.25", 587)}), "north", 70),
       site(status({service("relay", "198.51.100.25", 25), service("submissions", "198.51.100.25", 465)}), "south",
            30)});
  ASSERT_TRUE(text);
  EXPECT_EQ(*text,
            "_submission._tcp.mail.example.net. 30 IN SRV 0 70 587 north.mail.example.net.\n"
            "_submissions._tcp.mail.example.net. 30 IN SRV 0 30 465 south.mail.example.net.\n"
            "mail.example.net. 30 IN A 192.0.2.25\nmail.example.net. 30 IN A 198.51.100.25\n"
            "north.mail.example.net. 30 IN A 192.0.2.25\nsouth.mail.example.net. 30 IN A 198.51.100.25\n");
}

TEST(DnsZone, NamesAnAnycastAddressOnce) {
  const json same = status({service("relay", "192.0.2.25", 25)});
  const auto text = write_zone(plan(), {site(same, "north", 1), site(same, "south", 1)});
  ASSERT_TRUE(text);
  EXPECT_EQ(text->find("\nmail.example.net. 30 IN A "), text->rfind("\nmail.example.net. 30 IN A "));
}

TEST(DnsZone, LeavesOutSitesThatAreOldAwayOrUnwanted) {
  const json good = status({service("relay", "192.0.2.25", 25)});
  json old = status({service("relay", "192.0.2.26", 25)});
  old["time"] = "2026-11-21T15:50:00Z";
  const auto text = write_zone(plan(), {site(good, "good", 1), site(old, "old", 1),
                                        site(status({service("relay", "192.0.2.27", 25)}, false), "away", 1),
                                        site(status({service("relay", "192.0.2.28", 25)}), "zero", 0)});
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("; left out old: what it said is 600 s old, allowed are 300"));
  EXPECT_THAT(*text, HasSubstr("; left out away: its control process has no data plane"));
  EXPECT_THAT(*text, HasSubstr("; left out zero: its weight is 0"));
  for (const char* address : {"192.0.2.26", "192.0.2.27", "192.0.2.28"}) EXPECT_THAT(*text, Not(HasSubstr(address)));
}

TEST(DnsZone, TakesASitesOldRecordsAwayWithIt) {
  DnsPlan wanted = plan();
  wanted.nsupdate = true;
  const auto text = write_zone(wanted, {site(status({service("relay", "192.0.2.25", 25)}), "good", 1),
                                        site(status({service("relay", "192.0.2.26", 25, false)}), "bad", 1)});
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr("update delete bad.mail.example.net. A\n"));
  EXPECT_THAT(*text, HasSubstr("update delete _submission._tcp.mail.example.net. SRV\n"));
  EXPECT_THAT(*text, Not(HasSubstr("update add bad")));
}

TEST(DnsZone, KeepsCommentsOnTheirLine) {
  json from = status({service("relay", "192.0.2.25", 25), service("evil", "192.0.2.26", 25, false)});
  from["services"][1]["reason"] = "x\nmail.example.net. 30 IN A 203.0.113.1";
  const auto text = write_zone(plan(), {site(from)});
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, Not(HasSubstr("\nmail.example.net. 30 IN A 203.0.113.1")));
}

TEST(DnsZone, RefusesWhatIsNoStatus) {
  json no_address = status({service("relay", "elsewhere", 25)});
  json no_time = status({});
  no_time.erase("time");
  for (const json& from :
       {json(), json::array(), json{{"time", 3}}, no_address, no_time, status({json{{"vip", "192.0.2.25"}}})}) {
    SCOPED_TRACE(from.dump());
    const auto found = read_site(from);
    ASSERT_FALSE(found);
    EXPECT_THAT(found.error(), HasSubstr("sluicectl status --json"));
  }
}

}  // namespace
}  // namespace sluice::ctl
