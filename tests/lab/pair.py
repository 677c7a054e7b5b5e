# SPDX-License-Identifier: Apache-2.0
"""Two nodes in one network, without BGP: real keepalived, with the shipped configuration, moves the VIPs and the mail
servers' gateway between them by VRRP. Node 0 is the lab's balancer, and has them at first."""
from .anycast import EXAMPLES
from .balancer import EXAMPLE, Balancer
from .fleet_network import FleetNetwork
from .keepalived import Keepalived, shipped
from .network import BACK4, BACK6, BALANCER_BACK, FRONT4, FRONT6, VIP4, VIP6, ip, kill_processes, sysctl
from .shell import run, wait_until

# What of the shipped configuration is the lab's own.
SHIPPED = (("/usr/libexec/sluice/vip-ready", str(EXAMPLES / "vip-ready")), ("192.0.2.25", VIP4), ("2001:db8::25", VIP6),
           ("10.0.1.1/24", f"{BALANCER_BACK[0]}/24"), ("fd00:1::1/64", f"{BALANCER_BACK[1]}/64"))
SECOND = (("router_id edge1", "router_id edge2"), ("priority 120", "priority 100"))
# The same with a MAC address of its own for what moves, which the front card has to take in.
VIRTUAL_MACS = ("00:00:5e:00:01:19", "00:00:5e:00:02:19")
INTERFACE, INTERFACE_WITH_MAC = "    interface slf0\n", "    interface slf0\n    use_vmac {}\n"
FRONT = 'twin = "slf0";'
FRONT_WITH_MACS = FRONT + ' promiscuous = true; mac_addresses = ["' + '", "'.join(VIRTUAL_MACS) + '"];'
MOVING = (f"{VIP4}/32", f"{VIP6}/128", f"{BALANCER_BACK[0]}/24", f"{BALANCER_BACK[1]}/64")


class Node:
    """A node's own part of the network, as Balancer knows it: its namespace, and the addresses that it never gives away."""

    def __init__(self, namespace, number):
        self.balancer = namespace
        self._number = number

    def address_twins(self, front, back):
        front4, front6 = f"{FRONT4}.{2 + self._number}/24", f"{FRONT6}:{2 + self._number}/64"
        back4, back6 = f"{BACK4}.{4 + self._number}/24", f"{BACK6}:{4 + self._number}/64"
        ip(self.balancer, f"address add {front4} dev {front}", f"address add {front6} dev {front} nodad",
           f"address add {back4} dev {back}", f"address add {back6} dev {back} nodad", f"link set {front} up",
           f"link set {back} up")


class Pair:
    """`nodes`: two Balancers that run. `client`, as for `lab.mailer`, is any of the lab's. `peers`: they exchange sessions, by a
    network of their own. `changes`: replacements in the lab's configuration."""

    def __init__(self, lab, virtual_macs=False, peers=False, changes=()):
        self._lab = lab
        self._virtual_macs = virtual_macs
        self._peers = peers
        self._changes = changes
        self._directory = lab.directory / "pair"
        self._keepalived = []
        self._off = set()
        self.nodes = []

    def start(self):
        lab = self._lab
        self._directory.mkdir()
        namespaces = (lab.network.balancer, lab.network.add_balancer())
        network = FleetNetwork(lab, namespaces) if self._peers else None
        for number, namespace in enumerate(namespaces):
            node = Balancer(Node(namespace, number), self._directory / f"node{number}", self._config(number, network))
            self.nodes.append(node)
            if self._virtual_macs:  # else the kernel answers ARP for any of its addresses with any of its MAC addresses
                sysctl(namespace, "net.ipv4.conf.all.arp_ignore=1")
            node.start(healthy=False)
        lab.balancer = self.nodes[0]
        self._start_keepalived(0)
        wait_until(lambda: self.holder() == 0, 30, "the first node has the VIPs")
        self._start_keepalived(1)
        for node in self.nodes:
            node.wait_healthy()

    def _config(self, number, network):
        changes = [*self._changes]
        if self._virtual_macs:
            changes.append((FRONT, FRONT_WITH_MACS))
        if network:
            changes.append(("checks:", f"{network.settings(number)}\nchecks:"))
        text = EXAMPLE.read_text()
        for old, new in changes:
            assert old in text, f"{EXAMPLE.name} no longer holds {old!r}"
            text = text.replace(old, new, 1)
        path = self._directory / f"node{number}.cfg"
        path.write_text(text)
        return path

    def _start_keepalived(self, number):
        text = shipped("keepalived.conf", *SHIPPED, *(SECOND if number else ()))
        if self._virtual_macs:
            before, v4, v6 = text.split(INTERFACE)
            text = INTERFACE_WITH_MAC.format("vips4").join((before, INTERFACE_WITH_MAC.format("vips6").join((v4, v6))))
        self._keepalived.append(Keepalived(self._lab, f"keepalived {number}", self.nodes[number].network.balancer,
                                           self._directory / f"keepalived{number}.conf", text))

    def restart_node(self, number):
        """Both processes, as an upgrade does, and what the shipped drop-in of the data plane's unit does then."""
        node = self.nodes[number]
        for service in (node.control, node.dataplane):
            service.stop()
        node.start_dataplane()
        self._keepalived[number].reload()
        node.start_control()
        node.wait_healthy()

    def addresses(self, number):
        return run("ip", "-n", self.nodes[number].network.balancer, "-brief", "address", "show").split()

    def holder(self):
        """The node that has all that moves, where the other has nothing of it; None if there is none. A node that is off has
        nothing."""
        found = [{address for address in MOVING if number not in self._off and address in self.addresses(number)}
                 for number in range(2)]
        return next((number for number in range(2) if found[number] == set(MOVING) and not found[1 - number]), None)

    def wait_holder(self, number, timeout_s=30):
        wait_until(lambda: self.holder() == number, timeout_s, f"node {number} has the VIPs and the gateway")

    def pull_plug(self, number):
        """A node dies, all of it at once, its cables with it."""
        for port in ("lbf2", "lbb2") if number else ("lbf", "lbb"):
            run("ip", "-n", self._lab.network.wires, "link", "set", port, "down")
        kill_processes(self.nodes[number].network.balancer)
        self._off.add(number)
