# SPDX-License-Identifier: Apache-2.0
"""VIPs that lie in no network of the lab's: whoever wants to reach them needs a route, which the balancer's BIRD, with the
shipped configuration, tells the router's BIRD by BGP, with BFD. The client is behind that router."""
import json
import pathlib
import re

from .balancer import EXAMPLE, ROOT
from .bird import Bird
from .frr import Frr
from .network import BALANCER_FRONT, VIP4, VIP6
from .routers import CLIENT, GATEWAY, Routers
from .shell import CommandError, Service, run, wait_until

EXAMPLES = ROOT / "config" / "examples" / "anycast"
VIPS = ("203.0.113.25", "2001:db8:7::25")
CLIENTS = dict(zip(VIPS, CLIENT))
TABLE, METRIC, DRAINING_METRIC = 2525, 100, 200
GRACEFUL_SHUTDOWN = "(65535,0)"  # RFC 8326, as BIRD writes it
ROUTER = """
log stderr all;
router id {v4};
protocol device {{ scan time 1; }}
protocol bfd {{ interface "eth0" {{ {bfd} }}; }}
protocol kernel {{ ipv4 {{ export all; }}; }}
protocol kernel {{ ipv6 {{ export all; }}; }}
protocol bgp node4 {{
  local as 64511; neighbor {node4} as 64512; bfd on; connect retry time 1; connect delay time 1; error wait time 1, 2;
  ipv4 {{ import all; export none; }};
}}
protocol bgp node6 {{
  local as 64511; neighbor {node6} as 64512; bfd on; connect retry time 1; connect delay time 1; error wait time 1, 2;
  ipv6 {{ import all; export none; }};
}}
"""
# The shipped 3 x 100 ms are for machines that do nothing else.
BFD_SHIPPED, BFD = "interval 100 ms; multiplier 3;", "interval 500 ms; multiplier 20;"


def configuration(lab, announce, *replacements, vips=VIPS):
    """The lab's configuration with VIPs that are routed, and these settings of `announce`. Returns its path."""
    text = EXAMPLE.read_text().replace(VIP4, vips[0]).replace(VIP6, vips[1])
    for old, new in (("checks:", f"announce: {{ {announce} }};\n\nchecks:"), *replacements):
        assert old in text, f"{EXAMPLE.name} no longer holds {old!r}"
        text = text.replace(old, new)
    path = lab.directory / "anycast.cfg"
    path.write_text(text)
    return path


def node_configuration(name, v6=True, own_v6=True):
    """A shipped configuration of a routing daemon, with the lab's addresses instead of its own."""
    text = (EXAMPLES / name).read_text()
    addresses = [("192.0.2.1", GATEWAY[0]), ("192.0.2.2", BALANCER_FRONT[0])]
    if v6:
        addresses += [("2001:db8::1", GATEWAY[1]), *([("2001:db8::2", BALANCER_FRONT[1])] if own_v6 else [])]
    for old, new in addresses:
        assert old in text, f"{name} no longer holds {old}"
        text = re.sub(rf"{re.escape(old)}(?![0-9a-f:.]*[0-9a-f])", new, text)
    return text


class Upstream:
    """The router, its client, and a routing daemon on both sides. `client`: its number, for `lab.mailer`."""

    def __init__(self, lab, bfd=BFD):
        """`bfd`: how BIRD speaks it, on both sides."""
        self._lab = lab
        self._bfd = bfd
        self._routers = Routers(lab)
        self._directory = lab.directory / "bird"
        self.router = f"{lab.network.wires.removesuffix('-wires')}-router0"
        self.client = None
        self._birds = {}

    def build(self):
        """With BIRD on the node. The balancer runs, as its routes are by its twin."""
        node = node_configuration("bird.conf").replace("log syslog all", "log stderr all")
        assert BFD_SHIPPED in node
        self._build(lambda: self._start("node", self._lab.network.balancer, node.replace(BFD_SHIPPED, self._bfd)), sessions=2)

    def build_with_frr(self):
        """With FRR on the node: IPv4 alone."""
        text = node_configuration("frr.conf", v6=False)
        for old, new in (("detect-multiplier 3", "detect-multiplier 20"), ("receive-interval 100", "receive-interval 500"),
                         ("transmit-interval 100", "transmit-interval 500"), ("log syslog informational", "log stdout")):
            assert old in text, old
            text = text.replace(old, new)
        self._build(lambda: self._add_frr(text), sessions=1)

    def build_with_gobgp(self):
        """With GoBGP on the node, fed by the shipped program."""
        self._build(self._add_gobgp, sessions=2, bfd_sessions=0)

    def _add_gobgp(self):
        path = self._directory / "gobgpd.toml"
        path.write_text(node_configuration("gobgpd.toml", own_v6=False))
        for name, command in (("gobgpd", ["gobgpd", "-f", path]), ("gobgp-follow", [EXAMPLES / "gobgp-follow"])):
            self._lab.services.append(Service(name, command, self._directory / f"{name}.log", self._lab.network.balancer))

    def _add_frr(self, text):
        self.frr = Frr(self._lab.network.balancer, self._lab.directory / "frr", text)
        self._lab.services.append(self.frr.service)

    def _build(self, start_node, sessions, bfd_sessions=None):
        self._directory.mkdir(mode=0o755)
        self._routers.build()
        self.client = self._routers.client
        start_node()
        self._start("router", self.router,
                    ROUTER.format(v4=GATEWAY[0], bfd=self._bfd, node4=BALANCER_FRONT[0], node6=BALANCER_FRONT[1]))
        wait_until(lambda: self.say("router", "show protocols").count("Established") == sessions, 60, "BGP sessions")
        wait_until(lambda: self.say("router", "show bfd sessions").count(" Up ") == (sessions if bfd_sessions is None else bfd_sessions),
                   60, "BFD sessions")

    def _start(self, name, namespace, text):
        path = self._directory / f"{name}.conf"
        path.write_text(text)
        self._birds[name] = Bird(self._lab, f"bird {name}", namespace, path)

    def say(self, name, words):
        """What that side's BIRD answers."""
        return self._birds[name].say(words)

    def paths(self, vip):
        """What the router's BIRD knows of a VIP, with every attribute; "" if nothing."""
        try:
            return self.say("router", f"show route all {vip}/{128 if ':' in vip else 32}")
        except CommandError:  # it is not found
            return ""

    def has_route(self, vip):
        """Whether the router's kernel leads to the VIP."""
        routes = json.loads(run("ip", "-n", self.router, "-6" if ":" in vip else "-4", "-json", "route", "show", "proto", "bird") or "[]")
        return any(route["dst"] == vip for route in routes)

    def wait_route(self, vip, there, timeout_s=60):
        wait_until(lambda: self.has_route(vip) == there, timeout_s, f"the router's route to {vip} {'there' if there else 'gone'}")

    def watch(self):
        """Notes every change of the router's routes from now on."""
        return Watch(self.router, self._directory / "watch.log", self._lab.services)


class Watch:
    def __init__(self, namespace, path, services):
        self._path = pathlib.Path(path)
        self._namespace = namespace
        self._service = Service("ip monitor", ["ip", "monitor", "route"], path, namespace)
        services.append(self._service)
        self._mark("198.51.100.241")

    def _mark(self, address):
        """A route that has nothing to do with anything: when it is seen, all before it has been."""
        def seen():
            run("ip", "-n", self._namespace, "route", "replace", "blackhole", address)
            run("ip", "-n", self._namespace, "route", "del", "blackhole", address)
            return address in self._path.read_text()
        wait_until(seen, 15, "ip monitor tells of routes")

    def changes(self, vip):
        """What has been noted of the VIP's route so far."""
        self._mark("198.51.100.242")
        return [line for line in self._path.read_text().splitlines() if vip in line]


def own_routes(namespace, vip, table=TABLE):
    """Metrics of the VIP's routes in the balancer's own table."""
    family = "-6" if ":" in vip else "-4"
    try:
        routes = json.loads(run("ip", "-n", namespace, family, "-json", "route", "show", "table", table) or "[]")
    except CommandError:  # the kernel makes a table with its first route
        return []
    return sorted(route["metric"] for route in routes if route["dst"] == vip)
