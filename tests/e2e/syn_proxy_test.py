# SPDX-License-Identifier: Apache-2.0
"""SYN cookies in a mail server's place, between real kernels and real mail servers: all doors and families, long mails, PROXY headers,
fullnat, servers that are not there, restarts, and who begins and ends it."""
import json

import pytest

from lab.lab import DOMAIN
from lab.network import VIP4, VIP6
from lab.peers import Exim, OpenSmtpd
from lab.shell import run, wait_until

DOORS = [[25, "plain"], [587, "starttls"], [465, "tls"]]
ALWAYS = (('pool = "mta";', 'pool = "mta"; syn_proxy = "always";'), ('pool = "mta6";', 'pool = "mta6"; syn_proxy = "always";'))


def deliver(lab, sessions=120, messages=2, size=20_000, doors=DOORS):
    """Mail by both families and all doors; nothing of it may be lost. Returns the counters."""
    mailers = [(lab.mailer(target=target, doors=doors, sessions=count, messages=messages, size=size), count)
               for target, count in ((VIP4, sessions), (VIP6, sessions // 2))]
    for mailer, count in mailers:
        mailer.wait()
        assert mailer.outcomes == {"delivered": count}, mailer.summary()
    lab.wait_delivered()
    result = lab.tally()
    assert result.clean, result
    counters = lab.balancer.require_counter_law()
    assert counters["syn_cookies_accepted"] == sessions + sessions // 2, counters
    assert counters["syn_cookies_sent"] >= counters["syn_cookies_accepted"]
    assert counters["segments_not_believed"] <= 0.05 * sessions and counters["syn_proxy_failed"] == 0, counters  # resets that come late
    return counters


def test_mail_by_every_door_and_family(lab, config):
    lab.start_backends()
    lab.start_balancer(config(*ALWAYS))
    deliver(lab)
    lab.balancer.require_running()


def test_long_mails_through_windows_of_other_scales(lab, config):
    """Servers scale windows by 2 or 10, clients by others; megabytes go through them."""
    lab.start_backends()
    for index, namespace in enumerate(lab.network.backends):
        limits = ("4096 65536 65536", "4096 131072 33554432", "4096 131072 67108864")[index % 3]
        run("sysctl", "-qw", f"net.ipv4.tcp_rmem={limits}", namespace=namespace)
    lab.start_balancer(config(*ALWAYS))
    deliver(lab, sessions=20, messages=1, size=4_000_000, doors=[[25, "plain"]])


@pytest.mark.parametrize("without", ["tcp_timestamps", "tcp_window_scaling", "tcp_sack"])
@pytest.mark.parametrize("side", ["clients", "backends"])
def test_ends_without_options(lab, config, side, without):
    lab.start_backends()
    for namespace in getattr(lab.network, side):
        run("sysctl", "-qw", f"net.ipv4.{without}=0", namespace=namespace)
    lab.start_balancer(config(*ALWAYS))
    deliver(lab, sessions=20, messages=1, size=300_000, doors=[[25, "plain"]])


def test_proxy_headers_come_first(lab, config):
    lab.start_backends(main_extra="smtpd_upstream_proxy_protocol = haproxy")
    changes = [(old, new + ' proxy = "v2";') for old, new in ALWAYS]
    lab.start_balancer(config(*changes, ('greeting:  { type = "banner";', 'greeting:  { type = "ehlo"; proxy = "v2";'),
                              ('handshake: { type = "tcp"; ', 'handshake: { type = "smtps"; proxy = "v2";')))
    counters = deliver(lab)
    assert counters["proxy_headers_sent"] == 180
    assert any("connect from unknown[192.0.2.1" in backend.log.read_text() for backend in lab.backends)


def test_fullnat(lab, config):
    lab.start_backends()
    lab.start_balancer(config(*((old, new + ' forwarding = "fullnat";') for old, new in ALWAYS)))
    deliver(lab)


@pytest.mark.parametrize("peer", ["exim", "opensmtpd"])
@pytest.mark.long
def test_other_mail_servers(lab, config, peer):
    certificate, key = lab.authority.issue("mta", [f"mta{i + 1}.{DOMAIN}" for i in range(len(lab.network.backends))])
    servers = []
    for i, namespace in enumerate(lab.network.backends):
        # OpenSMTPD lets five wait. With cookies of its own its kernel forgets whom it had no room for, and they hang, balancer or not.
        run("sysctl", "-qw", "net.ipv4.tcp_syncookies=0", namespace=namespace)
        root = lab.directory / f"mta{i + 1}"
        servers.append(Exim(f"mta{i + 1}", namespace, root, certificate, key, extra="dns_retrans = 1s\ndns_retry = 1") if peer == "exim"
                       else OpenSmtpd(f"mta{i + 1}", namespace, root))
        servers[-1].start()
    lab.start_balancer(config(*ALWAYS), healthy=False)
    for i in range(len(servers)):
        lab.balancer.wait_state("mta", f"mta{i + 1}", 25, up=True)
    mailer = lab.mailer(target=VIP4, sessions=30, messages=1, size=2000).wait()
    assert mailer.outcomes == {"delivered": 30}, mailer.summary()
    wait_until(lambda: sum(1 for server in servers for _ in server.stored()) >= 30, 120, "30 messages stored")


@pytest.mark.parametrize("verdict", ["reject with tcp reset", "drop"])
def test_a_server_that_is_not_there_is_followed_by_another(lab, config, verdict):
    """It refuses or is silent, and no check has found out yet."""
    lab.start_greeters()
    lab.start_balancer(config(*ALWAYS, ('type = "banner"; interval = 1.0;', 'type = "banner"; interval = 60.0;')))
    run("nft", "-f", "-", namespace=lab.network.backends[0], stdin="table inet shut { chain arrivals { type filter hook input priority 0;\n"
        f"tcp dport 25 tcp flags syn / fin,syn,rst,ack {verdict}\n}}\n}}\n")
    mailer = lab.mailer(target=VIP4, doors=[[25, "plain"]], sessions=30, messages=0, timeout_s=30).wait()
    counters = lab.balancer.require_counter_law()
    assert mailer.outcomes == {"delivered": 30}, mailer.summary()
    assert counters["syn_proxy_moved"] > 3 and counters["syn_proxy_failed"] == 0, counters


def lose_first_acks(lab):
    """Clients' kernels lose the first ACK of each connection to port 25, the one that ends the handshake."""
    for namespace in lab.network.clients:
        run("nft", "-f", "-", namespace=namespace, stdin="table inet lossy {\n  set met { type inet_service; flags dynamic; size 65535; }\n"
            "  chain leaving { type filter hook output priority 0;\n"
            "    tcp dport 25 tcp flags & (fin | syn | rst | ack) == ack tcp sport != @met add @met { tcp sport } counter drop\n  }\n}\n")


def test_a_client_whose_ack_is_lost_is_greeted_all_the_same(lab, config):
    """It waits for the server to speak, and nobody but us could remind it."""
    lab.start_greeters()
    lab.start_balancer(config(*ALWAYS))
    lose_first_acks(lab)
    for target in (VIP4, VIP6):
        mailer = lab.mailer(target=target, doors=[[25, "plain"]], sessions=20, messages=0, timeout_s=30).wait()
        assert mailer.outcomes == {"delivered": 20}, mailer.summary()
    counters = lab.balancer.require_counter_law()
    assert counters["syn_acks_resent"] >= 40 and counters["syn_proxy_failed"] == 0, counters


def test_a_client_whose_ack_is_lost_is_told_421_all_the_same(lab, config):
    lab.start_greeters()
    lab.start_balancer(config())
    for pool in ("mta", "mta6"):
        lab.balancer.ctl("pool", pool, "drain")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "in use")
    lose_first_acks(lab)
    for target in (VIP4, VIP6):
        mailer = lab.mailer(target=target, doors=[[25, "plain"]], sessions=20, messages=0, timeout_s=30).wait()
        assert mailer.outcomes == {"refused": 20}, mailer.summary()
    counters = lab.balancer.require_counter_law()
    assert counters["syn_acks_resent"] >= 40 and counters["flows_created"] == 0, counters


def test_sessions_outlive_a_restart_of_the_data_plane(lab, config):
    lab.start_backends()
    lab.start_balancer(config(*ALWAYS))
    held = lab.mailer(target=VIP4, sessions=10, messages=1, hold="greeted", timeout_s=60)
    held.wait_open(10)
    lab.balancer.dataplane.stop()
    lab.balancer.start_dataplane()
    held.go()
    held.wait()
    assert held.outcomes == {"delivered": 10}, held.summary()
    assert lab.balancer.require_counter_law()["flows_cut_down"] == 0


def test_it_begins_under_a_flood_and_ends_after_it(lab, config):
    """A table so small that handshakes of clients that are not there pile up within seconds."""
    lab.start_greeters()
    lab.start_balancer(config(("flow_capacity = 65536", "flow_capacity = 1024; timers = { handshake = 5; }")))
    held = lab.mailer(target=VIP4, sessions=20, messages=0, hold="greeted", timeout_s=120)
    held.wait_open(20)
    assert lab.balancer.status()["counters"]["syn_proxy_now"] == 0
    flood(lab, 400)
    wait_until(lambda: lab.balancer.status()["counters"]["syn_proxy_now"] == 1, 10, "SYNs answered in the servers' place")
    during = lab.mailer(target=VIP4, doors=[[25, "plain"]], sessions=30, messages=0, timeout_s=30).wait()
    assert during.outcomes == {"delivered": 30}, during.summary()
    assert lab.balancer.status()["counters"]["syn_cookies_accepted"] >= 30
    wait_until(lambda: lab.balancer.status()["counters"]["syn_proxy_now"] == 0, 60, "the servers' turn again")
    for beginning in ("handshakes pile up", "backends answer SYNs themselves again"):
        wait_until(lambda b=beginning: any(event["text"].startswith(b) for event in events(lab)), 10, beginning)
    held.go()
    held.wait()
    assert held.outcomes == {"delivered": 20}, held.summary()


def events(lab):
    return json.loads(lab.balancer.ctl("events", "--json"))["events"]


def flood(lab, count):
    """SYNs from addresses that nobody has."""
    script = ("import sys; from scapy.all import *; mac = getmacbyip(sys.argv[1]); s = conf.L2socket(iface='eth0')\n"
              "for n in range(int(sys.argv[2])): s.send(Ether(dst=mac)/IP(src=f'100.64.{n // 250}.{n % 250 + 1}', dst=sys.argv[1])"
              "/TCP(sport=1024 + n, dport=25, flags='S', seq=n))\n")
    run("/usr/bin/python3", "-c", script, VIP4, str(count), namespace=lab.network.clients[0])
