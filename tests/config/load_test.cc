// SPDX-License-Identifier: Apache-2.0
//
// What is read becomes what the programs use; what is not written has its default.
#include "config/load.h"

#include <gtest/gtest.h>

#include <filesystem>

#include <sstream>

#include "config/check_command.h"
#include "tests/config/file.h"

namespace sluice::config {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kSmallest = R"(
dataplane: { ports = ( { name = "wire"; device = "0000:3b:00.0"; } ); };
pools = ( { name = "mta"; backends = ( { name = "mta1"; address = "10.0.1.10"; } ); } );
services = ( { name = "relay"; vip = "192.0.2.25"; pool = "mta"; } );
)";

constexpr std::string_view kFull = R"(
instance = "edge1";
dataplane:
{
  workers = 2; lcores = "1,3"; idle = "sleep"; flow_capacity = 2048; on_table_full = "silence"; on_idle_expiry = "reset"; burst = 64; memory_mb = 512;
  hugepages = false; flow_store = "/dev/shm";
  ports = ( { name = "front"; device = "net_af_xdp0,iface=lb-front"; faces = "clients"; twin = "slf0"; vlan = 7; },
            { name = "back"; device = "0000:3b:00.1"; faces = "backends"; } );
  timers: { handshake = 30; established = 3600.0; closing = 120; after_reset = 5; };
};
control: { api = "/run/api.sock"; http = ""; log = { level = "debug"; format = "json"; }; };
checks:
{
  greeting: { type = "banner"; port = 10025; interval = 2; jitter = 0; fast_interval = 0.25; connect_timeout = 1.5;
              greeting_timeout = 20; command_timeout = 4.0; rise = 1; fall = 5; expect = "^220"; reject = "busy"; };
  open: { type = "tcp"; interval = 0.5; };
};
pools = ( { name = "mta"; check = "greeting"; min_healthy = 1;
            backends = ( { name = "mta1"; address = "2001:db8:1::10"; weight = 7; port = 10025; },
                         { name = "mta2"; address = "2001:db8:1::11"; } ); } );
services = ( { name = "relay6"; vip = "2001:db8::25"; port = 587; pool = "mta"; check = "open"; scheduler = "maglev";
               table_size = 251; hash_on = "client_prefix"; forwarding = "nat"; proxy = "none"; on_backend_down = "keep"; on_no_backend = "silence"; text_421 = "4.7.0 closed"; mss = 1400; } );
)";

class Load : public ::testing::Test {
 protected:
  Load() {
    unsetenv("SLUICE_RUNTIME_DIR");
    unsetenv("SLUICE_STATE_DIR");
  }

  Config load_text(std::string_view text) {
    const auto config = load(directory_.write("test.cfg", text));
    if (config) return *config;
    for (const Fault& fault : config.error()) ADD_FAILURE() << fault.to_string();
    return {};
  }

  Directory directory_;
};

TEST_F(Load, ReadsEveryKindOfCheckAndWayOfPlacing) {
  const Config config = load_text(R"(
dataplane: { ports = ( { name = "wire"; device = "net_null0"; } ); };
checks:
{
  submission: { type = "starttls"; require = ["STARTTLS", "AUTH"]; server_name = "smtp.example.net"; verify = true;
                ca_file = "/etc/ca.pem"; certificate_warn_days = 14; certificate_fail_days = 1; helo = "check.example.net"; };
  implicit: { type = "smtps"; server_name = "mx.example.net"; tlsa = true; mta_sts = true; };
  relay: { type = "ehlo"; proxy = "v2"; require = []; };
};
pools = ( { name = "mta"; check = "relay"; backends = ( { name = "a"; address = "10.0.0.1"; max_connections = 20000; } ); } );
services = ( { name = "s"; vip = "192.0.2.1"; pool = "mta"; proxy = "v2"; scheduler = "least_conn"; },
             { name = "t"; vip = "192.0.2.1"; port = 587; pool = "mta"; check = "submission"; scheduler = "source"; },
             { name = "u"; vip = "192.0.2.1"; port = 465; pool = "mta"; check = "implicit"; scheduler = "wrr"; proxy = "v1"; } );
)");
  ASSERT_EQ(config.checks.size(), 3U);
  const Check& submission = config.checks[0];
  EXPECT_EQ(submission.type, CheckType::kStarttls);
  EXPECT_EQ(submission.require, (std::vector<std::string>{"STARTTLS", "AUTH"}));
  EXPECT_EQ(submission.server_name, "smtp.example.net");
  EXPECT_TRUE(submission.verify);
  EXPECT_EQ(submission.certificate_action, CertificateAction::kDown) << "as it verifies";
  EXPECT_EQ(config.find_check("implicit")->certificate_action, CertificateAction::kWarn);
  EXPECT_EQ(config.pools[0].panic_share, 0.5);
  EXPECT_EQ(config.pools[0].panic_hold, std::chrono::minutes(3));
  EXPECT_EQ(submission.ca_file, "/etc/ca.pem");
  EXPECT_EQ(submission.certificate_warn_days, 14U);
  EXPECT_EQ(submission.certificate_fail_days, 1U);
  EXPECT_EQ(submission.helo, "check.example.net");
  EXPECT_EQ(config.checks[1].type, CheckType::kSmtps);
  EXPECT_TRUE(config.checks[1].tlsa && config.checks[1].mta_sts);
  EXPECT_EQ(config.checks[1].mail_domain, "example.net") << "the name without its first label";
  EXPECT_FALSE(submission.tlsa || submission.mta_sts);
  EXPECT_EQ(submission.mail_domain, "") << "nobody asks for its policy";
  EXPECT_EQ(config.checks[2].proxy, Proxy::kV2);
  EXPECT_EQ(config.pools[0].backends[0].max_connections, 20000U);
  EXPECT_EQ(config.services[0].proxy, Proxy::kV2);
  EXPECT_EQ(config.services[0].scheduler, Scheduler::kLeastConn);
  EXPECT_EQ(config.services[1].scheduler, Scheduler::kSource);
  EXPECT_EQ(config.services[2].scheduler, Scheduler::kWrr);
  EXPECT_EQ(config.services[2].proxy, Proxy::kV1);
}

TEST_F(Load, ReadsWhatSteersWeights) {
  const Config config = load_text(R"(
dataplane: { ports = ( { name = "wire"; device = "net_null0"; } ); };
checks: { relay: { type = "ehlo"; soft_weight = 0.25; }; strict: { type = "banner"; on_soft = "down"; }; };
pools = ( { name = "mta"; check = "relay"; max_shed = 0.3; slow_start = 60; tier_hold = 2.5; agent_interval = 1;
            passive: { enabled = false; max_greeting_ms = 2000; max_greeting_ratio = 4; max_soft_ratio = 0.3;
                       max_refused_ratio = 0.1; max_failed_ratio = 0.2; min_samples = 9; interval = 1; cooldown = 7; };
            backends = ( { name = "a"; address = "10.0.0.1"; agent = "10.0.0.1:9707"; },
                         { name = "b"; address = "10.0.0.2"; tier = 1; agent = "[2001:db8::2]:9707"; } ); } );
services = ( { name = "s"; vip = "192.0.2.1"; pool = "mta"; } );
)");
  EXPECT_EQ(config.checks[0].on_soft, OnSoft::kShed);
  EXPECT_EQ(config.checks[0].soft_weight, 0.25);
  EXPECT_EQ(config.checks[1].on_soft, OnSoft::kDown);
  const Pool& pool = config.pools[0];
  EXPECT_EQ(pool.max_shed, 0.3);
  EXPECT_EQ(pool.slow_start, milliseconds(60000));
  EXPECT_EQ(pool.tier_hold, milliseconds(2500));
  EXPECT_EQ(pool.agent_interval, milliseconds(1000));
  const Passive wanted{.enabled = false,
                       .max_greeting_ms = 2000,
                       .max_greeting_ratio = 4,
                       .max_soft_ratio = 0.3,
                       .max_refused_ratio = 0.1,
                       .max_failed_ratio = 0.2,
                       .min_samples = 9,
                       .interval = milliseconds(1000),
                       .cooldown = milliseconds(7000)};
  EXPECT_EQ(pool.passive, wanted);
  EXPECT_EQ(pool.backends[0].tier, 0U);
  EXPECT_EQ(pool.backends[1].tier, 1U);
  EXPECT_EQ(pool.backends[0].agent->to_string(), "10.0.0.1:9707");
  EXPECT_EQ(pool.backends[1].agent->to_string(), "[2001:db8::2]:9707");
}

TEST_F(Load, FillsInDefaults) {
  const Config config = load_text(kSmallest);
  EXPECT_EQ(config.instance, "sluice");
  EXPECT_EQ(config.dataplane.workers, 1U);
  EXPECT_EQ(config.dataplane.timers.established, 7440U);
  EXPECT_EQ(config.dataplane.on_table_full, OnTableFull::kStateless);
  EXPECT_EQ(config.dataplane.on_idle_expiry, OnIdleExpiry::kSilence);
  ASSERT_EQ(config.dataplane.ports.size(), 1U);
  EXPECT_EQ(config.dataplane.ports[0].faces, Faces::kBoth);
  EXPECT_EQ(config.dataplane.ports[0].twin, "sl-wire");
  EXPECT_EQ(config.control.api, "/run/sluice/sluice/control.sock");
  EXPECT_EQ(config.control.http, "127.0.0.1:9125");
  EXPECT_EQ(config.dataplane.flow_store, "auto");
  ASSERT_EQ(config.pools.size(), 1U);
  EXPECT_EQ(config.pools[0].check, "");
  EXPECT_EQ(config.pools[0].backends.at(0).weight, 100U);
  EXPECT_FALSE(config.pools[0].backends.at(0).port);
  EXPECT_FALSE(config.pools[0].backends.at(0).agent);
  EXPECT_EQ(config.pools[0].backends.at(0).tier, 0U);
  EXPECT_EQ(config.pools[0].slow_start, milliseconds(0));
  EXPECT_EQ(config.pools[0].max_shed, 0.5);
  EXPECT_TRUE(config.pools[0].passive.enabled);
  ASSERT_EQ(config.services.size(), 1U);
  EXPECT_EQ(config.services[0].port, 25);
  EXPECT_EQ(config.services[0].table_size, 65537U);
  EXPECT_EQ(config.services[0].on_backend_down, OnBackendDown::kReset);
  EXPECT_EQ(config.services[0].on_no_backend, OnNoBackend::k421);
  EXPECT_EQ(config.services[0].syn_proxy, SynProxy::kAuto);
  EXPECT_EQ(config.services[0].text_421, "4.3.2 try again later");
}

TEST_F(Load, ReadsTheDataplane) {
  const Dataplane dataplane = load_text(kFull).dataplane;
  EXPECT_EQ(dataplane.workers, 2U);
  EXPECT_EQ(dataplane.on_table_full, OnTableFull::kSilence);
  EXPECT_EQ(dataplane.on_idle_expiry, OnIdleExpiry::kReset);
  EXPECT_EQ(dataplane.lcores, "1,3");
  EXPECT_EQ(dataplane.idle, Idle::kSleep);
  EXPECT_EQ(dataplane.flow_capacity, 2048U);
  EXPECT_EQ(dataplane.burst, 64U);
  EXPECT_EQ(dataplane.memory_mb, 512U);
  EXPECT_FALSE(dataplane.hugepages);
  EXPECT_EQ(dataplane.flow_store, "/dev/shm");
  ASSERT_EQ(dataplane.ports.size(), 2U);
  EXPECT_EQ(dataplane.ports[0].name, "front");
  EXPECT_EQ(dataplane.ports[0].device, "net_af_xdp0,iface=lb-front");
  EXPECT_EQ(dataplane.ports[0].faces, Faces::kClients);
  EXPECT_EQ(dataplane.ports[0].twin, "slf0");
  EXPECT_EQ(dataplane.ports[0].vlan, 7);
  EXPECT_EQ(dataplane.ports[1].faces, Faces::kBackends);
  EXPECT_EQ(dataplane.timers.handshake, 30U);
  EXPECT_EQ(dataplane.timers.established, 3600U);
  EXPECT_EQ(dataplane.timers.closing, 120U);
  EXPECT_EQ(dataplane.timers.after_reset, 5U);
}

TEST_F(Load, ReadsControlAndChecks) {
  const Config config = load_text(kFull);
  EXPECT_EQ(config.control.api, "/run/api.sock");
  EXPECT_EQ(config.control.http, "");
  EXPECT_EQ(config.control.log_level, LogLevel::kDebug);
  EXPECT_EQ(config.control.log_format, LogFormat::kJson);
  const Check* greeting = config.find_check("greeting");
  ASSERT_NE(greeting, nullptr);
  EXPECT_EQ(greeting->type, CheckType::kBanner);
  EXPECT_EQ(greeting->port, 10025);
  EXPECT_EQ(greeting->interval, milliseconds(2000));
  EXPECT_EQ(greeting->jitter, 0);
  EXPECT_EQ(greeting->fast_interval, milliseconds(250));
  EXPECT_EQ(greeting->connect_timeout, milliseconds(1500));
  EXPECT_EQ(greeting->greeting_timeout, milliseconds(20000));
  EXPECT_EQ(greeting->command_timeout, milliseconds(4000));
  EXPECT_EQ(greeting->rise, 1U);
  EXPECT_EQ(greeting->fall, 5U);
  EXPECT_EQ(greeting->expect, "^220");
  EXPECT_EQ(greeting->reject, "busy");
  ASSERT_NE(config.find_check("open"), nullptr);
  EXPECT_EQ(config.find_check("open")->fast_interval, milliseconds(500)) << "never longer than the interval";
  EXPECT_EQ(config.find_check("none"), nullptr);
}

TEST_F(Load, ReadsPoolsAndServices) {
  const Config config = load_text(kFull);
  const Pool* pool = config.find_pool("mta");
  ASSERT_NE(pool, nullptr);
  EXPECT_EQ(pool->check, "greeting");
  EXPECT_EQ(pool->min_healthy, 1U);
  ASSERT_EQ(pool->backends.size(), 2U);
  EXPECT_EQ(pool->backends[0].address.to_string(), "2001:db8:1::10");
  EXPECT_EQ(pool->backends[0].weight, 7U);
  EXPECT_EQ(pool->backends[0].port, 10025);
  ASSERT_EQ(config.services.size(), 1U);
  const Service& service = config.services[0];
  EXPECT_EQ(service.name, "relay6");
  EXPECT_EQ(service.vip.to_string(), "2001:db8::25");
  EXPECT_EQ(service.port, 587);
  EXPECT_EQ(service.pool, "mta");
  EXPECT_EQ(service.check, "open");
  EXPECT_EQ(service.table_size, 251U);
  EXPECT_EQ(service.hash_on, HashOn::kClientPrefix);
  EXPECT_EQ(service.on_backend_down, OnBackendDown::kKeep);
  EXPECT_EQ(service.on_no_backend, OnNoBackend::kSilence);
  EXPECT_EQ(service.text_421, "4.7.0 closed");
  EXPECT_EQ(service.mss, 1400);
  EXPECT_EQ(config.find_pool("none"), nullptr);
}

TEST_F(Load, RefusesWithAResetWhereClientsSpeakFirst) {
  const Config config = load_text(R"(
    dataplane: { ports = ( { name = "front"; device = "net_null0"; } ); };
    checks: { tls: { type = "smtps"; }; };
    pools = ( { name = "mta"; backends = ( { name = "a"; address = "10.0.1.10"; } ); },
              { name = "tls"; check = "tls"; backends = ( { name = "a"; address = "10.0.1.10"; } ); } );
    services = ( { name = "relay"; vip = "192.0.2.25"; port = 25; pool = "mta"; },
                 { name = "submissions"; vip = "192.0.2.25"; port = 465; pool = "mta"; },
                 { name = "odd"; vip = "192.0.2.25"; port = 4650; pool = "tls"; },
                 { name = "odd2"; vip = "192.0.2.25"; port = 4651; pool = "mta"; check = "tls"; },
                 { name = "said"; vip = "192.0.2.25"; port = 4652; pool = "tls"; on_no_backend = "421"; } );)");
  ASSERT_EQ(config.services.size(), 5U);
  EXPECT_EQ(config.services[0].on_no_backend, OnNoBackend::k421);
  for (int i = 1; i < 4; i++) EXPECT_EQ(config.services[i].on_no_backend, OnNoBackend::kReset) << i;
  EXPECT_EQ(config.services[4].on_no_backend, OnNoBackend::k421);
}

TEST_F(Load, PutsTheRuntimeDirectoryWhereTheEnvironmentSays) {
  EXPECT_EQ(load_text(kFull).runtime_directory(), "/run/sluice/edge1");
  setenv("SLUICE_RUNTIME_DIR", "/tmp/lab", 1);
  const Config config = load_text(kSmallest);
  EXPECT_EQ(config.runtime_directory(), "/tmp/lab/sluice");
  EXPECT_EQ(config.channel_socket(), "/tmp/lab/sluice/channel.sock");
  EXPECT_EQ(config.control.api, "/tmp/lab/sluice/control.sock");
  setenv("SLUICE_RUNTIME_DIR", ("/" + std::string(100, 'x')).c_str(), 1);
  const auto too_long = load(directory_.path("test.cfg"));
  unsetenv("SLUICE_RUNTIME_DIR");
  ASSERT_FALSE(too_long);
  EXPECT_NE(too_long.error().front().message.find("longer than the path of a Unix socket"), std::string::npos);
}

TEST_F(Load, CountsABackendWithAPortOfItsOwnOnceForAllServices) {
  std::string text =
      "dataplane: { ports = ( { name = \"w\"; device = \"net_tap0\"; } ); };\npools = ( { name = \"mta\"; "
      "backends = (\n";
  for (int i = 0; i < 6000; i++)
    text += (i == 0 ? "" : ",\n") + std::string("{ name = \"mta") + std::to_string(i) +
            "\"; port = 2525; address = \"10.1." + std::to_string(i / 200) + "." + std::to_string(1 + i % 200) +
            "\"; }";
  text += "); } );\nservices = ( ";
  for (int i = 0; i < 3; i++)
    text += (i == 0 ? "" : ", ") + std::string("{ name = \"s") + std::to_string(i) +
            "\"; vip = \"192.0.2.25\"; port = " + std::to_string(25 + i) + "; pool = \"mta\"; }";
  EXPECT_EQ(load_text(text + " );").pools.at(0).backends.size(), 6000U);
}

TEST_F(Load, TakesThousandsOfBackends) {
  std::string text =
      "dataplane: { ports = ( { name = \"w\"; device = \"net_tap0\"; } ); };\npools = ( { name = \"mta\"; "
      "backends = (\n";
  for (int i = 0; i < 5000; i++)
    text += (i == 0 ? "" : ",\n") + std::string("{ name = \"mta") + std::to_string(i) + "\"; address = \"10.1." +
            std::to_string(i / 200) + "." + std::to_string(1 + i % 200) + "\"; }";
  text += "); } );\nservices = ( ";
  for (int i = 0; i < 3; i++)
    text += (i == 0 ? "" : ", ") + std::string("{ name = \"s") + std::to_string(i) +
            "\"; vip = \"192.0.2.25\"; port = " + std::to_string(25 + i) + "; pool = \"mta\"; }";
  EXPECT_EQ(load_text(text + " );").pools.at(0).backends.size(), 5000U);
  const auto too_many = load(
      directory_.write("test.cfg", text + ", { name = \"s3\"; vip = \"192.0.2.26\"; port = 28; pool = \"mta\"; } );"));
  ASSERT_FALSE(too_many);
  EXPECT_EQ(too_many.error().front().message,
            "services: 20000 backends, counted once for each port and check; allowed: at most 16384");
}

TEST_F(Load, SaysWhyAFileCannotBeRead) {
  const auto message = [](const std::string& path) {
    const auto config = load(path);
    return config ? "" : config.error().at(0).to_string();
  };
  const std::string missing = directory_.path("missing.cfg");
  EXPECT_EQ(message(missing), missing +
                                  ": cannot be read: No such file or directory; allowed: the path of a readable "
                                  "configuration file of at most 16 MiB");
  EXPECT_TRUE(message(directory_.path("")).starts_with(directory_.path("") + ": cannot be read: Is a directory; "));
  EXPECT_TRUE(message("/dev/zero").starts_with("/dev/zero: cannot be read: not a regular file; "));
  const std::string large = directory_.write("large.cfg", "");
  std::filesystem::resize_file(large, (16 << 20) + 1);
  EXPECT_TRUE(message(large).starts_with(large + ": cannot be read: larger than 16 MiB; "));
  EXPECT_TRUE(message("").starts_with(": cannot be read: "));
}

TEST_F(Load, IsWhatTheCheckCommandPrints) {
  const std::string path = directory_.write("test.cfg", kFull);
  std::ostringstream good;
  EXPECT_EQ(check_command(path, good), 0);
  EXPECT_EQ(good.str(), path +
                            ":6: warning: dataplane.hugepages: false, and port \"back\" is a card (0000:3b:00.1): "
                            "ordinary pages are for labs without one\n" +
                            path + ": ok: 1 pool, 2 backends, 1 service, 2 checks, 2 ports\n");
  std::ostringstream absent;
  EXPECT_EQ(
      check_command(path, absent, [](const Config&, Findings& findings) { findings.add("control.api", "is taken"); }),
      1);
  EXPECT_TRUE(absent.str().starts_with(path + ":11: control.api: is taken\n" + path + ":6: warning: ")) << absent.str();
  EXPECT_EQ(absent.str().find("ok"), std::string::npos);
  directory_.write("test.cfg", std::string(kSmallest) + "brust = 1;\nservices = ( );\n");
  std::ostringstream bad;
  EXPECT_EQ(check_command(path, bad), 1);
  EXPECT_EQ(bad.str(), path +
                           ":5: brust: unknown setting; allowed: \"instance\", \"dataplane\", \"control\", \"checks\", "
                           "\"pools\", \"services\", \"sources\", \"announce\", \"records\", \"fleet\"\n" +
                           path + ":6: \"services\" stands twice in its group, first on line 4; allowed: once\n");
}

}  // namespace
}  // namespace sluice::config
