# SPDX-License-Identifier: Apache-2.0
"""What a mail server says for itself, to a host where clients are, and what it hears: routed by the workers where the
kernel forwards freely, and by the kernel where it does not."""
import json
import re

import pytest

from lab.network import BALANCER_FRONT, backend_addresses, client_addresses, ip, sysctl
from lab.shell import CommandError, Service, run, wait_until

FAR4, FAR6 = "203.0.113.9", "2001:db8:ffff::9"
FORWARDS = "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"
FIREWALL = "table inet site {\n chain pass { type filter hook forward priority 0; policy accept;\n }\n}\n"
ANSWER = """
import socket, threading
def echo_datagrams():
    served = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    served.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    served.bind(("::", 5353))
    while True:
        data, end = served.recvfrom(4096)
        served.sendto(data, end)
threading.Thread(target=echo_datagrams).start()
listener = socket.create_server(("::", 5353), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.close()
"""
ASK = """
import socket, sys
address, times, kilobytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
asking = socket.socket(family, socket.SOCK_DGRAM)
asking.settimeout(2)
got = 0
for i in range(times):
    asking.sendto(b"%d" % i, (address, 5353))
    try:
        got += asking.recvfrom(4096)[0] == b"%d" % i
    except TimeoutError:
        break
if kilobytes:
    talk = socket.create_connection((address, 5353), 10)
    talk.settimeout(30)
    for i in range(kilobytes):
        talk.sendall(b"x" * 1024)
        left = 1024
        while left:
            left -= len(talk.recv(left))
    got += 1
print(got)
"""


class Talk:
    """A mail server of the lab that talks with a client's host, under addresses of the host and of a network behind it."""

    def __init__(self, lab):
        self.lab, self.server, self.host = lab, lab.network.backends[0], lab.network.clients[0]
        self.there = [addresses[0] for addresses in client_addresses(0)]
        self.service = Service("answers", ["/usr/bin/python3", "-c", ANSWER], lab.directory / "answers.log", self.host)

    def ask(self, address, times=1, kilobytes=0):
        """How many answers there were; a whole conversation over TCP counts as one more."""
        try:
            return int(run("/usr/bin/python3", "-c", ASK, address, str(times), str(kilobytes), namespace=self.server))
        except CommandError:
            return 0

    def routed(self):
        counters = self.lab.balancer.counters()
        return counters["routed_out"], counters["routed_in"]

    def by_kernel(self):
        """Packets that the balancer's kernel has passed on, of both families."""
        names, values = [line.split() for line in run("cat", "/proc/net/snmp", namespace=self.lab.network.balancer).splitlines()
                         if line.startswith("Ip:")]
        v6 = dict(line.split() for line in run("cat", "/proc/net/snmp6", namespace=self.lab.network.balancer).splitlines())
        return int(dict(zip(names, values))["ForwDatagrams"]) + int(v6["Ip6OutForwDatagrams"])

    def settle(self, address):
        """Until the workers route both ways: the kernel passes on what comes first, and asks for the neighbours."""
        def both_ways():
            before = self.routed()
            self.ask(address)
            return all(now > then for now, then in zip(self.routed(), before))
        wait_until(both_ways, 60, f"the workers route to {address} and back")


@pytest.fixture
def talk(lab, config):
    sysctl(lab.network.balancer, *FORWARDS)
    lab.start_greeters()
    lab.start_balancer(config())
    made = Talk(lab)
    yield made
    made.service.stop()


def routing(lab):
    return lab.balancer.status()["server_routing"]


def told(lab):
    """The newest first."""
    return [event["text"] for event in json.loads(lab.balancer.ctl("events", "--json"))["events"]
            if event["subject"] == "server_routing"]


@pytest.mark.parametrize("family", [0, 1], ids=["v4", "v6"])
def test_the_workers_carry_what_a_mail_server_says_for_itself(lab, talk, family):
    assert [routing(lab)[name]["by"] for name in ("ipv4", "ipv6")] == ["workers", "workers"], routing(lab)
    assert told(lab)[0] == "mail servers' own traffic is routed: IPv4 and IPv6 by the workers"
    there = talk.there[family]
    talk.settle(there)
    routed, kernels = talk.routed(), talk.by_kernel()
    assert talk.ask(there, times=500, kilobytes=500) == 501
    out, back = (now - then for now, then in zip(talk.routed(), routed))
    assert out >= 1000 and back >= 1000
    assert talk.by_kernel() - kernels < 10, "a neighbour may have had to be asked for again, no more"
    # A hop less, each way.
    address = backend_addresses(0)[family]
    traced = run("ping", "-c", "1", "-W", "5", there, namespace=talk.server)
    assert "ttl=63" in traced, traced
    assert " 0% packet loss" in run("ping", "-c", "3", "-i", "0.2", "-W", "5", "-s", "4000", address, namespace=talk.host)
    lab.balancer.require_counter_law()


def test_routes_are_followed(lab, talk):
    ip(talk.host, f"address add {FAR4}/32 dev lo", f"address add {FAR6}/128 dev lo nodad")
    ip(lab.network.balancer, f"route add {FAR4}/32 via {talk.there[0]}", f"route add {FAR6}/128 via {talk.there[1]}")
    for far in (FAR4, FAR6):
        talk.settle(far)
    # The way is another: by a host that nobody is at, then by none at all, then by the first again.
    ip(lab.network.balancer, f"route replace blackhole {FAR4}/32")
    wait_until(lambda: talk.ask(FAR4) == 0, 30, "nothing goes into a blackhole")
    talk.settle(FAR6)
    ip(lab.network.balancer, f"route del blackhole {FAR4}/32", f"route add {FAR4}/32 via {talk.there[0]}")
    talk.settle(FAR4)


def test_a_firewall_keeps_the_work_with_the_kernel(lab, talk):
    talk.settle(talk.there[0])
    run("nft", "-f", "-", namespace=lab.network.balancer, stdin=FIREWALL)
    reason = "nftables: chain pass of table inet site (hook forward)"
    wait_until(lambda: routing(lab)["ipv4"] == {"by": "kernel", "reason": reason}, 30, "the firewall is seen")
    assert told(lab)[0] == f"mail servers' own traffic is routed: IPv4 and IPv6 by the kernel, as {reason}"
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 30, "the workers know")
    routed, kernels = talk.routed(), talk.by_kernel()
    assert talk.ask(talk.there[0], times=50) == 50
    assert talk.routed() == routed and talk.by_kernel() - kernels >= 100
    run("nft", "delete", "table", "inet", "site", namespace=lab.network.balancer)
    talk.settle(talk.there[0])


def test_the_status_tells_who_routes(lab, talk):
    talk.settle(talk.there[0])
    assert re.search(r"^mail servers' own traffic: by the workers \(\d+ routes, \d+ hosts\)$", lab.balancer.ctl("status"), re.M)


def test_the_setting_goes_by_a_reload(lab, talk, config):
    talk.settle(talk.there[0])
    config(("memory_mb     = 256;", 'memory_mb     = 256; server_routing = "kernel";'))
    assert "server_routing auto -> kernel" in lab.balancer.ctl("reload")
    wait_until(lambda: routing(lab)["ipv4"]["by"] == "kernel", 30, "the kernel has it")
    assert routing(lab)["setting"] == "kernel"
    config()
    lab.balancer.ctl("reload")
    talk.settle(talk.there[0])


def test_nothing_is_routed_where_the_kernel_does_not_forward(lab, talk):
    talk.settle(talk.there[0])
    sysctl(lab.network.balancer, "net.ipv4.ip_forward=0")
    wait_until(lambda: routing(lab)["ipv4"]["by"] == "kernel", 30, "forwarding is off")
    assert re.fullmatch(r"net\.ipv4\.conf\.sl[fb]0\.forwarding is not 1", routing(lab)["ipv4"]["reason"])
    assert routing(lab)["ipv6"]["by"] == "workers"
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 30, "the workers know")
    routed = talk.routed()
    assert talk.ask(talk.there[0]) == 0 and talk.routed() == routed
    talk.settle(talk.there[1])
    assert " 0% packet loss" in run("ping", "-c", "2", "-W", "5", BALANCER_FRONT[0], namespace=talk.host)
