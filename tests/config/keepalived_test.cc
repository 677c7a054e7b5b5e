// SPDX-License-Identifier: Apache-2.0
//
// The import of keepalived.conf.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <utility>

#include "config/keepalived/import.h"
#include "tests/config/imported.h"

namespace sluice::config::keepalived {
namespace {

using testing::Contains;
using testing::HasSubstr;

/// One over NAT from 192.0.2.25:25 to 10.0.1.10, in which `settings` stand.
std::string virtual_server(const std::string& settings) {
  return fmt::format(
      "virtual_server 192.0.2.25 25 {{\n lb_kind NAT\n protocol TCP\n {}\n real_server 10.0.1.10 25 {{\n }}\n}}\n",
      settings);
}

/// The configuration that `text` becomes. Fails the test if it becomes none.
Config converted(const std::string& text) {
  return imports::config_of(import("keepalived.conf", text));
}

std::vector<std::string> remarks_of(const std::string& text) {
  return imports::lines_of(import("f", text), "f");
}

/// That of a file that keepalived itself takes (tests/e2e/import_test.py).
Config converted_file(const std::string& name) {
  return converted(imports::read_text(SLUICE_SOURCE_ROOT "/tests/config/keepalived/" + name));
}

TEST(KeepalivedImport, ConvertsAsItDid) {
  for (const char* name : {"relay.conf", "direct.conf"}) imports::expect_golden("keepalived", name, import);
}

TEST(KeepalivedImport, TakesTheSchedulerThatIsMostLikeIpvs) {
  const std::pair<Scheduler, HashOn> wanted[] = {
      {Scheduler::kLeastConn, HashOn::kConnection},  // none: wlc
      {Scheduler::kWrr, HashOn::kConnection},        // rr
      {Scheduler::kWrr, HashOn::kConnection},        // wrr, by its other keyword
      {Scheduler::kLeastConn, HashOn::kConnection},  // lc
      {Scheduler::kLeastConn, HashOn::kConnection},  // sed
      {Scheduler::kLeastConn, HashOn::kConnection},  // lblcr
      {Scheduler::kMaglev, HashOn::kClient},         // sh
      {Scheduler::kMaglev, HashOn::kConnection},     // mh with mh-port
      {Scheduler::kMaglev, HashOn::kClient},         // wrr with persistence
      {Scheduler::kMaglev, HashOn::kClientPrefix},   // and its granularity
  };
  const Config config = converted_file("schedulers.conf");
  ASSERT_EQ(config.services.size(), std::size(wanted));
  for (size_t i = 0; i < std::size(wanted); i++) {
    SCOPED_TRACE(config.services[i].name);
    EXPECT_EQ(config.services[i].scheduler, wanted[i].first);
    EXPECT_EQ(config.services[i].hash_on, wanted[i].second);
  }
}

TEST(KeepalivedImport, WeighsServersAsItsSchedulerDoes) {
  const Config config = converted_file("weights.conf");
  const auto weights = [&](size_t pool) {
    std::vector<uint32_t> out;
    for (const Backend& backend : config.pools.at(pool).backends) out.push_back(backend.weight);
    return out;
  };
  EXPECT_EQ(weights(0), (std::vector<uint32_t>{3, 1})) << "wrr: who has none has 1";
  EXPECT_EQ(weights(1), (std::vector<uint32_t>{100, 100})) << "rr knows none";
  EXPECT_EQ(weights(2), (std::vector<uint32_t>{0, 1})) << "but 0";
  EXPECT_EQ(config.pools.at(3).backends.at(0).tier, 0U) << "fo";
  EXPECT_EQ(config.pools.at(3).backends.at(1).tier, 1U);
}

TEST(KeepalivedImport, TakesChecksWithTheirTimes) {
  const Config config = converted_file("checks.conf");
  ASSERT_EQ(config.checks.size(), 2U) << "the third has none";
  EXPECT_EQ(config.checks[0].type, CheckType::kEhlo);
  EXPECT_EQ(config.checks[0].helo, "me.example");
  EXPECT_EQ(config.checks[0].interval, std::chrono::seconds(10));
  EXPECT_EQ(config.checks[0].fast_interval, std::chrono::seconds(1));
  EXPECT_EQ(config.checks[0].connect_timeout, std::chrono::milliseconds(2500));
  EXPECT_EQ(config.checks[0].fall, 4U) << "the first failure, and three more";
  EXPECT_EQ(config.checks[1].type, CheckType::kTcp);
  EXPECT_EQ(config.checks[1].port, 2525);
  EXPECT_EQ(config.checks[1].interval, std::chrono::seconds(7));
  EXPECT_EQ(config.checks[1].fall, 2U);
  EXPECT_THAT(remarks_of(virtual_server("")), Contains(HasSubstr("no server is checked")));
}

TEST(KeepalivedImport, TakesTheWayOfAnswersFromItsKind) {
  const Config config = converted_file("direct.conf");
  ASSERT_EQ(config.services.size(), 2U);
  EXPECT_EQ(config.services[0].forwarding, Forwarding::kDsr);
  EXPECT_EQ(config.services[1].forwarding, Forwarding::kIpip);
}

TEST(KeepalivedImport, ReadsBracesAndQuotesWhereverTheyStand) {
  const Config config = converted_file("braces.conf");
  ASSERT_EQ(config.services.size(), 1U);
  EXPECT_EQ(config.checks.at(0).helo, "me.example");
}

TEST(KeepalivedImport, SaysWhatItDoesNotKnow) {
  struct {
    const char* text;
    const char* remark;
  } const cases[] = {
      {"include /etc/keepalived/*.conf\n", "f:1: warning: the files of \"/etc/keepalived/*.conf\" are not read"},
      {"$VIP=192.0.2.25\n", "f:1: warning: \"$VIP=192.0.2.25\" is not known"},
      {"@lb1 virtual_server 192.0.2.26 25 {\n}\n", "f:1: warning: \"@lb1\" holds for some hosts"},
      {"virtual_server 192.0.2.26 0 {\n}\n", "f:1: left out: \"0\" is no port"},
      {"virtual_server mail.example 25 {\n}\n", "f:1: left out: \"mail.example\" is no address"},
      {"virtual_server group mx {\n}\n", "f:1: left out: there is no virtual_server_group \"mx\""},
      {"virtual_server 192.0.2.26 25 {\n}\n", "f:1: left out: virtual_server without a real_server"},
      {"virtual_server 192.0.2.26 25 {\n}\n", "f:1: warning: no protocol: keepalived takes UDP then"},
      {"virtual_server 192.0.2.26 25 {\n wonder 1\n", "f:2: left out: wonder: not known"},
      {"virtual_server 192.0.2.26 25 {\n", "f:1: warning: its brace does not close"},
      {"}\n", "f:1: left out: a brace closes that nothing has opened"},
      {"{\n}\n", "f:1: left out: a brace opens behind nothing"},
      {"a \"b\n", "f:1: left out: a quote does not close"},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.text);
    const std::string text = virtual_server("") + "\n";
    EXPECT_THAT(remarks_of(each.text + text), Contains(HasSubstr(each.remark)));
    EXPECT_EQ(import("f", each.text).text, "");
  }
}

TEST(KeepalivedImport, FailsInWords) {
  EXPECT_EQ(import("f", "").failure,
            "nothing to convert: no virtual_server over TCP leads to a server that can be converted");
  const std::string own = "virtual_server 192.0.2.25 25 {\n lb_kind NAT\n real_server 192.0.2.25 25 {\n }\n}\n";
  EXPECT_THAT(import("f", own).failure, HasSubstr("the result would be refused"));
  std::string deep;
  for (int i = 0; i < 100'000; i++) deep += "a {\n";
  EXPECT_THAT(remarks_of(deep), Contains(HasSubstr("more blocks within blocks")));
}

}  // namespace
}  // namespace sluice::config::keepalived
