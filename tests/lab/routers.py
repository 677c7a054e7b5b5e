# SPDX-License-Identifier: Apache-2.0
"""Two routers between the lab's front and a client's network behind them. One of them has the addresses by which both sides
reach the other; `move()` lets it die, and the other take the addresses and say so, as VRRP without virtual MACs does."""
from .network import FRONT4, FRONT6, ip, plain_packets, sysctl
from .shell import run

GATEWAY = (f"{FRONT4}.60", f"{FRONT6}:60")  # of the balancer, towards the client
INNER4, INNER6 = "198.51.100", "2001:db8:99:"
INNER_GATEWAY = (f"{INNER4}.1", f"{INNER6}:1")
CLIENT = (f"{INNER4}.10", f"{INNER6}:10")


class Routers:
    """`client` is the number of the client behind the routers, for `lab.mailer`."""

    def __init__(self, lab):
        self._network = lab.network
        prefix = self._network.wires.removesuffix("-wires")
        self._names = [f"{prefix}-router{i}" for i in range(2)]
        self._client = f"{prefix}-far"
        self._active = 0

    def build(self):
        """The balancer runs, as its route is by its twin."""
        network = self._network
        for namespace in (*self._names, self._client):
            run("ip", "netns", "add", namespace)
            network.clients.append(namespace)  # removed with the others
            sysctl(namespace, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.all.accept_dad=0",
                   "net.ipv6.conf.default.accept_dad=0", "net.ipv4.conf.default.arp_notify=1",
                   "net.ipv6.conf.default.ndisc_notify=1")
            ip(namespace, "link set lo up")
        self.client = len(network.clients) - 1
        ip(network.wires, "link add inner type bridge mcast_snooping 0", "link set inner up")
        for index, router in enumerate(self._names):
            self._cable(router, "eth0", "front", f"router{index}")
            self._cable(router, "eth1", "inner", f"inner{index}")
        self._cable(self._client, "eth0", "inner", "far")
        ip(self._client, f"address add {CLIENT[0]}/24 dev eth0", f"address add {CLIENT[1]}/64 dev eth0 nodad",
           "link set eth0 up", *(f"route add default via {gateway}" for gateway in INNER_GATEWAY))
        self._take_addresses(self._names[0])
        ip(network.balancer, f"route add {INNER4}.0/24 via {GATEWAY[0]}", f"route add {INNER6}:/64 via {GATEWAY[1]}")

    def move(self):
        """The active router dies, and the other takes over."""
        old, new = self._names[self._active], self._names[1 - self._active]
        ip(old, "link set eth0 down", "link set eth1 down")
        self._take_addresses(new)
        self._active = 1 - self._active

    def _cable(self, namespace, device, bridge, port):
        ip(self._network.wires, f"link add {port} type veth peer name {device} netns {namespace}",
           f"link set {port} master {bridge} up")
        plain_packets(self._network.wires, port)
        plain_packets(namespace, device)

    @staticmethod
    def _take_addresses(router):
        for device, (v4, v6) in (("eth0", GATEWAY), ("eth1", INNER_GATEWAY)):
            # The kernel tells of IPv4 addresses as the device comes up, of IPv6 addresses as they are added.
            ip(router, f"address add {v4}/24 dev {device}", f"link set {device} up", f"address add {v6}/64 dev {device}")
