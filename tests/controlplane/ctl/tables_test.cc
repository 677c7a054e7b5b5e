// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/tables.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controlplane/ctl/screen.h"

namespace sluice::ctl {
namespace {

using nlohmann::json;

const Look kPlain{"2026-12-01T08:00:42.000Z", false};

json backend(const std::string& name, json factors) {
  return {{"pool", "mta"},
          {"name", name},
          {"address", "2001:db8:1111:2222:3333:4444:5555:6666"},
          {"port", 10025},
          {"check", ""},
          {"state", "up"},
          {"reason", "healthy"},
          {"since", "2026-12-01T08:00:00.000Z"},
          {"weight",
           {{"configured", 100},
            {"by_hand", nullptr},
            {"effective", 50},
            {"share", 0.25},
            {"factors", std::move(factors)}}},
          {"figures", nullptr},
          {"rates", nullptr}};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

TEST(Tables, HaveAColumnForEveryWeightFactorWhateverItsName) {
  const json backends{backend("a", {{{"name", "slow_start"}, {"value", 0.5}, {"reason", "30 s of 60"}}}),
                      backend("b", {{{"name", "slow_start"}, {"value", 1}, {"reason", ""}},
                                    {{"name", "new"}, {"value", 0}, {"reason", ""}}})};
  const std::vector<std::string> lines = lines_of(backends_table(backends, kPlain));
  ASSERT_EQ(lines.size(), 3u);
  const auto column = [&](const std::string& title, const std::string& line) {
    const size_t end = lines[0].find(title) + title.size();
    return line.substr(line.rfind(' ', end - 1) + 1, end - line.rfind(' ', end - 1) - 1);
  };
  EXPECT_EQ(column("SLOW_START", lines[1]), "0.5");
  EXPECT_EQ(column("SLOW_START", lines[2]), "1");
  EXPECT_EQ(column("NEW", lines[1]), "-");
  EXPECT_EQ(column("NEW", lines[2]), "0");
  EXPECT_EQ(column("EFFECTIVE", lines[1]), "50");
  EXPECT_NE(lines[1].find("[2001:db8:1111:2222:3333:4444:5555:6666]:10025  -"), std::string::npos) << lines[1];
  EXPECT_NE(lines[0].find("ADDRESS" + std::string(41, ' ') + "CHECK"), std::string::npos) << lines[0];
}

TEST(Tables, GiveTheReasonOfEachFactorAtACloserLook) {
  const json factors{{{"name", "passive"}, {"value", 0.25}, {"reason", "greets 10 times slower than its pool"}}};
  EXPECT_EQ(factors_table(factors, kPlain),
            "FACTOR   VALUE  REASON\n"
            "passive   0.25  greets 10 times slower than its pool\n");
  Look brief = kPlain;
  brief.brief = true;
  EXPECT_EQ(backends_table(json::array({backend("a", factors)}), brief).find("PASSIVE"), std::string::npos);
}

TEST(Tables, ShowAWeightSetByHandBesideTheConfiguredOne) {
  json one = backend("a", json::array());
  one["weight"]["by_hand"] = 7;
  EXPECT_NE(backends_table(json::array({one}), kPlain).find("100 (7 by hand)"), std::string::npos);
}

TEST(Tables, ShowPortsWithTheirLinkAndWhatTheirCardsLost) {
  const json counters{{"rx_packets", 1000}, {"rx_bytes", 64000}, {"tx_packets", 7}, {"tx_bytes", 448},
                      {"rx_missed", 40},    {"rx_errors", 0},    {"rx_no_mbuf", 2}, {"tx_errors", 0}};
  const json published{{"twin", "slb0"},
                       {"mac", "02:00:00:00:00:02"},
                       {"vlan", 7},
                       {"mtu", 1500},
                       {"driver", "net_ice"},
                       {"link_up", true},
                       {"speed_mbps", 25000},
                       {"duplex", "full"},
                       {"link_changes", 2},
                       {"counters", counters},
                       {"members", json::array()},
                       {"steering", {{"state", "misplaces"}, {"fault", "key"}, {"misplaced", 12}}}};
  const json ports{{{"name", "back"}, {"twin", "slb0"}, {"state", "up"}, {"reason", ""}, {"dataplane", published}},
                   {{"name", "dmz"},
                    {"twin", "sld0"},
                    {"state", "refused"},
                    {"reason", "no port of that name"},
                    {"dataplane", nullptr}}};
  const std::vector<std::string> lines = lines_of(ports_table(ports, kPlain));
  ASSERT_EQ(lines.size(), 3u);
  for (const char* word : {"back", "slb0", "up", "25000M", "02:00:00:00:00:02", "net_ice", "no: key", "42"})
    EXPECT_NE(lines[1].find(word), std::string::npos) << word << " in " << lines[1];
  EXPECT_NE(lines[2].find("refused"), std::string::npos) << lines[2];
  EXPECT_TRUE(lines[2].ends_with("no port of that name")) << lines[2];
  const std::vector<std::string> cards = lines_of(port_counters_table(ports, kPlain));
  ASSERT_EQ(cards.size(), 2u) << "one that the data plane has not has counted nothing";
  EXPECT_NE(cards[1].find("64000"), std::string::npos) << cards[1];
}

TEST(Tables, ShowTheMembersOfABond) {
  const json none{{{"name", "back"}, {"dataplane", {{"members", json::array()}}}},
                  {{"name", "dmz"}, {"dataplane", nullptr}}};
  EXPECT_EQ(port_members_table(none, kPlain), "");
  const json members{{{"device", "0000:3b:00.0"}, {"link_up", false}, {"carries", false}},
                     {{"device", "0000:3b:00.1"}, {"link_up", true}, {"carries", true}}};
  const json bond{{{"name", "front"}, {"dataplane", {{"members", members}}}}};
  EXPECT_EQ(port_members_table(bond, kPlain),
            "BOND OF  MEMBER        LINK  CARRIES\n"
            "front    0000:3b:00.0  down  no\n"
            "front    0000:3b:00.1  up    yes\n");
}

TEST(Tables, RefuseAnotherForm) {
  EXPECT_THROW(backends_table(json::array({{{"name", "a"}}}), kPlain), json::exception);
  EXPECT_THROW(services_table(json::array({1}), kPlain), json::exception);
  EXPECT_THROW(events_table(json::array({{{"time", 5}}}), kPlain), json::exception);
  EXPECT_THROW(observation_table({{"greetings", "many"}}, kPlain), json::exception);
}

TEST(Tables, KeepControlCharactersFromTheTerminal) {
  const json events{{{"time", "t"}, {"severity", "info"}, {"kind", "k"}, {"subject", "s"}, {"text", "x\x1b[2J"}}};
  EXPECT_EQ(events_table(events, kPlain).find('\x1b'), std::string::npos);
}

TEST(Tables, ListWhatWasSeenOfSmtpWithoutTheZeros) {
  const json time{{"count", 5}, {"p50_ms", 3.25}, {"p95_ms", 12345}, {"p99_ms", nullptr}};
  const std::string text = observation_table(
      {{"greetings", {{"2xx", 5}, {"4xx", 0}}}, {"refusals", {{"4xx", {{"rcpt", 2}}}}}, {"greeting_time", time}},
      kPlain);
  EXPECT_NE(text.find("greetings 2xx"), std::string::npos) << text;
  EXPECT_EQ(text.find("greetings 4xx"), std::string::npos) << text;
  EXPECT_NE(text.find("refusals 4xx rcpt"), std::string::npos) << text;
  EXPECT_NE(text.find("greeting_time      5  3.25  12.3k    -"), std::string::npos) << text;
  EXPECT_EQ(observation_table(nullptr, kPlain), "");
}

TEST(ShortNumber, HasThreeFiguresAndAUnit) {
  const std::vector<std::pair<json, std::string>> cases{{0, "0"},      {0.25, "0.25"},  {12.5, "12.5"}, {999, "999"},
                                                        {999.6, "1k"}, {1234, "1.23k"}, {1e6, "1M"},    {1.5e9, "1.5G"},
                                                        {2e12, "2T"},  {nullptr, "-"}};
  for (const auto& [number, expected] : cases) EXPECT_EQ(short_number(number), expected);
}

TEST(CutTo, KeepsWhatFits) {
  EXPECT_EQ(cut_to("abc\ndef\nghi\n", 2, 10), "abc\r\ndef");
  EXPECT_EQ(cut_to("abc", 1, 3), "abc");
  EXPECT_EQ(cut_to("abcd", 1, 3), "abc\x1b[0m");
  EXPECT_EQ(cut_to("\x1b[32mabcd\x1b[0m", 1, 4), "\x1b[32mabcd\x1b[0m") << "colours take no room";
  EXPECT_EQ(cut_to("\xc3\xa9\xc3\xa9\xc3\xa9", 1, 2), "\xc3\xa9\xc3\xa9\x1b[0m") << "characters, not bytes";
  EXPECT_EQ(cut_to("\x1b[3", 1, 5), "\x1b[3") << "a sequence without an end";
  EXPECT_EQ(cut_to("abc", 0, 5), "");
}

}  // namespace
}  // namespace sluice::ctl
