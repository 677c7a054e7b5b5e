// SPDX-License-Identifier: Apache-2.0
//
// The import of keepalived.conf.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/keepalived/import.h"
#include "tests/config/imported.h"

namespace sluice::config::keepalived {
namespace {

using testing::Contains;
using testing::HasSubstr;

/// One over NAT from 192.0.2.25:25 to 10.0.1.10 and 10.0.1.11; `settings` stand in it, `of_server` in its first server.
std::string virtual_server(const std::string& settings, const std::string& of_server = "") {
  return fmt::format(
      "virtual_server 192.0.2.25 25 {{\n lb_kind NAT\n protocol TCP\n {}\n real_server 10.0.1.10 25 {{\n {}\n }}\n "
      "real_server "
      "10.0.1.11 25 {{\n }}\n}}\n",
      settings, of_server);
}

/// The configuration that `text` becomes. Fails the test if it becomes none.
Config converted(const std::string& text) {
  return imports::config_of(import("keepalived.conf", text));
}

std::vector<std::string> remarks_of(const std::string& text) {
  return imports::lines_of(import("f", text), "f");
}

TEST(KeepalivedImport, ConvertsAsItDid) {
  imports::expect_golden("keepalived", "relay.conf", import);
}

TEST(KeepalivedImport, TakesTheSchedulerThatIsMostLikeIpvs) {
  struct {
    const char* settings;
    Scheduler scheduler;
    HashOn hash_on;
  } const cases[] = {
      {"", Scheduler::kLeastConn, HashOn::kConnection},
      {"lb_algo rr", Scheduler::kWrr, HashOn::kConnection},
      {"lvs_sched wrr", Scheduler::kWrr, HashOn::kConnection},
      {"lb_algo lc", Scheduler::kLeastConn, HashOn::kConnection},
      {"lb_algo sed", Scheduler::kLeastConn, HashOn::kConnection},
      {"lb_algo lblcr", Scheduler::kLeastConn, HashOn::kConnection},
      {"lb_algo sh", Scheduler::kMaglev, HashOn::kClient},
      {"lb_algo mh\n mh-port", Scheduler::kMaglev, HashOn::kConnection},
      {"lb_algo wrr\n persistence_timeout", Scheduler::kMaglev, HashOn::kClient},
      {"lb_algo wlc\n persistence_timeout 50\n persistence_granularity 255.255.255.0", Scheduler::kMaglev,
       HashOn::kClientPrefix},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.settings);
    const Config config = converted(virtual_server(each.settings));
    ASSERT_EQ(config.services.size(), 1U);
    EXPECT_EQ(config.services[0].scheduler, each.scheduler);
    EXPECT_EQ(config.services[0].hash_on, each.hash_on);
  }
}

TEST(KeepalivedImport, WeighsServersAsItsSchedulerDoes) {
  const auto weights = [](const std::string& settings, const std::string& of_server) {
    std::vector<uint32_t> out;
    const Config config = converted(virtual_server(settings, of_server));
    for (const Backend& backend : config.pools.at(0).backends) out.push_back(backend.weight);
    return out;
  };
  EXPECT_EQ(weights("lb_algo wrr", "weight 3"), (std::vector<uint32_t>{3, 1})) << "who has none has 1";
  EXPECT_EQ(weights("lb_algo rr", "weight 3"), (std::vector<uint32_t>{100, 100})) << "rr knows none";
  EXPECT_EQ(weights("lb_algo rr", "weight 0"), (std::vector<uint32_t>{0, 1})) << "but that";
  const Config failover = converted(virtual_server("lb_algo fo", "weight 3"));
  EXPECT_EQ(failover.pools.at(0).backends.at(0).tier, 0U);
  EXPECT_EQ(failover.pools.at(0).backends.at(1).tier, 1U);
}

TEST(KeepalivedImport, TakesChecksWithTheirTimes) {
  Config config = converted(
      virtual_server("delay_loop 10", "SMTP_CHECK {\n connect_timeout 2.5\n retry 3\n helo_name me.example\n }"));
  ASSERT_EQ(config.checks.size(), 1U);
  EXPECT_EQ(config.checks[0].type, CheckType::kEhlo);
  EXPECT_EQ(config.checks[0].helo, "me.example");
  EXPECT_EQ(config.checks[0].interval, std::chrono::seconds(10));
  EXPECT_EQ(config.checks[0].fast_interval, std::chrono::seconds(1));
  EXPECT_EQ(config.checks[0].connect_timeout, std::chrono::milliseconds(2500));
  EXPECT_EQ(config.checks[0].fall, 4U) << "the first failure, and three more";
  config = converted(virtual_server("", "delay_loop 7\n TCP_CHECK {\n connect_port 2525\n }"));
  EXPECT_EQ(config.checks[0].type, CheckType::kTcp);
  EXPECT_EQ(config.checks[0].port, 2525);
  EXPECT_EQ(config.checks[0].interval, std::chrono::seconds(7));
  EXPECT_EQ(config.checks[0].fall, 2U);
  EXPECT_TRUE(converted(virtual_server("")).checks.empty());
  EXPECT_THAT(remarks_of(virtual_server("")), Contains(HasSubstr("no server is checked")));
}

TEST(KeepalivedImport, ReadsBracesAndQuotesWhereverTheyStand) {
  const Config config = converted(
      "virtual_server 192.0.2.25 25\n{ lb_kind NAT\n real_server 10.0.1.10 25 { weight 1 ! a remark\n"
      "SMTP_CHECK { helo_name \"me.example\" } } # another\n}");
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
