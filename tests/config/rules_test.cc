// SPDX-License-Identifier: Apache-2.0
//
// What is refused because of other settings: names that stand twice, references, contradictions.
#include "tests/config/cases.h"

namespace sluice::config {
namespace {

TEST(Rules, NameWhatStandsTwice) {
  const Case cases[] = {
      {"dataplane",
       "workers = 1; workers = 2; burst = 65;",
       {R"(3: "workers" stands twice in its group, first on line 3; allowed: once)",
        "3: dataplane.burst: 65 is out of range; allowed: 1 to 64"}},
      {"ports",
       R"({ name = "a"; device = "net_tap0"; }, { name = "a"; device = "net_tap1"; twin = "t"; })",
       {R"(2: dataplane.ports[1].name: "a" is that of another port, on line 2; allowed: one of its own)"}},
      {"ports",
       R"({ name = "a"; device = "net_af_xdp0,iface=x"; }, { name = "b"; device = "net_af_xdp0,iface=y"; })",
       {R"(2: dataplane.ports[1].device: "net_af_xdp0" is that of another port, on line 2; allowed: one of its own)"}},
      {"ports",
       R"({ name = "a"; device = "net_tap0"; twin = "t"; }, { name = "b"; device = "net_tap1"; twin = "t"; })",
       {R"(2: dataplane.ports[1].twin: "t" is that of another port, on line 2; allowed: one of its own)"}},
      {"checks",
       R"(tls: { type = "smtps"; verify = true; };)",
       {"6: checks.tls.verify: true, and there is no name to hold the certificate against: anybody's would do; "
        "allowed: with the servers' name, or address, as `server_name`"}},
      {"checks",
       R"(tls: { type = "starttls"; tlsa = true; };)",
       {"6: checks.tls.tlsa: true, and there is no name to look up; allowed: with the servers' name as "
        "`server_name`"}},
      {"checks",
       R"(tls: { type = "starttls"; mta_sts = true; server_name = "192.0.2.25"; };)",
       {"6: checks.tls.mta_sts: true, and `server_name` is the address 192.0.2.25; allowed: with a name, which the DNS "
        "can be asked for"}},
      {"checks",
       R"(tls: { type = "smtps"; mta_sts = true; server_name = "mx"; };)",
       {"6: checks.tls.mta_sts: true, and mx is of no domain; allowed: with `mail_domain`"}},
      {"checks", R"(tls: { type = "smtps"; mta_sts = true; server_name = "mx"; mail_domain = "example.net"; };)", {}},
      {"checks",
       R"(tls: { type = "smtps"; tlsa = true; server_name = "mx.example.org"; mail_domain = "example.net"; };)",
       {}},
      {"checks", R"(tls: { type = "smtps"; tlsa = true; server_name = "mx"; };)", {}},
      {"checks",
       R"(tls: { type = "smtps"; server_name = "mx.example.org"; mail_domain = "example.net"; };)",
       {"6: checks.tls.mail_domain: does not apply here; allowed: only with tlsa = true or mta_sts = true"}},
      {"checks", R"(tls: { type = "starttls"; tlsa = true; mta_sts = true; server_name = "mx.example.net"; };)", {}},
      {"checks", "greet: { };", {R"(6: "greet" stands twice in its group, first on line 5; allowed: once)"}},
      {"backends",
       R"(, { name = "mta1"; address = "10.0.1.11"; })",
       {R"(9: pools[0].backends[1].name: "mta1" is the name of another backend of this pool, on line 8; allowed: a name of its own)"}},
      {"backends",
       R"(, { name = "mta2"; address = "10.0.1.10"; })",
       {"9: pools[0].backends[1].address: 10.0.1.10 is in this pool already, on line 8; allowed: each endpoint once"}},
      {"backends",
       R"(, { name = "mta2"; address = "10.0.1.10"; port = 25; })",
       {R"(9: pools[0].backends[1].address: 10.0.1.10 port 25 is the endpoint of another backend, on line 8, for service "relay"; allowed: each endpoint once)"}},
      {"backends",
       R"(, { name = "mta2"; address = "::ffff:10.0.1.10"; })",
       {"9: pools[0].backends[1].address: 10.0.1.10 is in this pool already, on line 8; allowed: each endpoint once"}},
      {"pools",
       R"(, { name = "mta"; backends = ( { name = "x"; address = "10.0.1.11"; } ); })",
       {R"(10: pools[1].name: "mta" is the name of another pool, on line 7; allowed: a name of its own)"}},
      {"services",
       R"(, { name = "relay"; vip = "192.0.2.26"; pool = "mta"; })",
       {R"(12: services[1].name: "relay" is the name of another service, on line 11; allowed: a name of its own)"}},
      {"services",
       R"(, { name = "again"; vip = "192.0.2.25"; port = 25; pool = "mta"; })",
       {"12: services[1]: 192.0.2.25 port 25 is that of another service, on line 11; allowed: one service per vip and "
        "port"}},
      {"top",
       R"(instance = "other";)",
       {R"(13: "instance" stands twice in its group, first on line 1; allowed: once)"}},
  };
  expect_faults(cases);
}

TEST(Rules, HoldEachForwardingToWhatItCanDo) {
  const Case cases[] = {
      {"service", R"(forwarding = "fullnat"; proxy = "v2";)", {}},
      {"service", R"(forwarding = "dsr";)", {}},
      {"service", R"(forwarding = "ipip"; mss = 1400; on_backend_down = "keep";)", {}},
      {"service",
       R"(forwarding = "dsr"; proxy = "v2";)",
       {R"(11: services[0].proxy: no header can be put into a connection of which one half is seen (forwarding = "dsr"); allowed: "none", the backend sees the client's own address)"}},
      {"service",
       R"(forwarding = "gue"; proxy = "v1";)",
       {R"(11: services[0].proxy: no header can be put into a connection of which one half is seen (forwarding = "gue")...)"}},
      {"service",
       R"(forwarding = "tunnel";)",
       {R"(11: services[0].forwarding: "tunnel" is not one of its values; allowed: "nat", "fullnat", "dsr", "ipip", "gue")"}},
      // Any family goes to any backend, but for the modes that rewrite addresses.
      {"vip", "2001:db8::25\"; forwarding = \"dsr", {}},
      {"vip", "2001:db8::25\"; forwarding = \"ipip", {}},
      {"vip", "2001:db8::25\"; forwarding = \"gue", {}},
      {"vip",
       "2001:db8::25\"; forwarding = \"fullnat",
       {R"(11: services[0].vip: 2001:db8::25 is IPv6, but backend "mta1" of pool "mta" is 10.0.1.10 (IPv4); allowed with forwarding = "fullnat": one family)"}},
      {"backend", "port = 25;", {}},
  };
  expect_faults(cases);
}

TEST(Rules, RefuseAPortThatATunnelCannotReach) {
  for (const char* mode : {"dsr", "ipip", "gue"}) {
    const std::string text =
        R"(, { name = "own"; backends = ( { name = "a"; address = "10.0.2.1"; port = 2525; } ); })";
    std::string file = file_with("pools", text);
    const std::string service =
        std::string(R"(, { name = "direct"; vip = "192.0.2.26"; pool = "own"; forwarding = ")") + mode + R"("; })";
    const size_t at = file.find(" );", file.find("services = ("));
    file.insert(at, service);
    EXPECT_EQ(
        faults_of(file),
        std::vector<std::string>{
            std::string(
                R"(10: pools[1].backends[0].port: 2525 is not port 25 of service "direct", whose forwarding = ")") +
            mode + R"(" leaves the port as it is; allowed: 25, or none)"});
  }
}

TEST(Rules, HoldTheSegmentSizeToWhatHostsTake) {
  const Case cases[] = {
      {"service", "mss = 0;", {}},
      {"service", "mss = 536;", {}},
      {"service",
       "mss = 535;",
       {"11: services[0].mss: 535 is less than every host takes; allowed: 0 (as announced), or 536 to 65495 bytes"}},
      {"service", "mss = 65496;", {"11: services[0].mss: 65496 is out of range; allowed: 0 to 65495 bytes"}},
  };
  expect_faults(cases);
}

TEST(Rules, SynProxySeesBothHalves) {
  const Case cases[] = {
      {"service", R"(syn_proxy = "always";)", {}},
      {"service", R"(syn_proxy = "off"; forwarding = "dsr";)", {}},
      {"service",
       R"(syn_proxy = "on";)",
       {R"(11: services[0].syn_proxy: "on" is not one of its values; allowed: "auto", "always", "off")"}},
      {"service",
       R"(syn_proxy = "always"; forwarding = "dsr";)",
       {R"(11: services[0].syn_proxy: "always" needs both halves of a connection to go through us (forwarding = "dsr" sees one); allowed: "off")"}},
  };
  expect_faults(cases);
}

TEST(Rules, HoldRefusalsToWhatClientsUnderstand) {
  const Case cases[] = {
      {"service", R"(on_no_backend = "421"; text_421 = "4.3.2 try again later";)", {}},
      {"service", R"(on_no_backend = "silence";)", {}},
      {"service",
       R"(on_no_backend = "500";)",
       {R"(11: services[0].on_no_backend: "500" is not one of its values; allowed: "421", "reset", "silence")"}},
      {"service",
       R"(text_421 = "5.3.2 never";)",
       {R"(11: services[0].text_421: "5.3.2 never" does not begin with an enhanced status code of class 4 and go on; allowed: an enhanced status code and words, such as "4.3.2 try again later", in at most 55 bytes of ASCII)"}},
      {"service", R"(text_421 = "4.3.2";)", {R"(11: services[0].text_421: "4.3.2" does not begin with...)"}},
      {"service", R"(text_421 = "4.3.2x y";)", {R"(11: services[0].text_421: "4.3.2x y" does not begin with...)"}},
      {"service", R"(text_421 = "4.3.2345 y";)", {R"(11: services[0].text_421: "4.3.2345 y" does not begin with...)"}},
      {"service", R"(text_421 = "4..2 y";)", {R"(11: services[0].text_421: "4..2 y" does not begin with...)"}},
      {"service",
       "text_421 = \"4.3.2 gr\u00fc\u00dfe\";",
       {"11: services[0].text_421: \"4.3.2 gr\u00fc\u00dfe\" has a character that is not ASCII..."}},
      {"service", R"(text_421 = "4.3.2 a\r\n250 b";)", {"11: services[0].text_421: \"4.3.2 a..."}},
      {"services", R"(, { name = "s"; vip = "192.0.2.26"; port = 465; pool = "mta"; })", {}},
      {"services",
       R"(, { name = "s"; vip = "192.0.2.26"; port = 465; pool = "mta"; on_no_backend = "421"; })",
       {R"(12: services[1].on_no_backend: "421" is plain text, and on port 465 clients wait for TLS; allowed: "reset", "silence")"}},
  };
  expect_faults(cases);
}

TEST(Rules, NameReferencesToNothing) {
  const Case cases[] = {
      {"services",
       R"(, { name = "s"; vip = "192.0.2.26"; pool = "mtaa"; })",
       {R"(12: services[1].pool: there is no pool "mtaa" (did you mean "mta"?); allowed: "mta")"}},
      {"services",
       R"(, { name = "s"; vip = "192.0.2.26"; pool = "web"; })",
       {R"(12: services[1].pool: there is no pool "web"; allowed: "mta")"}},
      {"service",
       R"(check = "greeting";)",
       {R"(11: services[0].check: there is no check "greeting" (did you mean "greet"?); allowed: "greet")"}},
      {"pools",
       R"(, { name = "p"; check = "x"; backends = ( { name = "x"; address = "10.0.1.11"; } ); })",
       {R"(10: pools[1].check: there is no check "x"; allowed: "greet")"}},
  };
  expect_faults(cases);
}

TEST(Rules, NameContradictions) {
  const Case cases[] = {
      {"dataplane",
       R"(workers = 3; lcores = "1-2";)",
       {R"(3: dataplane.lcores: "1-2" gives 2 cores to 3 workers; allowed: at least one core for each worker)"}},
      {"dataplane",
       "timers: { established = 659; };",
       {"3: dataplane.timers.established: 659 cuts sessions that are well, which may be silent for 10 minutes (RFC "
        "5321 section 4.5.3.2); allowed: 660 s and more, or less with force = true"}},
      {"service",
       "idle_timeout = 600;",
       {"11: services[0].idle_timeout: 600 cuts sessions that are well, which may be silent for 10 minutes (RFC 5321 "
        "section 4.5.3.2); allowed: 660 s and more, or less with dataplane.timers.force = true"}},
      {"service", "idle_timeout = 900;", {}},
      {"service", "idle_timeout = 0;", {"11: services[0].idle_timeout: 0 is out of range; allowed: 1 to 604800 s"}},
      {"ports", "", {"2: dataplane.ports: no port is defined; allowed: 1 to 16"}},
      {"ports",
       R"({ name = "a"; device = "net_tap0"; faces = "clients"; })",
       {R"(2: dataplane.ports: no port faces backends; allowed: one with faces = "backends" or "both")"}},
      {"ports",
       R"({ name = "a"; device = "net_tap0"; faces = "backends"; })",
       {R"(2: dataplane.ports: no port faces clients; allowed: one with faces = "clients" or "both")"}},
      {"ports",
       R"({ name = "longer-than-12"; device = "net_tap0"; })",
       {R"(2: dataplane.ports[0].twin: "sl-longer-than-12", made from the port's name, is longer than 15 bytes; set a shorter one)"}},
      {"ports",
       R"({ name = "a"; device = "net_af_xdp0,iface=eth1,start_queue=0"; twin = "eth1"; })",
       {R"(2: dataplane.ports[0].twin: "eth1" is the interface of a device; allowed: a name that is not in use)"}},
      {"check",
       "fast_interval = 6;",
       {"5: checks.greet.fast_interval: 6 is longer than the interval; allowed: at most 5"}},
      {"check",
       "interval = 2; fast_interval = 2.5;",
       {"5: checks.greet.fast_interval: 2.5 is longer than the interval; allowed: at most 2"}},
      {"checks",
       R"(x: { type = "tcp"; expect = "220"; };)",
       {R"(6: checks.x.expect: does not apply here; allowed: only with a type other than "tcp")"}},
      {"checks",
       R"(x: { greeting_timeout = 5; command_timeout = 5; reject = "x"; };)",
       {R"(6: checks.x.greeting_timeout: does not apply here; allowed: only with a type other than "tcp")",
        R"(6: checks.x.command_timeout: does not apply here; allowed: only with a type other than "tcp")",
        R"(6: checks.x.reject: does not apply here; allowed: only with a type other than "tcp")"}},
      {"pool", "min_healthy = 2;", {"7: pools[0].min_healthy: 2 is more than the pool has backends; allowed: 0 to 1"}},
      {"service",
       "table_size = 65536;",
       {"11: services[0].table_size: 65536 is not a prime; allowed: a prime from 3 to 5000011, the next is 65537"}},
      {"vip",
       "10.0.1.10",
       {"8: pools[0].backends[0].address: 10.0.1.10 is the VIP of a service, on line 11; allowed: an address of the "
        "mail server itself"}},
      {"vip",
       "2001:db8::25",
       {R"(11: services[0].vip: 2001:db8::25 is IPv6, but backend "mta1" of pool "mta" is 10.0.1.10 (IPv4); allowed with forwarding = "nat": one family)"}},
      {"backends",
       R"(, { name = "six"; address = "2001:db8::1"; })",
       {R"(11: services[0].vip: 192.0.2.25 is IPv4, but backend "six" of pool "mta" is 2001:db8::1 (IPv6); allowed with forwarding = "nat": one family)"}},
      {"control",
       R"(api = "/run/sluice/test/channel.sock";)",
       {"4: control.api: /run/sluice/test/channel.sock is the socket of the data plane; allowed: any other path"}},
      {"top",
       "announce: { table = 254; metric = 200; };",
       {"13: announce.table: 254 is a table of the kernel's; allowed: one of our own, neither 253, 254 nor 255",
        "13: announce.draining_metric: 200 is not above the metric, 200: the least is preferred; allowed: 201 and "
        "more"}},
      {"top",
       "announce: { metric = 4294967295; };",
       {"13: announce.draining_metric: 200 is not above the metric, 4294967295: the least is preferred; allowed: any, "
        "with a lower metric"}},
      {"top", R"(announce: { mode = "routes"; table = 4294967295; protocol = 186; hold_down = 0; };)", {}},
      {"top", R"(fleet: { node = "edge1"; };)", {}},
      {"top", R"(fleet: { peers = { listen = "10.9.0.1:2526"; to = ["10.9.0.2:2526"]; key_file = "/k"; }; };)", {}},
      {"top",
       R"(fleet: { peers = { to = ["10.9.0.2:2526"]; key_file = "/k"; }; };)",
       {"13: fleet.peers: has no `listen`; allowed: with `listen`, `to` and `key_file`"}},
      {"top",
       R"(fleet: { peers = { listen = "10.9.0.1:2526"; key_file = "/k"; }; };)",
       {"13: fleet.peers: has nobody in `to`; allowed: the addresses of the other nodes"}},
      {"top",
       R"(fleet: { peers = { listen = "10.9.0.1:2526"; to = ["10.9.0.1:2526", "[fd00::2]:2526", "[fd00::2]:2526"]; }; };)",
       {"13: fleet.peers: has no `key_file`: anybody could speak for a node; allowed: with `listen`, `to` and "
        "`key_file`",
        "13: fleet.peers.to: 10.9.0.1:2526 is where this node listens; allowed: the other nodes",
        "13: fleet.peers.to: [fd00::2]:2526 is of another family than listen, 10.9.0.1:2526; allowed: one of them for "
        "all",
        "13: fleet.peers.to: [fd00::2]:2526 is of another family than listen, 10.9.0.1:2526; allowed: one of them for "
        "all",
        "13: fleet.peers.to: [fd00::2]:2526 stands twice; allowed: each node once"}},
      {"top",
       R"(fleet: { peers = { listen = "10.9.0.1:2526"; to = ["10.9.0.2:2526"]; key_file = "/k"; addresses = ["10.0.1.2"]; }; };)",
       {}},
      {"top",
       R"(fleet: { peers = { addresses = ["10.0.1.2"]; }; };)",
       {"13: fleet.peers: has no `listen`; allowed: with `listen`, `to` and `key_file`"}},
      {"top",
       R"(fleet: { peers = { listen = "10.9.0.1:2526"; to = ["10.9.0.2:2526"]; key_file = "/k"; addresses = ["10.0.1.2", "10.0.1.2", "192.0.2.25"]; }; };)",
       {"13: fleet.peers.addresses: 10.0.1.2 stands twice; allowed: each address once",
        "13: fleet.peers.addresses: 192.0.2.25 is a VIP; allowed: what the other nodes have on their networks with "
        "mail "
        "servers"}},
      {"top",
       R"(fleet: { etcd = { endpoints = ["https://10.9.0.9:2379"]; cert_file = "/c"; key_file = "/k"; }; };)",
       {}},
      {"top",
       R"(fleet: { etcd = { prefix = "/sluice/mx"; }; };)",
       {"13: fleet.etcd: has no `endpoints`; allowed: where at least one of its members is"}},
      {"top",
       R"(fleet: { etcd = { endpoints = ["https://10.9.0.9:2379"]; cert_file = "/c"; }; };)",
       {"13: fleet.etcd: has `cert_file` alone; allowed: `cert_file` and `key_file`, or neither"}},
      {"top",
       R"(fleet: { etcd = { endpoints = ["https://10.9.0.9:2379"]; key_file = "/k"; }; };)",
       {"13: fleet.etcd: has `key_file` alone; allowed: `cert_file` and `key_file`, or neither"}},
  };
  expect_faults(cases);
}

TEST(Rules, NameWhatIsMissing) {
  const Case cases[] = {
      {"ports",
       R"({ device = "net_tap0"; })",
       {"2: dataplane.ports[0].name: is missing: what we call the port; allowed..."}},
      {"ports",
       R"({ name = "w"; })",
       {R"(2: dataplane.ports[0].device: is missing: the device DPDK opens, or "bond"; allowed...)"}},
      {"backends",
       R"(, { address = "10.0.1.11"; })",
       {"9: pools[0].backends[1].name: is missing: its name within the pool; placement depends on it; allowed..."}},
      {"backends",
       R"(, { name = "x"; })",
       {"9: pools[0].backends[1].address: is missing: where it is; allowed: a unicast IPv4 or IPv6 address"}},
      {"backends",
       ", { }",
       {"9: pools[0].backends[1].name: is missing: its name within the pool; placement depends on it; allowed...",
        "9: pools[0].backends[1].address: is missing: where it is; allowed: a unicast IPv4 or IPv6 address"}},
      {"pools",
       R"(, { name = "empty"; })",
       {"10: pools[1].backends: the pool has no backend; allowed: at least one, or `discover`"}},
      {"pools",
       R"(, { name = "empty"; backends = ( ); })",
       {"10: pools[1].backends: the pool has no backend; allowed: at least one, or `discover`"}},
      {"services",
       ", { }",
       {"12: services[1].name: is missing: what the operator calls it; allowed...",
        "12: services[1].vip: is missing: the address that clients connect to; allowed: a unicast IPv4 or IPv6 address",
        "12: services[1].pool: is missing: a pool of `pools`; allowed..."}},
  };
  expect_faults(cases);
}

TEST(Rules, HoldTheTableToTheBackends) {
  std::string backends;
  for (int i = 2; i <= 12; i++)
    backends += ", { name = \"mta" + std::to_string(i) + "\"; address = \"10.0.2." + std::to_string(i) + "\"; }";
  std::string file = file_with("backends", backends);
  const std::string pool = "pool = \"mta\";";
  file.replace(file.find(pool), pool.size(), pool + " table_size = 11;");
  const std::vector<std::string> wanted{
      "11: services[0].table_size: 11 is less than the 12 backends of pool \"mta\"; allowed: a prime of at least 13"};
  EXPECT_EQ(faults_of(file), wanted);
}

}  // namespace
}  // namespace sluice::config
