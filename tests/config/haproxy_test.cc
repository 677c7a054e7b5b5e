// SPDX-License-Identifier: Apache-2.0
//
// The import of haproxy.cfg.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "config/haproxy/import.h"
#include "config/load.h"
#include "tests/config/imported.h"
#include "tests/support/ip.h"
#include "tests/support/seed.h"

namespace sluice::config::haproxy {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

/// A file with one listen on `port`, whose further lines are `lines`.
std::string listen(unsigned port, const std::string& lines) {
  return fmt::format("defaults\n  mode tcp\nlisten in\n  bind 192.0.2.25:{}\n{}", port, lines);
}

/// The configuration that `text` becomes. Fails the test if it becomes none.
Config converted(const std::string& text, const Vips& vips = {}) {
  return imports::config_of(import("haproxy.cfg", text, vips));
}

std::vector<std::string> remarks_of(const std::string& text) {
  return imports::lines_of(import("f", text), "f");
}

class Golden : public testing::TestWithParam<const char*> {};

TEST_P(Golden, ConvertsAsItDid) {
  imports::expect_golden("haproxy", GetParam() + std::string(".cfg"),
                         [](const std::string& name, const std::string& text) { return import(name, text); });
}

INSTANTIATE_TEST_SUITE_P(HaproxyImport, Golden, testing::Values("relay", "frontends", "shares"));

TEST(HaproxyImport, TakesServersWithTheirWeightsLimitsAndPorts) {
  const Config config = converted(listen(25,
                                         "  balance leastconn\n"
                                         "  server a 10.0.1.10:25 weight 20 maxconn 300\n"
                                         "  server b 10.0.1.11:2525\n"));
  ASSERT_EQ(config.services.size(), 1U);
  EXPECT_EQ(config.services[0].vip.to_string(), "192.0.2.25");
  EXPECT_EQ(config.services[0].scheduler, Scheduler::kLeastConn);
  ASSERT_EQ(config.pools.size(), 1U);
  const auto& backends = config.pools[0].backends;
  ASSERT_EQ(backends.size(), 2U);
  EXPECT_EQ(backends[0].weight, 20U);
  EXPECT_EQ(backends[0].max_connections, 300U);
  EXPECT_EQ(backends[0].port, std::nullopt) << "the service's own port is not written";
  EXPECT_EQ(backends[1].weight, 1U) << "HAProxy's default, once another server has a weight";
  EXPECT_EQ(backends[1].port, 2525);
}

TEST(HaproxyImport, TakesTheSchedulerThatIsMostLikeHaproxys) {
  const std::pair<const char*, Scheduler> cases[] = {
      {"roundrobin", Scheduler::kWrr},   {"static-rr", Scheduler::kWrr},    {"leastconn", Scheduler::kLeastConn},
      {"source", Scheduler::kSource},    {"random", Scheduler::kLeastConn}, {"random(3)", Scheduler::kLeastConn},
      {"random(1)", Scheduler::kMaglev}, {"first", Scheduler::kWrr},
  };
  for (const auto& [name, scheduler] : cases) {
    const Config config = converted(listen(25, fmt::format("  balance {}\n  server a 10.0.1.10\n", name)));
    EXPECT_EQ(config.services.at(0).scheduler, scheduler) << name;
  }
}

struct CheckCase {
  const char* lines;
  CheckType type;
  const char* expect;
  const char* helo;
};

TEST(HaproxyImport, TakesTiersAgentsAndSlowStart) {
  const Config config = converted(listen(25,
                                         "  server a 10.0.1.10 slowstart 30s agent-check agent-port 9707\n"
                                         "  server b 10.0.1.11 slowstart 1m backup\n"));
  const Pool& pool = config.pools.at(0);
  EXPECT_EQ(pool.slow_start, std::chrono::seconds(60));
  EXPECT_EQ(pool.backends.at(0).tier, 0U);
  EXPECT_EQ(pool.backends.at(1).tier, 1U);
  ASSERT_TRUE(pool.backends.at(0).agent);
  EXPECT_EQ(pool.backends.at(0).agent->address.to_string(), "10.0.1.10");
  EXPECT_EQ(pool.backends.at(0).agent->port, 9707);
}

TEST(HaproxyImport, TurnsChecksIntoOurs) {
  const CheckCase cases[] = {
      {"", CheckType::kTcp, "", ""},
      {"  option smtpchk\n", CheckType::kEhlo, "", ""},
      {"  option smtpchk HELO lb.example.net\n", CheckType::kEhlo, "", "lb.example.net"},
      {"  option ssl-hello-chk\n", CheckType::kSmtps, "", ""},
      {"  option tcp-check\n  tcp-check expect string 220-a\n", CheckType::kBanner, R"(220\-a)", ""},
      {"  option tcp-check\n  tcp-check expect rstring ^220\n", CheckType::kBanner, "^220", ""},
      {"  option tcp-check\n  tcp-check connect ssl\n  tcp-check expect rstring ^220\n", CheckType::kSmtps, "^220", ""},
      {"  option tcp-check\n  tcp-check expect rstring ^220\n  tcp-check send \"EHLO me.example\\r\\n\"\n"
       "  tcp-check expect string 250\n  tcp-check send STARTTLS\\r\\n\n",
       CheckType::kStarttls, "^220", "me.example"},
  };
  for (const auto& [lines, type, expect, helo] : cases) {
    SCOPED_TRACE(lines);
    const Config config =
        converted(listen(25, std::string(lines) + "  server a 10.0.1.10 check inter 3s rise 4 fall 5\n"));
    ASSERT_EQ(config.checks.size(), 1U);
    EXPECT_EQ(config.checks[0].type, type);
    EXPECT_EQ(config.checks[0].expect, expect);
    EXPECT_EQ(config.checks[0].helo, helo);
    EXPECT_EQ(config.checks[0].interval, std::chrono::seconds(3));
    EXPECT_EQ(config.checks[0].rise, 4U);
    EXPECT_EQ(config.checks[0].fall, 5U);
  }
}

TEST(HaproxyImport, PutsTheProxyHeaderOnServiceAndCheck) {
  const Config config = converted(listen(25, "  option smtpchk\n  server a 10.0.1.10:10025 check send-proxy-v2\n"));
  EXPECT_EQ(config.services.at(0).proxy, Proxy::kV2);
  EXPECT_EQ(config.checks.at(0).proxy, Proxy::kV2);
  const Config other_port =
      converted(listen(25, "  option smtpchk\n  server a 10.0.1.10:10025 check port 25 send-proxy\n"));
  EXPECT_EQ(other_port.services.at(0).proxy, Proxy::kV1);
  EXPECT_EQ(other_port.checks.at(0).proxy, Proxy::kNone) << "as HAProxy does for another port";
}

struct HeaderCase {
  const char* lines;
  Proxy service, check;
};

TEST(HaproxyImport, SendsTheHeadersThatHaproxySent) {
  const HeaderCase cases[] = {
      {"  server a 10.0.1.10 check send-proxy send-proxy-v2\n", Proxy::kV2, Proxy::kV2},
      {"  default-server send-proxy-v2\n  server a 10.0.1.10 check send-proxy\n", Proxy::kV2, Proxy::kV2},
      {"  default-server send-proxy-v2\n  server a 10.0.1.10 check no-send-proxy-v2\n", Proxy::kNone, Proxy::kNone},
      {"  default-server send-proxy send-proxy-v2\n  server a 10.0.1.10 check no-send-proxy-v2\n", Proxy::kV1,
       Proxy::kV1},
      {"  server a 10.0.1.10 check send-proxy-v2-ssl\n", Proxy::kV2, Proxy::kV2},
      {"  server a 10.0.1.10 check check-send-proxy\n", Proxy::kNone, Proxy::kV1},
      {"  server a 10.0.1.10 check check-send-proxy no-check-send-proxy\n", Proxy::kNone, Proxy::kNone},
      {"  server a 10.0.1.10 check port 26 send-proxy-v2\n", Proxy::kV2, Proxy::kNone},
      {"  server a 10.0.1.10 check port 26 send-proxy-v2 check-send-proxy\n", Proxy::kV2, Proxy::kV2},
      {"  option tcp-check\n  tcp-check connect\n  server a 10.0.1.10 check send-proxy\n", Proxy::kV1, Proxy::kNone},
      {"  option tcp-check\n  tcp-check connect default\n  server a 10.0.1.10 check send-proxy\n", Proxy::kV1,
       Proxy::kV1},
      {"  option tcp-check\n  tcp-check connect port 26 send-proxy\n  server a 10.0.1.10 check send-proxy-v2\n",
       Proxy::kV2, Proxy::kV2},
  };
  for (const auto& [lines, service, check] : cases) {
    SCOPED_TRACE(lines);
    const Config config = converted(listen(25, lines));
    EXPECT_EQ(config.services.at(0).proxy, service);
    EXPECT_EQ(config.checks.at(0).proxy, check);
  }
}

TEST(HaproxyImport, UsesOneBackupAfterTheOtherUnlessToldOtherwise) {
  const std::string servers =
      "  server a 10.0.1.10 backup\n  server b 10.0.1.11\n  server c 10.0.1.12 backup weight 0\n"
      "  server d 10.0.1.13 backup\n";
  const auto tiers = [&](const std::string& lines) {
    std::vector<uint32_t> out;
    const Config config = converted(listen(25, lines + servers));
    for (const Backend& backend : config.pools.at(0).backends) out.push_back(backend.tier);
    return out;
  };
  EXPECT_THAT(tiers(""), ElementsAre(1, 0, 1, 2));
  EXPECT_THAT(tiers("  option allbackups\n"), ElementsAre(1, 0, 1, 1));
  EXPECT_THAT(tiers("  option allbackups\n  no option allbackups\n"), ElementsAre(1, 0, 1, 2));
  std::string many;
  for (unsigned i = 0; i < 9; i++) many += fmt::format("  server s{0} 10.0.2.{0} backup\n", i + 1);
  EXPECT_EQ(converted(listen(25, many)).pools.at(0).backends.at(8).tier, 7U);
  EXPECT_THAT(remarks_of(listen(25, many)), Contains(HasSubstr("f:12: warning: backup: there are 7 tiers")));
}

TEST(HaproxyImport, TakesSettingsBackThatAServerUndoes) {
  const Pool pool = converted(listen(25,
                                     "  default-server backup disabled check\n"
                                     "  server a 10.0.1.10 no-backup enabled\n"
                                     "  server b 10.0.1.11 weight 10 no-check\n"
                                     "  server c 10.0.1.12 enabled disabled weight 10\n"))
                        .pools.at(0);
  EXPECT_EQ(pool.backends.at(0).tier, 0U);
  EXPECT_EQ(pool.backends.at(0).weight, 1U);
  EXPECT_EQ(pool.backends.at(1).tier, 1U);
  EXPECT_EQ(pool.backends.at(1).weight, 0U) << "disabled, whatever its weight";
  EXPECT_EQ(pool.backends.at(2).weight, 0U);
}

/// VIPs and ports of the services that `binds` become, with --vip and --vip6 given.
std::vector<std::string> listened(const std::string& binds) {
  std::vector<std::string> out;
  const Config config = converted("listen in\n" + binds + " server a 10.0.1.10\n server b fd00:1::10\n",
                                  {.v4 = ip("192.0.2.1"), .v6 = ip("2001:db8::1")});
  for (const Service& service : config.services)
    out.push_back(fmt::format("{} {}", service.vip.to_string(), service.port));
  std::ranges::sort(out);
  return out;
}

TEST(HaproxyImport, ListensWhereHaproxyDid) {
  EXPECT_THAT(listened(" bind [::]:25\n"), ElementsAre("192.0.2.1 25", "2001:db8::1 25"));
  EXPECT_THAT(listened(" bind :::25 v4v6\n"), ElementsAre("192.0.2.1 25", "2001:db8::1 25"));
  EXPECT_THAT(listened(" bind ipv6@:25\n"), ElementsAre("192.0.2.1 25", "2001:db8::1 25"));
  EXPECT_THAT(listened(" bind [::]:25 v6only\n"), ElementsAre("2001:db8::1 25"));
  EXPECT_THAT(listened(" bind :25-27\n"), ElementsAre("192.0.2.1 25", "192.0.2.1 26", "192.0.2.1 27"));
  EXPECT_THAT(listened(" bind 192.0.2.7:25,:587\n"), ElementsAre("192.0.2.1 587", "192.0.2.7 25"));
  EXPECT_EQ(converted(listen(25, "  bind 192.0.2.25:26 mss 1400\n  server a 10.0.1.10\n")).services.at(1).mss, 1400U);
}

TEST(HaproxyImport, LeadsToTheBindThatNamesTheAddressMostClosely) {
  const Vips vips{.v4 = ip("192.0.2.25"), .v6 = ip("2001:db8::25")};
  const auto pools = [&](const char* one, const char* other) {
    std::map<std::string, std::string> out;
    for (const Service& service : converted(fmt::format("listen one\n bind {}\n server a 10.0.1.10\n server b fd00::1\n"
                                                        "listen other\n bind {}\n server a 10.0.1.10\n",
                                                        one, other),
                                            vips)
                                      .services)
      out[service.vip.to_string()] = service.pool;
    return out;
  };
  EXPECT_THAT(pools(":25", "192.0.2.25:25"), ElementsAre(Pair("192.0.2.25", "other")));
  EXPECT_THAT(pools("[::]:25", "*:25"), ElementsAre(Pair("192.0.2.25", "other"), Pair("2001:db8::25", "one6")));
}

TEST(HaproxyImport, GoesWhereHaproxyLedTo) {
  const std::string backends = "backend one\n server one 10.0.1.10\nbackend two\n server two 10.0.1.11\n";
  const std::pair<const char*, const char*> cases[] = {
      {"frontend f\n bind :25\n default_backend two\n", "two"},
      {"frontend f\n bind :25\n default_backend two\n use_backend one\n use_backend two\n", "one"},
      {"frontend f\n bind :25\n use_backend one if { src 10.0.0.1 }\n default_backend two\n", "two"},
      {"listen f\n bind :25\n server own 10.0.1.12\n default_backend two\n", "two"},
      {"listen f\n bind :25\n server own 10.0.1.12\n", "f"},
  };
  for (const auto& [text, pool] : cases) {
    SCOPED_TRACE(text);
    EXPECT_EQ(converted(text + backends).services.at(0).pool, pool);
  }
}

TEST(HaproxyImport, TakesConditionsThatAreNumbers) {
  const std::pair<const char*, const char*> cases[] = {
      {".if 1\n server a 10.0.1.10\n.else\n server b 10.0.1.11\n.endif\n", "a"},
      {".if 0\n server a 10.0.1.10\n.else\n server b 10.0.1.11\n.endif\n", "b"},
      {".if\n server a 10.0.1.10\n.elif !0\n server b 10.0.1.11\n.else\n server c 10.0.1.12\n.endif\n", "b"},
      {".if 0\n.if 1\n server a 10.0.1.10\n.else\n server b 10.0.1.11\n.endif\n.endif\n server c 10.0.1.12\n", "c"},
      {".if defined(X)\n server a 10.0.1.10\n.else\n server b 10.0.1.11\n.endif\n server c 10.0.1.12\n", "c"},
      {".if 0\n.elif feature(X)\n server a 10.0.1.10\n.else\n server b 10.0.1.11\n.endif\n server c 10.0.1.12\n", "c"},
      {".if 1\n server a 10.0.1.10\n.elif defined(X)\n server b 10.0.1.11\n.endif\n", "a"},
  };
  for (const auto& [lines, server] : cases) {
    SCOPED_TRACE(lines);
    const Config config = converted(listen(25, lines));
    ASSERT_EQ(config.pools.at(0).backends.size(), 1U);
    EXPECT_EQ(config.pools.at(0).backends.at(0).name, server);
  }
  EXPECT_THAT(remarks_of(listen(25, ".if 1\n server a 10.0.1.10\n.elif defined(X)\n.endif\n")),
              Not(Contains(HasSubstr("condition"))));
}

TEST(HaproxyImport, TakesDefaultsAsHaproxyDoes) {
  const std::string server = " server a 10.0.1.10 check\n";
  const auto expected = [&](const std::string& defaults, const std::string& lines) {
    return converted(defaults + "listen in\n bind :25\n" + lines + server).checks.at(0).expect;
  };
  const std::string steps = "defaults\n option tcp-check\n tcp-check expect rstring one\n";
  EXPECT_EQ(expected(steps, ""), "one");
  EXPECT_EQ(expected(steps, " option tcp-check\n"), "one");
  EXPECT_EQ(expected(steps, " tcp-check expect rstring two\n"), "two");
  EXPECT_EQ(expected("", " tcp-check expect rstring two\n option tcp-check\n"), "two");
  EXPECT_EQ(expected(steps, " option smtpchk\n"), "");
  const Config named =
      converted("defaults base\n balance leastconn\ndefaults from base\nlisten in\n bind :25\n" + server);
  EXPECT_EQ(named.services.at(0).scheduler, Scheduler::kLeastConn);
  const Config enabled =
      converted("defaults\n disabled\nlisten in\n bind :25\n enabled\n" + server + "listen off\n bind :26\n" + server);
  ASSERT_EQ(enabled.services.size(), 1U);
  EXPECT_EQ(enabled.services.at(0).name, "in");
  const Config unknown = converted("defaults\n balance leastconn\nlisten in\n bind :25\n balance first\n" + server);
  EXPECT_EQ(unknown.services.at(0).scheduler, Scheduler::kWrr) << "as its remark says";
}

TEST(HaproxyImport, TakesAServerThatPutsOffForDownAsHaproxyDoes) {
  for (const char* lines : {"  option smtpchk\n", "  option tcp-check\n  tcp-check expect string 220\n"})
    EXPECT_EQ(converted(listen(25, std::string(lines) + "  server a 10.0.1.10 check\n")).checks.at(0).on_soft,
              OnSoft::kDown);
}

TEST(HaproxyImport, TakesThePortOfTheClientWhereNoneIsAdded) {
  for (const char* port : {"", ":0", ":+0"}) {
    const Config config = converted(listen(26, fmt::format("  server a 10.0.1.10{}\n", port)));
    EXPECT_EQ(config.pools.at(0).backends.at(0).port, std::nullopt) << port;
  }
}

TEST(HaproxyImport, KeepsTheFamiliesOfOneBackendApart) {
  const Config config = converted(
      "defaults\n mode tcp\nfrontend in\n bind 192.0.2.25:25\n bind [2001:db8::25]:25\n default_backend mta\n"
      "backend mta\n server a 10.0.1.10\n server b fd00:1::10\n");
  ASSERT_EQ(config.pools.size(), 2U);
  EXPECT_EQ(config.find_pool(config.services.at(0).pool)->backends.at(0).address.to_string(), "10.0.1.10");
  EXPECT_EQ(config.find_pool(config.services.at(1).pool)->backends.at(0).address.to_string(), "fd00:1::10");
}

TEST(HaproxyImport, AsksForTheVipWhereHaproxyListensEverywhere) {
  const std::string text = "listen in\n mode tcp\n bind *:25\n bind :::25\n server a 10.0.1.10\n server b fd00::1\n";
  EXPECT_THAT(remarks_of(text), Contains(HasSubstr("f:3: to do: vip")));
  const Config config = converted(text, {.v4 = ip("203.0.113.25"), .v6 = ip("2001:db8:1::25")});
  EXPECT_EQ(config.services.at(0).vip.to_string(), "203.0.113.25");
  EXPECT_EQ(config.services.at(1).vip.to_string(), "2001:db8:1::25");
}

struct WarningCase {
  const char* what;
  std::string text;
  const char* wanted;
};

TEST(HaproxyImport, WarnsOfWhatIsWrong) {
  const std::string server = "  server a 10.0.1.10 check\n";
  const WarningCase cases[] = {
      {"submission sent to the relay's port", listen(587, "  server a 10.0.1.10:25\n"),
       "f:5: warning: submission on 587"},
      {"implicit TLS sent to a plain port", listen(465, "  server a 10.0.1.10:587\n"), "f:5: warning: 465 is TLS"},
      {"time-out of the client", listen(25, "  timeout client 50s\n" + server), "f:5: warning: timeout client of 50 s"},
      {"time-out of the server", listen(25, "  timeout server 9m\n" + server), "f:5: warning: timeout server of 540 s"},
      {"inspection of a silent client", listen(25, "  tcp-request inspect-delay 5s\n" + server),
       "f:5: warning: inspect-delay"},
      {"a check that only connects", listen(25, server), "f:5: warning: check in only connects"},
      {"no check", listen(25, "  server a 10.0.1.10\n"), "f:3: warning: no server of in is checked"},
      {"terminated TLS", listen(587, "  bind 192.0.2.26:465 ssl crt x\n" + server),
       "f:5: warning: HAProxy terminated TLS"},
      {"an impatient check", listen(25, "  timeout check 2s\n  option smtpchk\n" + server),
       "f:5: warning: timeout check"},
      {"TLS made by HAProxy", listen(587, "  server a 10.0.1.10:465 ssl verify none\n"),
       "f:5: warning: HAProxy spoke TLS to the server"},
      {"a server of the other family", listen(25, "  server a 10.0.1.10\n  server b fd00::1\n"),
       "f:6: warning: its address is of IPv6"},
      {"clients that were kept waiting", listen(25, "  server a 10.0.1.10 maxconn 5\n"), "f:5: warning: maxconn"},
      {"the same server twice", listen(25, "  server a 10.0.1.10\n  server b 10.0.1.10\n"),
       "f:6: warning: server b: server a has its address"},
      {"some sessions cut", listen(25, "  server a 10.0.1.10\n  server b 10.0.1.11 on-marked-down shutdown-sessions\n"),
       "f:6: warning: servers of one backend differ in on-marked-down"},
      {"headers for some", listen(25, "  server a 10.0.1.10\n  server b 10.0.1.11 send-proxy\n"),
       "f:6: warning: servers of one backend differ in send-proxy"},
      {"a pattern that never ends", listen(25, "  option tcp-check\n  tcp-check expect ! string x\n" + server),
       "f:6: warning: tcp-check expect ! without min-recv"},
      {"a condition", listen(25, ".if defined(X)\n.endif\n" + server),
       "f:5: warning: .if defined(X): whether the condition"},
      {"a variable", listen(25, server + "  server b \"${WHERE}:25\"\n"), "f:6: warning: variable WHERE"},
      {"a greeting awaited on 465", listen(465, "  option smtpchk\n" + server),
       "f:3: warning: the check looked for a greeting"},
  };
  for (const auto& [what, text, wanted] : cases) {
    SCOPED_TRACE(what);
    EXPECT_THAT(remarks_of(text), Contains(HasSubstr(wanted)));
  }
}

TEST(HaproxyImport, DoesNotWarnOfWhatIsRight) {
  const std::string text = listen(465,
                                  "  tcp-request inspect-delay 5s\n  timeout client 20m\n  timeout server 20m\n"
                                  "  option ssl-hello-chk\n  server a 10.0.1.10:465 check\n");
  EXPECT_THAT(remarks_of(text), Not(Contains(HasSubstr("warning"))));
}

TEST(HaproxyImport, ReadsQuotesEscapesAndCommentsAsHaproxyDoes) {
  const Config config = converted(
      "listen 'in' # a name\n mode \"tcp\"\n bind 192.0.2.25:25\n option tcp-check\n"
      " tcp-check expect string a\\ b\\#c\n server a 10.0.1.10 check\n");
  EXPECT_EQ(config.checks.at(0).expect, "a b#c");
  const std::pair<const char*, const char*> patterns[] = {
      {R"(^220\sa)", R"(^220\sa)"},
      {R"('^220\sa')", R"(^220\sa)"},
      {R"("^220\\sa")", R"(^220\sa)"},
      {R"("\x6dta")", "mta"},
      {R"(a\"b)", "a\"b"},
      {R"(\x6)", "x6"},
  };
  for (const auto& [written, pattern] : patterns) {
    SCOPED_TRACE(written);
    EXPECT_EQ(converted(listen(25, fmt::format("  option tcp-check\n  tcp-check expect rstring {}\n"
                                               "  server a 10.0.1.10 check\n",
                                               written)))
                  .checks.at(0)
                  .expect,
              pattern);
  }
}

TEST(HaproxyImport, RefusesWhatHoldsNothingToConvert) {
  for (const char* text :
       {"", "\n\n", "no section", "global\n", "listen web\n mode http\n bind :80\n server a 10.0.0.1:80\n",
        "frontend f\n bind :25\n", "listen l\n bind :25\n server a mail.example.net:25\n",
        "listen l\n bind nowhere\n server a 10.0.1.10\n", "\0\xff\xfe\0listen\0"}) {
    SCOPED_TRACE(text);
    const Imported imported = import("f", text);
    EXPECT_EQ(imported.text, "");
    EXPECT_THAT(imported.failure, HasSubstr("nothing to convert"));
  }
}

TEST(HaproxyImport, SaysOfEachLineWhyItIsLeftOut) {
  const std::pair<const char*, const char*> cases[] = {
      {"  server b mail.example.net:25\n", "f:6: left out: server b: \"mail.example.net\" is not a numeric address"},
      {"  server b 10.0.1.11:+100\n", "f:6: left out: server b: \"+100\" counts from"},
      {"  bind :25\n", "f:6: left out: 192.0.2.25 port 25: another bind names that address"},
      {"  server b 10.0.1.11 agent-check agent-port 1 agent-addr mta\n",
       "f:6: left out: agent-addr \"mta\": not a numeric"},
      {"  bind 192.0.2.25:26 interface eth0\n", "f:6: left out: interface: "},
      {"  bind 192.0.2.25:26 defer-accept\n", "f:6: left out: defer-accept: "},
      {"  bind 192.0.2.25:1000-2000\n", "f:6: left out: bind a range of more than 100 ports"},
      {"  option tcp-check\n  tcp-check send EHLO\n  tcp-check expect string STARTTLS\n",
       "f:8: left out: tcp-check expect string \"STARTTLS\": EHLO has"},
      {"  option redispatch\n", "f:6: left out: option redispatch: a connection"},
      {"  .endif\n", "f:6: left out: .endif without .if"},
      {"  server b 10.0.1.11:99999\n", "f:6: left out: server b: \"99999\" is not a port"},
      {"  server b 10.0.1.11 weight heavy\n", "f:6: left out: weight \"heavy\": not a number"},
      {"  server b 10.0.1.11 rise\n", "f:6: left out: rise \"\": not a number"},
      {"  server b 10.0.1.11 frobnicate\n", "f:6: left out: frobnicate: not known"},
      {"  server \"b 10.0.1.11\n", "f:6: left out: a quote does not close"},
      {"  bind 192.0.2.25:25\n", "f:6: left out: 192.0.2.25 port 25: it has a service already"},
      {"  balance url_param\n", "f:6: left out: balance url_param"},
      {"  timeout client soon\n", "f:6: left out: timeout client soon"},
      {"  stick-table type ip size 1m\n", "f:6: left out: stick-table"},
      {"  tcp-check expect string x\n", "f:6: left out: tcp-check without"},
  };
  for (const auto& [line, wanted] : cases) {
    SCOPED_TRACE(line);
    EXPECT_THAT(remarks_of(listen(25, "  server a 10.0.1.10\n" + std::string(line))), Contains(HasSubstr(wanted)));
  }
}

TEST(HaproxyImport, SaysOnceOfARangeWhyItIsLeftOut) {
  const auto remarks = remarks_of(listen(25, "  bind 192.0.2.25:25-40\n  bind [::]:50-60\n  server a 10.0.1.10\n"));
  EXPECT_EQ(std::ranges::count_if(remarks, [](const std::string& text) { return text.contains("a service already"); }),
            1);
  EXPECT_EQ(
      std::ranges::count_if(remarks, [](const std::string& text) { return text.contains("no server of in has"); }), 1);
}

TEST(HaproxyImport, MakesNamesThatOurFileTakes) {
  const Config config = converted(
      "listen -mail:in.1\n mode tcp\n bind 192.0.2.25:25\n option smtpchk\n"
      " server " +
      std::string(200, 'n') +
      " 10.0.1.10 check\n server a:b 10.0.1.11\n"
      " server a:b 10.0.1.12\nlisten -mail:in.1\n mode tcp\n bind 192.0.2.25:26\n server x 10.0.1.10\n");
  EXPECT_EQ(config.services.size(), 2U);
  EXPECT_EQ(config.pools.at(0).backends.size(), 3U);
}

TEST(HaproxyImport, TakesTenThousandServersInTime) {
  std::string text = "listen in\n mode tcp\n bind 192.0.2.25:25\n option smtpchk\n";
  for (unsigned i = 0; i < 10'000; i++)
    text += fmt::format(" server same 10.{}.{}.{} check\n", 1 + i / 62500, i / 250 % 250, 1 + i % 250);
  const auto begin = std::chrono::steady_clock::now();
  const Config config = converted(text);
  EXPECT_EQ(config.pools.at(0).backends.size(), 10'000U);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

TEST(HaproxyImport, RefusesMoreThanOurFileTakesWithoutLosingItsWay) {
  std::string text;
  for (unsigned i = 0; i < 5000; i++)
    text += fmt::format("listen l{}\n mode tcp\n bind 192.0.2.25:{}\n server a 10.0.1.10\n", i, 1000 + i);
  const Imported imported = import("f", text);
  EXPECT_EQ(imported.text, "");
  EXPECT_THAT(imported.failure, HasSubstr("would be refused"));
  EXPECT_EQ(import("f", "listen x\n" + std::string(10 << 20, 'y')).text, "") << "one endless line";
  text.clear();
  for (unsigned i = 0; i < 5000; i++)
    text += fmt::format("listen l{}\n bind 192.0.{}.{}:1-100\n server a 10.0.1.10\n", i, i / 250, 1 + i % 250);
  EXPECT_THAT(import("f", text).failure, HasSubstr("would be refused")) << "half a million ports";
  text.clear();
  for (unsigned i = 0; i < 1'000'000; i++) text += ".if 1\n";
  EXPECT_THAT(import("f", text).failure, HasSubstr("nothing to convert")) << "conditions without an end";
}

TEST(HaproxyImport, SurvivesFilesThatWereCutAndMixed) {
  const std::string golden = SLUICE_SOURCE_ROOT "/tests/config/haproxy/";
  const std::string whole = imports::read_text(golden + "relay.cfg") + imports::read_text(golden + "frontends.cfg");
  const uint64_t seed = test_seed();
  SCOPED_TRACE(how_to_repeat(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 200; round++) {
    std::string text = whole;
    for (int change = 0; change < 20; change++) {
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, random() % 40);
          break;
        default:
          text.insert(at, whole.substr(random() % whole.size(), random() % 60));
      }
    }
    const Imported imported = import("f", text);
    ASSERT_NE(imported.text.empty(), imported.failure.empty()) << text;
    if (!imported.text.empty()) {
      ASSERT_TRUE(load_text("converted", imported.text)) << text;
    }
  }
}

}  // namespace
}  // namespace sluice::config::haproxy
