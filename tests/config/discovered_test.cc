// SPDX-License-Identifier: Apache-2.0
//
// Members of pools that are told in JSON: the same settings and bounds as in the file; and pools that are completed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/config/cases.h"

namespace sluice::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

/// All that is wrong with a document called "d.json".
std::vector<std::string> faults_in(const std::string& text) {
  const auto read = read_backends("d.json", text);
  return read ? std::vector<std::string>{} : read.error();
}

std::vector<std::string> faults_of_backend(const std::string& settings) {
  return faults_in(R"({"backends": [{"name": "a", "address": "10.0.1.1")" + settings + "}]}");
}

TEST(Discovered, HasEverySettingOfABackend) {
  const auto read = read_backends("d.json", R"({"backends": [
    {"name": "mta7", "address": "10.0.1.17"},
    {"name": "mta8", "address": "2001:db8::18", "weight": 0, "port": 10025, "max_connections": 20000, "tier": 1,
     "agent": "10.0.1.18:9707", "warm_up": {"start": "2026-12-01", "table": [0.1, 0.5, 1]}}]})");
  ASSERT_TRUE(read) << read.error().front();
  ASSERT_EQ(read->size(), 2U);
  const Backend& plain = (*read)[0];
  EXPECT_EQ(plain.name, "mta7");
  EXPECT_EQ(plain.address, *IpAddress::parse("10.0.1.17"));
  EXPECT_EQ(plain.weight, Backend{}.weight);
  EXPECT_FALSE(plain.port || plain.warm_up || plain.agent);
  const Backend& full = (*read)[1];
  EXPECT_EQ(full.weight, 0U);
  EXPECT_EQ(full.port, 10025);
  EXPECT_EQ(full.max_connections, 20000U);
  EXPECT_EQ(full.tier, 1U);
  EXPECT_EQ(full.agent->to_string(), "10.0.1.18:9707");
  EXPECT_THAT(full.warm_up->table, ElementsAre(0.1, 0.5, 1));
}

TEST(Discovered, MayBeNobody) {
  const auto read = read_backends("d.json", R"({"backends": []})");
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->empty());
}

TEST(Discovered, TellsEveryFaultWithItsPlace) {
  EXPECT_THAT(faults_in(R"({"backends": [{"name": "a b", "address": "10.0.1.1"}, {"address": "300.0.0.1"}]})"),
              ElementsAre(StartsWith("d.json: backends[0].name: \"a b\""),
                          StartsWith("d.json: backends[1].address: \"300.0.0.1\""),
                          StartsWith("d.json: backends[1].name: is missing")));
  EXPECT_THAT(faults_of_backend(R"(, "weight": 65536)"),
              ElementsAre("d.json: backends[0].weight: 65536 is out of range; allowed: 0 to 65535"));
  EXPECT_THAT(faults_of_backend(R"(, "weight": "5")"), ElementsAre(HasSubstr("must be an integer, not a string")));
  EXPECT_THAT(faults_of_backend(R"(, "wieght": 5)"), ElementsAre(HasSubstr("unknown setting")));
  EXPECT_THAT(faults_of_backend(R"(, "weight": 99999999999999999999)"), ElementsAre(HasSubstr("must be an integer")));
}

TEST(Discovered, RefusesWhatIsNoDocument) {
  EXPECT_THAT(faults_in(""), ElementsAre(StartsWith("d.json: is no JSON")));
  EXPECT_THAT(faults_in(R"({"backends": [)"), ElementsAre(StartsWith("d.json: is no JSON")));
  EXPECT_THAT(faults_in("[]"), ElementsAre("d.json: is no JSON object"));
  EXPECT_THAT(faults_in("{}"), ElementsAre(StartsWith("d.json: backends: is missing")));
  EXPECT_THAT(faults_in(R"({"backends": {}})"), ElementsAre(HasSubstr("must be a list of groups, not a group")));
  EXPECT_THAT(faults_in(R"({"backends": [], "more": 1})"), ElementsAre(StartsWith("d.json: more: unknown setting")));
  EXPECT_THAT(faults_in(R"({"backends": [], "backends": []})"),
              ElementsAre("d.json: \"backends\" stands twice in one object"));
  EXPECT_THAT(faults_in(R"({"backends": [7]})"), ElementsAre(HasSubstr("must be a group, not an integer")));
  EXPECT_THAT(faults_of_backend(R"(, "port": null)"), ElementsAre("d.json: port null; allowed: leave it out"));
  EXPECT_THAT(faults_of_backend(R"(, "weight": 1e999)"), ElementsAre("d.json: has a number that is too large"));
  EXPECT_THAT(faults_of_backend(R"(, "weight*": 1)"), ElementsAre(HasSubstr("no name of a setting")));
  EXPECT_THAT(faults_of_backend(R"(, "": 1)"), ElementsAre(HasSubstr("no name of a setting")));
  EXPECT_THAT(faults_of_backend(R"(, "agent": "a\u0000b")"), ElementsAre(HasSubstr("a string with a NUL")));
  EXPECT_THAT(faults_in(std::string(100'000, '[')),
              ElementsAre(testing::AnyOf(HasSubstr("no JSON"), HasSubstr("deep"))));
  std::string deep = R"({"backends": )";
  for (int i = 0; i < 1000; i++) deep += R"({"a": )";
  EXPECT_THAT(faults_in(deep), ElementsAre(testing::AnyOf(HasSubstr("no JSON"), HasSubstr("deep"))));
}

TEST(Discovered, ShowsNoBytesToATerminal) {
  for (const char* settings : {R"(, "agent": "\u001b[2J")", R"(, "\u001b[2J": 1)"}) {
    const auto faults = faults_of_backend(settings);
    ASSERT_EQ(faults.size(), 1U) << settings;
    EXPECT_EQ(faults[0].find('\x1b'), std::string::npos) << faults[0];
  }
}

TEST(Discovered, MayBeAllThatAPoolHas) {
  const std::string none = R"(dataplane: { ports = ( { name = "a"; device = "net_null0"; } ); };
    pools = ( { name = "mta"; min_healthy = 2; discover = { file = "/etc/sluice/mta.json"; }; } );
    services = ( { name = "relay"; vip = "192.0.2.25"; pool = "mta"; } );)";
  const auto loaded = read_config_text("a.cfg", none);
  ASSERT_TRUE(loaded) << loaded.error().front().to_string();
  EXPECT_EQ(loaded->config.pools[0].discover->file, "/etc/sluice/mta.json");
  EXPECT_THAT(loaded->findings.warnings(), testing::IsEmpty());
  for (const char* wrong : {"discover = { };", "discover = { file = \"\"; };", "discover = { file = \"a.json\"; };",
                            "discover = { etcd = false; };", "discover = { etcd = true; dns = \"a.example\"; };",
                            "discover = { etcd = true; };"}) {
    const auto text = R"(dataplane: { ports = ( { name = "a"; device = "net_null0"; } ); };
      pools = ( { name = "mta"; )" +
                      std::string(wrong) + R"( } );
      services = ( { name = "relay"; vip = "192.0.2.25"; pool = "mta"; } );)";
    EXPECT_FALSE(load_text("a.cfg", text)) << wrong;
  }
}

TEST(Discovered, MayComeFromTheFleetsStore) {
  const auto loaded = read_config_text("a.cfg", R"(dataplane: { ports = ( { name = "a"; device = "net_null0"; } ); };
    pools = ( { name = "mta"; discover = { etcd = true; }; } );
    services = ( { name = "relay"; vip = "192.0.2.25"; pool = "mta"; } );
    fleet: { etcd = { endpoints = ["https://10.9.0.9:2379", "https://etcd2.example.net"]; prefix = "/sluice/mx"; }; };)");
  ASSERT_TRUE(loaded) << loaded.error().front().to_string();
  EXPECT_TRUE(loaded->config.pools[0].discover->etcd);
  EXPECT_EQ(loaded->config.fleet.etcd->endpoints.size(), 2U);
  EXPECT_EQ(loaded->config.fleet.etcd->prefix, "/sluice/mx");
  EXPECT_THAT(loaded->findings.warnings(), testing::IsEmpty());
}

// Every rule is asked again when a configuration is completed, and none may look at what only a file has.
TEST(Discovered, WhatWasReadIsRightWithoutItsFileToo) {
  for (const char* example : {"edge.cfg", "lab.cfg", "minimal.cfg"}) {
    const auto config = load(std::string(SLUICE_SOURCE_ROOT) + "/config/examples/" + example);
    ASSERT_TRUE(config) << example;
    EXPECT_THAT(faults_of(*config), testing::IsEmpty()) << example;
  }
}

TEST(Discovered, RulesHoldForThoseThatCameLater) {
  auto config = load(std::string(SLUICE_SOURCE_ROOT) + "/config/examples/minimal.cfg");
  ASSERT_TRUE(config);
  Backend late;
  late.name = "late";
  late.address = config->services.front().vip;
  config->pools.front().backends.push_back(late);
  const size_t place = config->pools.front().backends.size() - 1;
  EXPECT_THAT(faults_of(*config),
              ElementsAre(AllOf(StartsWith("pools[0].backends[" + std::to_string(place) + "].address: "),
                                HasSubstr("is the VIP of a service, on services[0].vip"))));
}

}  // namespace
}  // namespace sluice::config
