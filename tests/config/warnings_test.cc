// SPDX-License-Identifier: Apache-2.0
//
// What is taken and told of: each row beside its neighbour, which is as it should be.
#include <gtest/gtest.h>

#include "tests/config/cases.h"

namespace sluice::config {
namespace {

std::vector<std::string> warnings_of(const std::string& text) {
  const auto reading = read_config_text("test.cfg", text);
  std::vector<std::string> out;
  if (!reading) {
    for (const Fault& fault : reading.error()) ADD_FAILURE() << fault.to_string();
    return out;
  }
  for (const Fault& warning : reading->findings.warnings()) {
    EXPECT_TRUE(warning.is_warning);
    EXPECT_EQ(warning.file, "test.cfg");
    out.push_back(std::to_string(warning.line) + ": " + warning.message);
  }
  return out;
}

void expect_warnings(std::span<const Case> cases) {
  for (const Case& each : cases) {
    SCOPED_TRACE(std::string(each.part) + " = " + each.text);
    std::vector<std::string> found = warnings_of(file_with(each.part, each.text));
    for (size_t i = 0; i < std::min(found.size(), each.faults.size()); i++)
      found[i] = cut_like(each.faults[i], found[i]);
    EXPECT_EQ(found, each.faults);
  }
}

TEST(Warnings, AreToldAsFaultsAreButForTheWord) {
  const auto reading = read_config_text("a.cfg", file_with("dataplane", "timers: { handshake = 2; };"));
  ASSERT_TRUE(reading);
  const auto warnings = reading->findings.warnings();
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_TRUE(warnings[0].to_string().starts_with("a.cfg:3: warning: dataplane.timers.handshake: 2 s is over "))
      << warnings[0].to_string();
  EXPECT_TRUE(reading->findings.faults().empty());
}

TEST(Warnings, HoldTimersAgainstWhatMailTakes) {
  const Case cases[] = {
      {"dataplane", "timers: { established = 660; };", {}},
      {"dataplane",
       "timers: { established = 659; force = true; };",
       {"3: dataplane.timers.established: 659 s cuts sessions that are well: a server may take 10 minutes..."}},
      {"dataplane", "timers: { handshake = 4; };", {}},
      {"dataplane", "timers: { handshake = 3; };", {"3: dataplane.timers.handshake: 3 s is over before a SYN..."}},
  };
  expect_warnings(cases);
}

TEST(Warnings, KeepOrdinaryPagesForLabs) {
  const std::string lab = file_with("dataplane", "hugepages = false;");
  EXPECT_EQ(warnings_of(lab), std::vector<std::string>{});
  std::string card = lab;
  card.replace(card.find("net_tap0"), 8, "0000:3b:00.0");
  EXPECT_EQ(
      warnings_of(card),
      std::vector<std::string>{
          R"(3: dataplane.hugepages: false, and port "wire" is a card (0000:3b:00.0): ordinary pages are for labs without one)"});
}

TEST(Warnings, SayHowLateADeadServerIsFound) {
  const Case cases[] = {
      {"check", "interval = 5; fall = 3; connect_timeout = 3;", {}},
      {"check",
       "interval = 600; fast_interval = 1;",
       {"5: checks.greet.interval: a server that is gone is known to be after 609 s (interval, and 3 probes of 3 "
        "s)..."}},
      {"check",
       "connect_timeout = 120;",
       {"5: checks.greet.connect_timeout: a server that is gone is known to be after 365 s..."}},
      {"check", "connect_timeout = 90;", {}},
      {"check",
       "interval = 100; fast_interval = 100;",
       {"5: checks.greet.fast_interval: a server that is gone is known to be after 400 s..."}},
      {"check", "greeting_timeout = 98;", {}},
      {"check",
       "greeting_timeout = 100;",
       {"5: checks.greet.greeting_timeout: a server that does not greet is known to be silent after 305 s (3 probes of "
        "100 s)"}},
      {"check", "greeting_timeout = 6.5;", {}},
      {"check", "greeting_timeout = 6;", {"5: checks.greet.greeting_timeout: 6 s takes a server for silent..."}},
  };
  expect_warnings(cases);
}

TEST(Warnings, WantNoticeBeforeACertificateTakesABackendOut) {
  const Case cases[] = {
      {"checks",
       R"(tls: { type = "starttls"; certificate_action = "down"; certificate_fail_days = 21; };)",
       {"6: checks.tls.certificate_warn_days: 21 days: a certificate takes the backend out (21 days left)..."}},
      {"checks", R"(tls: { type = "starttls"; certificate_action = "down"; certificate_fail_days = 20; };)", {}},
      {"checks", R"(tls: { type = "starttls"; certificate_action = "warn"; certificate_fail_days = 21; };)", {}},
  };
  expect_warnings(cases);
}

TEST(Warnings, NamePoolsOfWhichNobodyTakesASession) {
  const Case cases[] = {
      {"backend", "weight = 0;", {"7: pools[0].backends: every weight is 0: nobody gets a new session"}},
      {"backend", "weight = 1;", {}},
      {"backends", R"(, { name = "old"; address = "10.0.1.11"; weight = 0; })", {}},
      {"backend", "tier = 1;", {"7: pools[0].backends: no backend is in tier 0: those of tier 1 are spares of nobody"}},
      {"backends", R"(, { name = "spare"; address = "10.0.1.11"; tier = 1; })", {}},
      {"backends", R"(, { name = "spare"; address = "10.0.1.11"; tier = 1; weight = 0; })", {}},
  };
  expect_warnings(cases);
  std::string idle = file_with("backends", R"(, { name = "spare"; address = "10.0.1.11"; tier = 1; })");
  idle.insert(idle.find("\"10.0.1.10\";") + 12, " weight = 0;");
  const auto found = warnings_of(idle);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].starts_with("7: pools[0].backends: every weight in tier 0 is 0: ")) << found[0];
}

TEST(Warnings, HoldBoundsAgainstTheSizeOfThePool) {
  const auto pool_of_two = [](const std::string& settings) {
    std::string out = file_with("backends", R"(, { name = "mta2"; address = "10.0.1.11"; })");
    return out.insert(out.find("backends = ("), settings + " ");
  };
  struct {
    const char* settings;
    std::vector<std::string> warnings;
  } const rows[] = {
      {"min_healthy = 1;", {}},
      {"min_healthy = 2;",
       {"7: pools[0].min_healthy: 2 is all of them: the first that fails takes the pool out of service"}},
      {"panic_share = 1;", {}},
      {"panic_share = 1; panic_hold = 60;",
       {"7: pools[0].panic_hold: more than a panic_share of 1 cannot fail: this is for failures of the whole way to "
        "the "
        "pool alone"}},
      {"panic_share = 0.5; panic_hold = 60;", {}},
      {"panic_share = 0.4; panic_hold = 0;", {}},
      {"panic_share = 0.4;",
       {"7: pools[0].panic_share: 0.4 of 2 backends is less than one: each failure is taken for one of the way, and "
        "the "
        "backend goes on to get sessions for panic_hold; usual: 0.5"}},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.settings);
    EXPECT_EQ(warnings_of(pool_of_two(row.settings)), row.warnings);
  }
  EXPECT_EQ(warnings_of(file_with("pool", "min_healthy = 1; panic_share = 0.5;")), std::vector<std::string>{});
}

TEST(Warnings, HoldAChecksFirstWordAgainstThePort) {
  const Case cases[] = {
      {"service",
       "port = 465; on_no_backend = \"reset\";",
       {R"(11: services[0]: check "greet" (banner) waits for a greeting on port 465, where the server waits for TLS (RFC 8314 section 7.3): backend "mta1" can never be up; usual: type = "smtps" or "tcp")"}},
      {"service", "port = 587;", {}},
      {"check", "port = 465;", {R"(11: services[0]: check "greet" (banner) waits for a greeting on port 465, ...)"}},
      {"check", "port = 10025;", {}},
  };
  expect_warnings(cases);
  const Case own_checks[] = {
      {"services",
       R"(, { name = "tls"; vip = "192.0.2.25"; port = 465; pool = "mta"; check = "late"; })",
       {R"(12: services[1].check: check "late" (starttls) waits for a greeting on port 465, ...)"}},
      {"services", R"(, { name = "tls"; vip = "192.0.2.25"; port = 465; pool = "mta"; check = "first"; })", {}},
      {"services", R"(, { name = "tls"; vip = "192.0.2.25"; port = 465; pool = "mta"; check = "open"; })", {}},
      {"services",
       R"(, { name = "sub"; vip = "192.0.2.25"; port = 587; pool = "mta"; check = "first"; })",
       {R"(12: services[1].check: check "first" (smtps) begins with TLS on port 587, where the server greets in plain text: backend "mta1" can never be up; usual: type = "starttls")"}},
      {"services", R"(, { name = "own"; vip = "192.0.2.25"; port = 2465; pool = "mta"; check = "first"; })", {}},
      {"services",
       R"(, { name = "own"; vip = "192.0.2.25"; port = 2465; pool = "mta"; check = "first"; on_no_backend = "421"; })",
       {R"(12: services[1].on_no_backend: "421" is plain text, and by the service's check (smtps) clients wait...)"}},
  };
  for (const Case& each : own_checks) {
    SCOPED_TRACE(each.text);
    std::string text = file_with(each.part, each.text);
    text.insert(text.find("greet: {"),
                R"(late: { type = "starttls"; }; first: { type = "smtps"; }; open: { type = "tcp"; }; )");
    std::vector<std::string> found = warnings_of(text);
    for (size_t i = 0; i < std::min(found.size(), each.faults.size()); i++)
      found[i] = cut_like(each.faults[i], found[i]);
    EXPECT_EQ(found, each.faults);
  }
}

TEST(Warnings, HoldABackendsPortAgainstTheServices) {
  const Case cases[] = {
      {"backend", "port = 2525;", {}},
      {"backend",
       "port = 465;",
       {R"(8: pools[0].backends[0].port: clients of service "relay" come to port 25 in plain text, and a server at port 465 waits for TLS)",
        R"(11: services[0]: check "greet" (banner) waits for a greeting on port 465, ...)"}},
  };
  expect_warnings(cases);
  std::string tls = file_with("service", "port = 465; on_no_backend = \"reset\";");
  tls.insert(tls.find("\"10.0.1.10\";") + 12, " port = 25;");
  EXPECT_EQ(
      warnings_of(tls),
      std::vector<std::string>{
          R"(8: pools[0].backends[0].port: clients of service "relay" come to port 465 with TLS, and a server at port 25 greets in plain text)"});
}

TEST(Warnings, WantTheSameHeaderFromCheckAndService) {
  const auto with = [](const std::string& check, const std::string& service) {
    std::string out = file_with("check", check);
    return out.insert(out.find("pool = \"mta\";") + 13, " " + service);
  };
  EXPECT_EQ(warnings_of(with("proxy = \"v2\";", "proxy = \"v2\";")), std::vector<std::string>{});
  EXPECT_EQ(warnings_of(with("proxy = \"v1\";", "proxy = \"v2\";")), std::vector<std::string>{});
  EXPECT_EQ(warnings_of(with("port = 10025;", "proxy = \"v2\";")), std::vector<std::string>{});
  EXPECT_EQ(
      warnings_of(with("", "proxy = \"v2\";")),
      std::vector<std::string>{
          R"(11: services[0].proxy: check "greet" sends no PROXY header: a server that wants one greets no probe, and is never up; usual: proxy = "v2" in the check, too)"});
  EXPECT_EQ(
      warnings_of(with("proxy = \"v1\";", "")),
      std::vector<std::string>{
          R"(11: services[0]: check "greet" sends a PROXY header, and the service does not: a server that wants one is up and takes no session, unless clients bring it; usual: proxy = "v1" in the service, too)"});
}

TEST(Warnings, KnowPortsOfOtherProtocols) {
  const Case cases[] = {
      {"service", "port = 2525;", {}},
      {"service", "port = 993;", {"11: services[0].port: 993 is the port of IMAP over TLS: ..."}},
  };
  expect_warnings(cases);
}

TEST(Warnings, SayWhatASchedulerDoesNotHeed) {
  const Case cases[] = {
      {"service", R"(scheduler = "maglev"; hash_on = "client";)", {}},
      {"service", R"(scheduler = "source"; hash_on = "client_prefix";)", {}},
      {"service", R"(scheduler = "wrr"; hash_on = "connection";)", {}},
      {"service",
       R"(scheduler = "wrr"; hash_on = "client";)",
       {R"(11: services[0].hash_on: new sessions are not placed by a hash with scheduler = "wrr"; usual: "maglev" or "source")"}},
      {"service",
       R"(scheduler = "least_conn"; hash_on = "client_prefix";)",
       {"11: services[0].hash_on: new sessions..."}},
  };
  expect_warnings(cases);
}

TEST(Warnings, WantAVipOnTheClientsSide) {
  constexpr std::string_view kTwo =
      R"({ name = "f"; device = "net_tap0"; faces = "clients"; }, { name = "b"; device = "net_tap1"; faces = "backends"; })";
  const auto with = [](std::string_view ports, const std::string& vip, const std::string& service = "") {
    std::string out = file_with("ports", std::string(ports));
    out.replace(out.find("192.0.2.25"), 10, vip);
    return out.insert(out.find("pool = \"mta\";") + 13, " " + service);
  };
  EXPECT_EQ(warnings_of(with(kTwo, "192.0.2.25")), std::vector<std::string>{});
  EXPECT_EQ(warnings_of(with(kTwo, "10.0.2.25")), std::vector<std::string>{});
  EXPECT_EQ(
      warnings_of(with(kTwo, "10.0.1.25")),
      std::vector<std::string>{
          R"(11: services[0].vip: 10.0.1.25 is in the same /24 as backend "mta1" (10.0.1.10), which is behind another port than clients are: a VIP is of the clients' side)"});
  EXPECT_EQ(warnings_of(with(kTwo, "10.0.1.25", "forwarding = \"dsr\";")), std::vector<std::string>{});
  EXPECT_EQ(warnings_of(with(R"({ name = "wire"; device = "net_tap0"; })", "10.0.1.25")), std::vector<std::string>{});
  std::string v6 = with(kTwo, "2001:db8:1::25");
  v6.replace(v6.find("10.0.1.10"), 9, "2001:db8:1::10");
  ASSERT_EQ(warnings_of(v6).size(), 1U);
  EXPECT_NE(warnings_of(v6)[0].find("in the same /64 as"), std::string::npos);
}

TEST(Warnings, NameEtcdInPlainText) {
  const Case cases[] = {
      {"top",
       R"(fleet: { etcd = { endpoints = ["https://10.9.0.9", "http://127.0.0.1:2379", "http://[::1]"]; }; };)",
       {}},
      {"top",
       R"(fleet: { etcd = { endpoints = ["http://10.9.0.9:2379"]; }; };)",
       {"13: fleet.etcd.endpoints: http://10.9.0.9:2379 is asked in plain text: who is on the way can make anybody a "
        "backend; usual: https..."}},
  };
  expect_warnings(cases);
}

TEST(Warnings, NameWhatNodesDisagreeOnWithoutPeers) {
  const std::string announce = "announce: { mode = \"routes\"; };";
  const std::string peers =
      R"(fleet: { peers = { listen = "10.9.0.1:2526"; to = ["10.9.0.2:2526"]; key_file = "/k"; }; };)";
  const auto with = [](const std::string& pool, const std::string& service, const std::string& top) {
    std::string out = file_with("top", top);
    out.insert(out.find("backends = ("), pool + " ");
    return out.insert(out.find("pool = \"mta\";") + 13, " " + service);
  };
  const std::string quiet = "passive: { enabled = false; };";
  const std::vector<std::string> none;
  EXPECT_EQ(warnings_of(with("", "", "")), none);
  EXPECT_EQ(warnings_of(with("slow_start = 60;", "scheduler = \"wrr\";", "")), none);
  EXPECT_EQ(warnings_of(with(quiet, "", announce)), none);
  EXPECT_EQ(warnings_of(with("slow_start = 60;", "scheduler = \"wrr\";", announce + peers)), none);
  const std::string lost =
      "of this node alone: nodes that serve the same VIPs come to different weights, and a session "
      "that a router moves is lost; usual: fleet.peers, by which nodes tell each other of sessions";
  EXPECT_EQ(warnings_of(with("", "", announce)), std::vector<std::string>{"7: pools[0]: passive " + lost});
  EXPECT_EQ(warnings_of(with("", "", "announce: { mode = \"address\"; };")), none) << "its VIPs are its own";
  EXPECT_EQ(warnings_of(with("", "", "fleet: { node = \"edge1\"; };")),
            std::vector<std::string>{"7: pools[0]: passive " + lost});
  EXPECT_EQ(warnings_of(with("max_shed = 0;", "", announce)), none);
  EXPECT_EQ(warnings_of(with(quiet + " slow_start = 60;", "", announce)),
            std::vector<std::string>{"7: pools[0]: slow_start " + lost});
  std::string agent = with(quiet, "", announce);
  agent.insert(agent.find("\"10.0.1.10\";") + 12, " agent = \"10.0.1.10:9707\";");
  EXPECT_EQ(warnings_of(agent), std::vector<std::string>{"7: pools[0]: agent " + lost});
  EXPECT_EQ(
      warnings_of(with(quiet, "scheduler = \"least_conn\";", announce)),
      std::vector<std::string>{
          R"(11: services[0].scheduler: "least_conn" is not by the hash alone: a session that a router moves to another node is lost; usual: fleet.peers, by which nodes tell each other of sessions)"});
  EXPECT_EQ(
      warnings_of(with(quiet, "forwarding = \"fullnat\";", announce)),
      std::vector<std::string>{
          R"(11: services[0].forwarding: "fullnat" is not by the hash alone: a session that a router moves to another node is lost)"});
}

TEST(Warnings, NameSettingsOfWhatIsOff) {
  const Case cases[] = {
      {"top", "announce: { mode = \"none\"; };", {}},
      {"top",
       "announce: { table = 100; };",
       {"13: announce.table: nothing is announced without a mode; usual: \"routes\", \"address\""}},
      {"top", "announce: { mode = \"address\"; protocol = 126; hold_down = 5; };", {}},
      {"top",
       "announce: { mode = \"address\"; draining_metric = 300; };",
       {"13: announce.draining_metric: is of routes alone, and with mode = \"address\" there are none"}},
      {"top", "records: { };", {}},
      {"top", "records: { share = 0.5; };", {"13: records.share: nothing is recorded without `to`"}},
      {"top", "records: { to = \"file:/var/log/r\"; rotate_mb = 5; };", {}},
      {"top",
       "records: { to = \"syslog:/dev/log\"; rotate_mb = 5; };",
       {"13: records.rotate_mb: is of files alone, and `to` names none"}},
      {"top", "records: { to = \"syslog:/dev/log\"; share = 0.5; };", {}},
      {"top", "sources: { block_file = \"/b\"; allow = [\"198.51.100.0/24\"]; };", {}},
      {"top", "sources: { allow = [\"0.0.0.0/0\"]; };", {}},
      {"top",
       "sources: { block_file = \"/b\"; allow = [\"0.0.0.0/0\"]; };",
       {"13: sources.allow: 0.0.0.0/0 exempts everybody: nothing is limited or blocked"}},
      {"top",
       "sources: { block_file = \"/b\"; allow = [\"::/0\"]; };",
       {"13: sources.allow: ::/0 exempts everybody: nothing is limited or blocked"}},
  };
  expect_warnings(cases);
}

}  // namespace
}  // namespace sluice::config
