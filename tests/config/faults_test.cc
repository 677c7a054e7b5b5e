// SPDX-License-Identifier: Apache-2.0
//
// What is refused of a single setting, on which line, and in which words.
#include "tests/config/cases.h"

namespace sluice::config {
namespace {

TEST(Faults, AreNoneInTheFileThatCasesStartFrom) {
  EXPECT_EQ(faults_of(file_with("", "")), std::vector<std::string>{});
}

TEST(Faults, NameWhatIsUnknownAndSuggest) {
  const Case cases[] = {
      {"dataplane", "wrokers = 2;", {R"(3: dataplane.wrokers: unknown setting (did you mean "workers"?); allowed...)"}},
      {"dataplane", "Burst = 2;", {R"(3: dataplane.Burst: unknown setting (did you mean "burst"?); allowed...)"}},
      {"dataplane", "zebra = true;", {"3: dataplane.zebra: unknown setting; allowed..."}},
      {"check", R"(helo = "x";)", {"5: checks.greet.helo: unknown setting; allowed..."}},
      {"backend",
       "tier = 1;",
       {R"(8: pools[0].backends[0].tier: unknown setting; allowed: "name", "address", "weight", "port")"}},
      {"service", "mss = 0;", {"11: services[0].mss: unknown setting; allowed..."}},
      {"top", "sources: { };", {"13: sources: unknown setting; allowed..."}},
      {"top", R"(announce: { bird_socket = "x"; };)", {"13: announce: unknown setting; allowed..."}},
      {"service",
       R"(schedular = "maglev";)",
       {R"(11: services[0].schedular: unknown setting (did you mean "scheduler"?); allowed...)"}},
      {"service",
       R"(scheduler = "wrr";)",
       {R"(11: services[0].scheduler: "wrr" is not one of its values; allowed: "maglev")"}},
      {"service",
       R"(scheduler = "magleev";)",
       {R"(11: services[0].scheduler: "magleev" is not one of its values (did you mean "maglev"?); allowed: "maglev")"}},
      {"service",
       R"(forwarding = "dsr";)",
       {R"(11: services[0].forwarding: "dsr" is not one of its values; allowed: "nat")"}},
      {"service", R"(proxy = "v2";)", {R"(11: services[0].proxy: "v2" is not one of its values; allowed: "none")"}},
      {"checks",
       R"(x: { type = "ehlo"; };)",
       {R"(6: checks.x.type: "ehlo" is not one of its values; allowed: "tcp", "banner")"}},
      {"dataplane",
       R"(idle = "Poll";)",
       {R"(3: dataplane.idle: "Poll" is not one of its values (did you mean "poll"?); allowed: "poll", "pause", "sleep")"}},
      {"control",
       R"(log = { level = "warning"; };)",
       {R"(4: control.log.level: "warning" is not one of its values (did you mean "warn"?); allowed: "debug", "info", "warn", "error")"}},
      {"service", "a*b = 1;", {R"(11: "a*b": a name may not have a '*'; allowed: letters, digits, '_' and '-')"}},
      {"dataplane",
       "wrokers = 2; brust = 3;",
       {R"(3: dataplane.wrokers: unknown setting (did you mean "workers"?); allowed...)",
        R"(3: dataplane.brust: unknown setting (did you mean "burst"?); allowed...)"}},
  };
  expect_faults(cases);
}

TEST(Faults, NameTypeAndRange) {
  const Case cases[] = {
      {"dataplane", R"(workers = "2";)", {"3: dataplane.workers: must be an integer, not a string; allowed: 1 to 64"}},
      {"dataplane",
       "workers = 2.5;",
       {"3: dataplane.workers: must be an integer, not a number with a fraction; allowed: 1 to 64"}},
      {"dataplane", "workers = 0;", {"3: dataplane.workers: 0 is out of range; allowed: 1 to 64"}},
      {"dataplane", "workers = -1;", {"3: dataplane.workers: -1 is out of range; allowed: 1 to 64"}},
      {"dataplane", "workers = 4294967297;", {"3: dataplane.workers: 4294967297 is out of range; allowed: 1 to 64"}},
      {"dataplane", "workers = 0x100000001;", {"3: dataplane.workers: 4294967297 is out of range; allowed: 1 to 64"}},
      {"dataplane",
       "workers = 99999999999999999999999;",
       {"3: dataplane.workers: 9223372036854775807 is out of range; allowed: 1 to 64"}},
      {"dataplane", "workers = 65;", {"3: dataplane.workers: 65 is out of range; allowed: 1 to 64"}},
      {"dataplane", "burst = 65;", {"3: dataplane.burst: 65 is out of range; allowed: 1 to 64"}},
      {"dataplane", "burst = true;", {"3: dataplane.burst: must be an integer, not a boolean; allowed: 1 to 64"}},
      {"dataplane",
       "hugepages = 1;",
       {"3: dataplane.hugepages: must be a boolean, not an integer; allowed: true or false, without quotes"}},
      {"dataplane",
       R"(hugepages = "yes";)",
       {"3: dataplane.hugepages: must be a boolean, not a string; allowed: true or false, without quotes"}},
      {"dataplane",
       "flow_capacity = 1023;",
       {"3: dataplane.flow_capacity: 1023 is out of range; allowed: 1024 to 67108864"}},
      {"dataplane",
       "flow_capacity = 67108865;",
       {"3: dataplane.flow_capacity: 67108865 is out of range; allowed: 1024 to 67108864"}},
      {"dataplane", "memory_mb = 63;", {"3: dataplane.memory_mb: 63 is out of range; allowed: 64 to 1048576 MB"}},
      {"dataplane", "lcores = 1;", {"3: dataplane.lcores: must be a string, not an integer; allowed..."}},
      {"dataplane", "lcores = [1, 2];", {"3: dataplane.lcores: must be a string, not an array; allowed..."}},
      {"dataplane",
       "timers = ( );",
       {"3: dataplane.timers: must be a group, not a list; allowed: { NAME = VALUE; ... }"}},
      {"dataplane",
       "timers: { handshake = 60.5; };",
       {"3: dataplane.timers.handshake: must be an integer, not a number with a fraction; allowed: 1 to 3600 s"}},
      {"dataplane",
       "timers: { closing = 0; };",
       {"3: dataplane.timers.closing: 0 is out of range; allowed: 1 to 3600 s"}},
      {"check", "interval = 0;", {"5: checks.greet.interval: 0 is out of range; allowed: 0.1 to 3600 s"}},
      {"check",
       R"(interval = "5s";)",
       {"5: checks.greet.interval: must be a number, not a string; allowed: 0.1 to 3600 s"}},
      {"check", "interval = 1e400;", {"5: checks.greet.interval: inf is out of range; allowed: 0.1 to 3600 s"}},
      {"check", "jitter = 0.6;", {"5: checks.greet.jitter: 0.6 is out of range; allowed: 0 to 0.5"}},
      {"check", "jitter = -0.1;", {"5: checks.greet.jitter: -0.1 is out of range; allowed: 0 to 0.5"}},
      {"check", "rise = 0;", {"5: checks.greet.rise: 0 is out of range; allowed: 1 to 100"}},
      {"check", "fall = 0;", {"5: checks.greet.fall: 0 is out of range; allowed: 1 to 100"}},
      {"check", "fall = 101;", {"5: checks.greet.fall: 101 is out of range; allowed: 1 to 100"}},
      {"check", "port = 0;", {"5: checks.greet.port: 0 is out of range; allowed: 1 to 65535"}},
      {"check", "port = 65536;", {"5: checks.greet.port: 65536 is out of range; allowed: 1 to 65535"}},
      {"check", "expect = 220;", {"5: checks.greet.expect: must be a string, not an integer; allowed..."}},
      {"checks", R"(x = "tcp";)", {"6: checks.x: must be a group, not a string; allowed: { NAME = VALUE; ... }"}},
      {"backend", "weight = -1;", {"8: pools[0].backends[0].weight: -1 is out of range; allowed: 0 to 65535"}},
      {"backend", "weight = 65536;", {"8: pools[0].backends[0].weight: 65536 is out of range; allowed: 0 to 65535"}},
      {"backends", ", 7", {"9: pools[0].backends[1]: must be a group, not an integer; allowed: { NAME = VALUE; ... }"}},
      {"backends",
       R"(, "mta2")",
       {"9: pools[0].backends[1]: must be a group, not a string; allowed: { NAME = VALUE; ... }"}},
      {"pool",
       "min_healthy = 1.5;",
       {"7: pools[0].min_healthy: must be an integer, not a number with a fraction; allowed: 0 to 16384"}},
      {"service", "port = 0;", {"11: services[0].port: 0 is out of range; allowed: 1 to 65535"}},
      {"service", "port = 70000;", {"11: services[0].port: 70000 is out of range; allowed: 1 to 65535"}},
      {"service", "vip6 = 1;", {R"(11: services[0].vip6: unknown setting (did you mean "vip"?); allowed...)"}},
      {"service", "table_size = 2;", {"11: services[0].table_size: 2 is out of range; allowed: 3 to 5000011"}},
      {"service",
       "hash_on = 1;",
       {R"(11: services[0].hash_on: must be a string, not an integer; allowed: "connection", "client", "client_prefix")"}},
      {"control",
       R"(log = "info";)",
       {"4: control.log: must be a group, not a string; allowed: { NAME = VALUE; ... }"}},
      {"control", "http = 9125;", {"4: control.http: must be a string, not an integer; allowed..."}},
      {"ports", "1", {"2: dataplane.ports[0]: must be a group, not an integer; allowed: { NAME = VALUE; ... }"}},
      {"ports",
       R"({ name = "wire"; device = "net_tap0"; vlan = 4095; })",
       {"2: dataplane.ports[0].vlan: 4095 is out of range; allowed: 0 to 4094"}},
  };
  expect_faults(cases);
}

TEST(Faults, NameTextThatIsNotAllowed) {
  const Case cases[] = {
      {"instance", "a/b", {R"(1: instance: "a/b" has a character that names may not have; allowed...)"}},
      {"instance", "..", {R"(1: instance: ".." does not start with a letter or digit; allowed...)"}},
      {"instance", "", {R"(1: instance: "" is empty; allowed...)"}},
      {"instance",
       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
       {R"(1: instance: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" is 64 bytes long; allowed...)"}},
      {"ports",
       R"({ name = "w x"; device = "net_tap0"; })",
       {R"(2: dataplane.ports[0].name: "w x" has a character that names may not have; allowed...)"}},
      {"ports", R"({ name = "w"; device = ""; })", {R"(2: dataplane.ports[0].device: "" is empty; allowed...)"}},
      {"ports",
       R"({ name = "w"; device = "net tap"; })",
       {R"(2: dataplane.ports[0].device: "net tap" does not start with the name of a device; allowed...)"}},
      {"ports",
       R"({ name = "w"; device = ",iface=x"; })",
       {R"(2: dataplane.ports[0].device: ",iface=x" does not start with the name of a device; allowed...)"}},
      {"ports",
       R"({ name = "w"; device = "net_tap0"; twin = "a234567890123456"; })",
       {R"(2: dataplane.ports[0].twin: "a234567890123456" is 16 bytes long; allowed...)"}},
      {"ports",
       R"({ name = "w"; device = "net_tap0"; twin = "a/b"; })",
       {R"(2: dataplane.ports[0].twin: "a/b" has a character that interface names may not have; allowed...)"}},
      {"ports",
       R"({ name = "w"; device = "net_tap0"; twin = ""; })",
       {R"(2: dataplane.ports[0].twin: "" is empty; allowed...)"}},
      {"dataplane",
       R"(lcores = "1-";)",
       {R"(3: dataplane.lcores: "1-" has "1-" where a core or a range of cores should stand; allowed...)"}},
      {"dataplane",
       R"(lcores = "3-1";)",
       {R"(3: dataplane.lcores: "3-1" has "3-1" where a core or a range of cores should stand; allowed...)"}},
      {"dataplane", R"(lcores = "1,1";)", {R"(3: dataplane.lcores: "1,1" has core 1 twice; allowed...)"}},
      {"dataplane",
       R"(lcores = "128";)",
       {R"(3: dataplane.lcores: "128" has "128" where a core or a range of cores should stand; allowed...)"}},
      {"dataplane",
       R"(lcores = "a";)",
       {R"(3: dataplane.lcores: "a" has "a" where a core or a range of cores should stand; allowed...)"}},
      {"dataplane",
       R"(flow_store = "huge";)",
       {R"(3: dataplane.flow_store: "huge" is not absolute; allowed: an absolute path, or "" for none)"}},
      {"control",
       R"(api = "control.sock";)",
       {R"(4: control.api: "control.sock" is not an absolute path; allowed: an absolute path of at most 107 bytes)"}},
      {"control",
       R"(api = "/run/";)",
       {R"(4: control.api: "/run/" is a directory; allowed: an absolute path of at most 107 bytes)"}},
      {"control",
       R"(http = "localhost:9125";)",
       {R"(4: control.http: "localhost:9125" has localhost where an address should stand; allowed...)"}},
      {"control", R"(http = "127.0.0.1";)", {R"(4: control.http: "127.0.0.1" has no port; allowed...)"}},
      {"control",
       R"(http = "::1:9125";)",
       {R"(4: control.http: "::1:9125" has ::1 where an address should stand; allowed...)"}},
      {"control",
       R"(http = "[127.0.0.1]:1";)",
       {R"(4: control.http: "[127.0.0.1]:1" has [127.0.0.1] where an address should stand; allowed...)"}},
      {"control",
       R"(http = "127.0.0.1:0";)",
       {R"(4: control.http: "127.0.0.1:0" has 0 where a port should stand; allowed...)"}},
      {"control",
       R"(http = "127.0.0.1:99999";)",
       {R"(4: control.http: "127.0.0.1:99999" has 99999 where a port should stand; allowed...)"}},
      {"check",
       R"(expect = "(";)",
       {R"(5: checks.greet.expect: "(" does not compile: Missing close parenthesis for group started at index 0; allowed...)"}},
      {"check",
       R"(expect = ".*";)",
       {R"(5: checks.greet.expect: ".*" matches every greeting, even an empty one; allowed...)"}},
      {"check", R"(expect = "";)", {R"(5: checks.greet.expect: "" is empty; allowed...)"}},
      {"check",
       R"(reject = "(?=a)b";)",
       {R"(5: checks.greet.reject: "(?=a)b" does not compile: Zero-width assertions are not supported; allowed...)"}},
      {"backends",
       R"(, { name = "x"; address = "mta2.example.net"; })",
       {R"(9: pools[0].backends[1].address: "mta2.example.net" is not an address; allowed: a unicast IPv4 or IPv6 address, such as "192.0.2.25")"}},
      {"backends",
       R"(, { name = "x"; address = "10.0.1.256"; })",
       {R"(9: pools[0].backends[1].address: "10.0.1.256" is not an address; allowed: a unicast IPv4 or IPv6 address, such as "192.0.2.25")"}},
      {"backends",
       R"(, { name = "x"; address = "127.0.0.1"; })",
       {R"(9: pools[0].backends[1].address: "127.0.0.1" is a loopback address; allowed: a unicast IPv4 or IPv6 address, such as "192.0.2.25")"}},
      {"backends",
       R"(, { name = "x"; address = "224.0.0.1"; })",
       {R"(9: pools[0].backends[1].address: "224.0.0.1" is a multicast address; allowed: a unicast IPv4 or IPv6 address, such as "192.0.2.25")"}},
      {"backends",
       R"(, { name = "x"; address = "0.0.0.0"; })",
       {R"(9: pools[0].backends[1].address: "0.0.0.0" is in 0.0.0.0/8, which no host has; allowed: a unicast IPv4 or IPv6 address, such as "192.0.2.25")"}},
      {"vip",
       "::",
       {R"(11: services[0].vip: "::" is the unspecified address; allowed: a unicast IPv4 or IPv6 address, such as "192.0.2.25")"}},
      {"vip",
       "::1",
       {R"(11: services[0].vip: "::1" is the loopback address; allowed: a unicast IPv4 or IPv6 address, such as "192.0.2.25")"}},
      {"vip",
       "ff02::1",
       {R"(11: services[0].vip: "ff02::1" is a multicast address; allowed: a unicast IPv4 or IPv6 address, such as "192.0.2.25")"}},
      {"vip",
       "fe80::1",
       {R"(11: services[0].vip: "fe80::1" is a link-local address, which means nothing off its link; allowed: a unicast IPv4 or IPv6 address, such as "192.0.2.25")"}},
      {"vip",
       "255.255.255.255",
       {R"(11: services[0].vip: "255.255.255.255" is in 240.0.0.0/4, which no host has; allowed: a unicast IPv4 or IPv6 address, such as "192.0.2.25")"}},
      {"vip",
       "192.0.2.25:25",
       {R"(11: services[0].vip: "192.0.2.25:25" is not an address; allowed: a unicast IPv4 or IPv6 address, such as "192.0.2.25")"}},
      {"vip",
       "192.0.2.0/24",
       {R"(11: services[0].vip: "192.0.2.0/24" is not an address; allowed: a unicast IPv4 or IPv6 address, such as "192.0.2.25")"}},
  };
  expect_faults(cases);
}

TEST(Faults, AreNoneForWhatLooksOddButIsRight) {
  const std::pair<const char*, const char*> right[] = {
      {"dataplane", "workers = 2.0; lcores = \"\";"},
      {"dataplane", "workers = 2; lcores = \"1-3,7\";"},
      {"dataplane", "timers: { established = 30; force = true; };"},
      {"dataplane", "flow_capacity = 67108864L; memory_mb = 0x400;"},
      {"check", "interval = 5.0; fast_interval = 5;"},
      {"check", "interval = 0.5;"},
      {"check", R"(expect = "^220[ -].*ESMTP"; reject = "maintenance";)"},
      {"backend", "weight = 0; port = 10025;"},
      {"backends", R"(, { name = "mta2"; address = "10.0.1.10"; port = 26; })"},
      {"control", R"(http = ""; api = "/run/other.sock";)"},
      {"control", R"(http = "[::1]:9125";)"},
      {"pool", "min_healthy = 1;"},
      {"service", "table_size = 3;"},
      {"services", R"(, { name = "submission"; vip = "192.0.2.25"; port = 587; pool = "mta"; })"},
      {"pools", R"(, { name = "spare"; backends = ( { name = "mta1"; address = "2001:db8::1"; } ); })"},
      {"ports",
       R"({ name = "a"; device = "3b:00.0,representor=0"; }, { name = "b"; device = "3b:00.0,representor=1"; })"},
      {"top", "// the end"},
  };
  for (const auto& [part, text] : right) {
    SCOPED_TRACE(std::string(part) + " = " + text);
    EXPECT_EQ(faults_of(file_with(part, text)), std::vector<std::string>{});
  }
}

TEST(Faults, AreNotFollowedByOthersThatTheyCause) {
  // A service that refers to a pool with a faulty name, and a backend whose port is unknown.
  const std::vector<std::string> wanted{
      "1: pools[0].name: \"m t\" has a character that names may not have; allowed: 1 to 63 letters, digits, '.', '_' "
      "or '-', "
      "of which the first is a letter or digit",
      "2: pools[0].backends[0].port: 0 is out of range; allowed: 1 to 65535",
  };
  EXPECT_EQ(
      faults_of(
          "pools = ( { name = \"m t\"; backends = (\n"
          "{ name = \"a\"; address = \"10.0.0.1\"; port = 0; }, { name = \"b\"; address = \"10.0.0.1\"; } ); } );\n"
          "services = ( { name = \"s\"; vip = \"192.0.2.1\"; pool = \"m t\"; } );\n"
          "dataplane: { ports = ( { name = \"w\"; device = \"net_tap0\"; } ); };\n"),
      wanted);
}

TEST(Faults, SayWhatAnEmptyFileLacks) {
  const std::vector<std::string> wanted{"1: dataplane.ports: no port is defined; allowed: 1 to 16",
                                        "1: pools: no pool is defined; allowed: at least one",
                                        "1: services: no service is defined; allowed: at least one"};
  EXPECT_EQ(faults_of(""), wanted);
  EXPECT_EQ(faults_of("// nothing\n\n"), wanted);
}

}  // namespace
}  // namespace sluice::config
