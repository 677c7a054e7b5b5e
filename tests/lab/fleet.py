# SPDX-License-Identifier: Apache-2.0
"""Two or three nodes that serve the same VIPs, between a router that spreads clients over them and mail servers whose way back
leads by all. A third bridge is the nodes' own network, on which they tell each other of sessions."""
import copy
import json
import pathlib
import signal

from .balancer import EXAMPLE, Balancer
from .fleet_network import FleetNetwork
from .moving_addresses import ADDRESSES, MovingAddresses
from .network import BACK4, BACK6, FRONT4, FRONT6, ip, sysctl
from .routers import CLIENT, GATEWAY, INNER4, INNER6, INNER_GATEWAY
from .shell import run, wait_until

VIP, VIP6 = "203.0.113.25", "2001:db8:113::25"
FRONT = tuple((f"{FRONT4}.{2 + index}", f"{FRONT6}:{2 + index}") for index in range(3))  # of each node, by both families
BACK = tuple((f"{BACK4}.{1 + index}", f"{BACK6}:{1 + index}") for index in range(3))
BY_CONNECTION = ("net.ipv4.fib_multipath_hash_policy=1", "net.ipv6.fib_multipath_hash_policy=1")
# Within one machine a packet brings its socket's own hash along, by which Linux then routes, and which is another one with
# each retransmission. A router outside knows addresses and ports alone.
ONE_WAY = "net.core.txrehash=0"
# Replacements in the lab's configuration.
LEAST_CONN = ('port = 25;  pool = "mta";', 'port = 25;  pool = "mta"; scheduler = "least_conn";')
LEAST_CONN6 = ('port = 25;  pool = "mta6";', 'port = 25;  pool = "mta6"; scheduler = "least_conn";')
NOTHING_KEPT = ("flow_capacity = 65536;", 'flow_capacity = 65536; flow_store = "";')  # as on a machine that was rebooted


class Fleet:
    """`nodes` are the balancers, `client` is the number of the client behind the router, for `lab.mailer`. `moving`: the
    addresses of two towards the mail servers move to the survivor. `count`: of nodes."""

    def __init__(self, lab, moving=False, count=2):
        self._lab = lab
        self._moving = moving
        self._all = range(count)
        self.addresses = None
        self._prefix = lab.network.wires.removesuffix("-wires")
        self._router, self._far = f"{self._prefix}-router", f"{self._prefix}-far"
        self.namespaces = ()
        self.client = None
        self.nodes = []
        self._network = None

    def build(self):
        network = self._lab.network
        self.namespaces = (network.balancer, *(network.add_balancer(index + 1) for index in self._all[1:]))
        for namespace in (self._router, self._far):
            run("ip", "netns", "add", namespace)
            network.clients.append(namespace)  # removed with the others
            ip(namespace, "link set lo up")
        self.client = len(network.clients) - 1
        network.add_bridge("inner")
        self._network = FleetNetwork(self._lab, self.namespaces)
        sysctl(self._router, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", *BY_CONNECTION)
        network.cable(self._router, "eth0", "front", "router")
        network.cable(self._router, "eth1", "inner", "inner0")
        network.cable(self._far, "eth0", "inner", "far")
        for namespace, device, addresses in ((self._router, "eth0", GATEWAY), (self._router, "eth1", INNER_GATEWAY),
                                             (self._far, "eth0", CLIENT)):
            ip(namespace, f"address add {addresses[0]}/24 dev {device}", f"address add {addresses[1]}/64 dev {device} nodad")
        ip(self._far, *(f"route add default via {gateway}" for gateway in INNER_GATEWAY))
        for namespace in network.backends:
            sysctl(namespace, *BY_CONNECTION)
        for namespace in (self._far, *network.backends):
            sysctl(namespace, ONE_WAY)
        self.lead(*self._all)
        self.addresses = MovingAddresses(self._lab, self.namespaces) if self._moving else None

    def start(self, fleet=True, *replacements):
        """Starts the nodes. `fleet`: they exchange sessions."""
        for index in self._all:
            self.nodes.append(self._node(index, fleet, replacements))
        self._lab.balancer = self.nodes[0]
        for index in self._all:
            self._start_dataplane(index)
        if self.addresses:
            self.addresses.wait_home()
        for node in self.nodes:
            node.start_control()
        for node in self.nodes:
            node.wait_healthy(60)
        if fleet:
            for node in self.nodes:
                wait_until(lambda n=node: None not in self._all_heard(n), 30, "the nodes hear each other")

    def _start_dataplane(self, index):
        self.nodes[index].start_dataplane()
        ip(self.namespaces[index], f"route add {INNER4}.0/24 via {GATEWAY[0]}", f"route add {INNER6}:/64 via {GATEWAY[1]}")
        if self.addresses:
            self.addresses.start(index)

    def _node(self, index, fleet, replacements):
        network = copy.copy(self._lab.network)
        network.balancer = self.namespaces[index]
        network.address_twins = lambda front, back: ip(network.balancer, *_addresses(index, front, back, self._moving))
        others = f'addresses = ["{ADDRESSES[1 - index]}"]; ' if self._moving else ""
        peers = self._network.settings(index, more_of_peers=others) + "\n" if fleet else ""
        text = EXAMPLE.read_text().replace("192.0.2.25", VIP).replace("2001:db8:25::25", VIP6)
        for old, new in (("checks:", f"{peers}checks:"), *replacements):
            assert old in text, f"{EXAMPLE.name} no longer holds {old!r}"
            text = text.replace(old, new, 1)
        path = pathlib.Path(self._lab.directory) / f"node{index + 1}.cfg"
        path.write_text(text)
        return Balancer(network, self._lab.directory / f"node{index + 1}", path)

    @staticmethod
    def heard(node):
        """How many ms ago a node has heard of the first other; None: never."""
        return Fleet._all_heard(node)[0]

    @staticmethod
    def _all_heard(node):
        return [peer["heard_ms_ago"] for peer in Fleet.exchange(node)["peers"]]

    @staticmethod
    def exchange(node):
        """What `sluicectl peers` says of a node."""
        return json.loads(node.ctl("peers", "--json"))["peers"]

    def wait_known(self, least, *nodes):
        """Until these nodes, or all, know so many flows of others each, beside their own."""
        for node in nodes or self.nodes:
            wait_until(lambda n=node: self.exchange(n)["known_now"] >= least, 120, "flows of the other nodes")

    def mail(self, target=VIP, **plan):
        """A mail client behind the router: see `lab.mailer`."""
        return self._lab.mailer(client=self.client, target=target, sources=[client_of(target)],
                                **{"messages": 1, "timeout_s": 120, **plan})

    def kill(self, index):
        """A node dies, and routers take its routes away."""
        for service in (self.nodes[index].dataplane, self.nodes[index].control):
            service.stop(signal.SIGKILL)
        self.lead(*(other for other in self._all if other != index))

    def revive(self, index, known=0):
        """It comes back, and once it has been told of so many flows, routers lead to all again. What was drained by hand is."""
        self._start_dataplane(index)
        self.nodes[index].start_control()
        self.nodes[index].wait_healthy(120, well=("up", "draining"))
        self.wait_known(known, self.nodes[index])
        if self.addresses:
            self.addresses.wait_home()
        self.lead(*self._all)

    def restart(self, index):
        """Both processes of a node that routers lead nobody to, as an upgrade does."""
        node = self.nodes[index]
        for service in (node.control, node.dataplane):
            service.stop()
        self._start_dataplane(index)
        node.start_control()
        node.wait_healthy(60)
        wait_until(lambda: None not in self._all_heard(node), 30, "it hears the others")

    def answer_directly(self):
        """The mail servers have the VIP, and a way of their own to the client: what dsr and tunnels need."""
        self._lab.network.answer_directly()
        for namespace in self._lab.network.backends:
            ip(namespace, f"address add {VIP}/32 dev lo", f"route add {INNER4}.0/24 via {GATEWAY[0]}")

    def stop(self):
        for node in self.nodes:
            node.stop()

    def lead_clients(self, *nodes):
        """The router spreads connections over these nodes."""
        ip(self._router, f"route replace {VIP}/32 {_hops(FRONT, nodes, 0)}", f"route replace {VIP6}/128 {_hops(FRONT, nodes, 1)}")

    def lead(self, *nodes):
        """So do the mail servers, with what they answer."""
        self.lead_clients(*nodes)
        for namespace in self._lab.network.backends:
            ip(namespace, f"route replace default {_hops(BACK, nodes, 0)}", f"route replace ::/0 {_hops(BACK, nodes, 1)}")


def client_of(target):
    """The address that comes to a VIP, by its family."""
    return CLIENT[1 if ":" in target else 0]


def _hops(addresses, nodes, family):
    return " ".join(f"nexthop via {addresses[node][family]}" for node in nodes)


def _addresses(index, front, back, moving):
    """Arguments for `ip`: a node's addresses on its twins, and the twins up."""
    yield f"address add {FRONT[index][0]}/24 dev {front}"
    yield f"address add {FRONT[index][1]}/64 dev {front} nodad"
    if not moving:
        yield f"address add {BACK[index][0]}/24 dev {back}"
    yield f"address add {BACK[index][1]}/64 dev {back} nodad"
    yield f"link set {front} up"
    yield f"link set {back} up"
