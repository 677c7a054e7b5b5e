# SPDX-License-Identifier: Apache-2.0
"""The lab's network: namespaces, bridges and links.

A namespace of its own holds the two bridges, so that the host sees nothing. `lb-front` and `lb-back`, the
balancer's devices, carry no address: these belong on the kernel twins, which the data plane makes. Offloads are off
on every end, so that packets on the wire are as on a real one: whole checksums, no larger than the MTU.
"""
import pathlib
import shutil

from .shell import CommandError, run

FRONT4, FRONT6 = "192.0.2", "2001:db8:25:"
BACK4, BACK6 = "10.0.1", "fd00:1:"
VIP4, VIP6 = f"{FRONT4}.25", f"{FRONT6}:25"
BALANCER_FRONT = (f"{FRONT4}.2", f"{FRONT6}:2")
BALANCER_BACK = (f"{BACK4}.1", f"{BACK6}:1")
CLIENT_ADDRESSES = 16  # of each family, per client namespace

OFFLOADS = ("rx", "tx", "sg", "tso", "gso", "gro")


def backend_addresses(index):
    """IPv4 and IPv6 address of backend 0, 1, ..."""
    return f"{BACK4}.{10 + index}", f"{BACK6}:{10 + index}"


def client_addresses(index):
    """All IPv4 and all IPv6 addresses of client namespace 0, 1, ..."""
    first = 100 + CLIENT_ADDRESSES * index
    hosts = range(first, first + CLIENT_ADDRESSES)
    return [f"{FRONT4}.{host}" for host in hosts], [f"{FRONT6}:{host}" for host in hosts]


class Network:
    """Namespaces of one lab. `build()` makes them, `remove()` ends their processes and deletes them."""

    def __init__(self, prefix, backends=3, clients=1):
        self.wires = f"{prefix}-wires"
        self.balancer = f"{prefix}-lb"
        self.clients = [f"{prefix}-client{i}" for i in range(clients)]
        self.backends = [f"{prefix}-mta{i + 1}" for i in range(backends)]
        self._others = []
        self.vips_on_twins = True  # False: control puts them there

    @property
    def namespaces(self):
        return [self.wires, self.balancer, *self.clients, *self.backends, *self._others]

    def build(self):
        for namespace in self.namespaces:
            run("ip", "netns", "add", namespace)
            sysctl(namespace, "net.core.somaxconn=4096", "net.ipv4.tcp_max_syn_backlog=8192",
                   "net.ipv4.ip_local_port_range=10000 65000", "net.ipv6.conf.default.accept_dad=0",
                   "net.ipv6.conf.all.accept_dad=0")
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        # A bridge that hands packets to netfilter would drop those with bad headers before we see them.
        if pathlib.Path("/proc/sys/net/bridge").exists():
            sysctl(self.wires, *(f"net.bridge.bridge-nf-call-{table}=0" for table in ("iptables", "ip6tables", "arptables")))
        for bridge in ("front", "back"):
            self.add_bridge(bridge)
        self.cable_balancer(self.balancer)
        for index, namespace in enumerate(self.clients):
            self.cable(namespace, "eth0", "front", f"client{index}")
            self._address_client(namespace, index)
        for index, namespace in enumerate(self.backends):
            self.cable(namespace, "eth0", "back", f"mta{index + 1}")
            self._address_backend(namespace, index)

    def cable_balancer(self, namespace, front=("front", "lbf"), back=("back", "lbb")):
        """A balancer's two devices. `front`, `back`: bridge, and the name of the switch's end."""
        for device, (bridge, port) in (("lb-front", front), ("lb-back", back)):
            self.cable(namespace, device, bridge, port)
            sysctl(namespace, f"net.ipv6.conf.{device}.disable_ipv6=1")

    def add_namespace(self, name):
        """A further one, removed with the others. Returns what it is called."""
        namespace = f"{self.wires.removesuffix('-wires')}-{name}"
        run("ip", "netns", "add", namespace)
        self._others.append(namespace)
        sysctl(namespace, "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
        ip(namespace, "link set lo up")
        return namespace

    def add_bridge(self, name):
        ip(self.wires, f"link add {name} type bridge mcast_snooping 0", f"link set {name} up")

    def add_balancer(self, number=2):
        """A namespace for a further balancer, wired as the first is, but by the switch's ends `lbf2` and `lbb2`, if it is the second.
        Returns its name; it is removed with the others."""
        namespace = self.add_namespace(f"lb{number}")
        self.cable_balancer(namespace, ("front", f"lbf{number}"), ("back", f"lbb{number}"))
        return namespace

    def cable(self, namespace, device, bridge, port):
        """A link from a device to a bridge of the switch, whose end there is `port`."""
        ip(self.wires, f"link add {port} type veth peer name {device} netns {namespace}",
           f"link set {port} master {bridge} up")
        ip(namespace, f"link set {device} up")
        plain_packets(self.wires, port)
        plain_packets(namespace, device)

    def _address_client(self, namespace, index):
        v4, v6 = client_addresses(index)
        ip(namespace,
           *(f"address add {address}/24 dev eth0" for address in v4),
           *(f"address add {address}/64 dev eth0 nodad" for address in v6),
           f"route add {BACK4}.0/24 via {BALANCER_FRONT[0]}",
           f"route add {BACK6}:/64 via {BALANCER_FRONT[1]}")

    def _address_backend(self, namespace, index):
        v4, v6 = backend_addresses(index)
        ip(namespace, f"address add {v4}/24 dev eth0", f"address add {v6}/64 dev eth0 nodad",
           f"route add default via {BALANCER_BACK[0]}", f"route add default via {BALANCER_BACK[1]}")

    def address_twins(self, front="slf0", back="slb0"):
        """Puts the balancer's addresses, and the VIPs if they are not control's, on the kernel twins, which must exist."""
        ip(self.balancer, *balancer_addresses(front, back, self.vips_on_twins))

    def answer_directly(self):
        """Gives every backend a link of its own to the clients, and the VIPs, of which it does not speak on any link: what
        dsr and tunnels need. (The VIPs are on `lo`, as the lab's kernel may have no dummy devices.)"""
        for index, namespace in enumerate(self.backends):
            sysctl(namespace, "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2",
                   *(f"net.ipv4.conf.{device}.rp_filter=0" for device in ("all", "default", "eth0")))
            self.cable(namespace, "eth1", "front", f"direct{index + 1}")
            ip(namespace, f"address add {VIP4}/32 dev lo", f"address add {VIP6}/128 dev lo nodad",
               f"address add {FRONT4}.{200 + index}/24 dev eth1", f"address add {FRONT6}:{200 + index}/64 dev eth1 nodad")

    def forget_the_way_back(self):
        """Takes from the backends every route but that to their own network."""
        for namespace in self.backends:
            ip(namespace, f"route del default via {BALANCER_BACK[0]}", f"route del default via {BALANCER_BACK[1]}")

    def route_without_balancer(self):
        """Baseline: the balancer's namespace is an ordinary router, by the kernel. Undone by `stop_routing()`."""
        sysctl(self.balancer, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
               "net.ipv6.conf.lb-front.disable_ipv6=0", "net.ipv6.conf.lb-back.disable_ipv6=0")
        ip(self.balancer, *balancer_addresses("lb-front", "lb-back"))

    def stop_routing(self):
        sysctl(self.balancer, "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
        for device in ("lb-front", "lb-back"):
            run("ip", "-n", self.balancer, "address", "flush", "dev", device)
            sysctl(self.balancer, f"net.ipv6.conf.{device}.disable_ipv6=1")

    def hide_from_kernel(self, *devices):
        """Makes the balancer's kernel deaf on its devices. Needed with AF_PACKET, which gives the kernel a copy of
        every packet: it would answer for the VIPs, whose addresses it has on the twins."""
        rules = "".join(f"""
            chain {device} {{ type filter hook ingress device "{device}" priority 0; policy drop; }}"""
                        for device in devices)
        run("nft", "-f", "-", namespace=self.balancer, stdin=f"table netdev deaf {{{rules}\n}}\n")

    def set_backend_link(self, index, up):
        """Plugs or unplugs the cable of a backend: it is silent, not refusing."""
        run("ip", "-n", self.wires, "link", "set", f"mta{index + 1}", "up" if up else "down")

    def remove(self):
        for namespace in self.namespaces:
            remove_namespace(namespace)


def balancer_addresses(front, back, vips=True):
    """Arguments for `ip`: the addresses of the balancer on two devices, and the devices up."""
    for address in (BALANCER_FRONT[0] + "/24", BALANCER_FRONT[1] + "/64", *((VIP4 + "/32", VIP6 + "/128") if vips else ())):
        yield f"address add {address} dev {front}" + (" nodad" if ":" in address else "")
    for address in (BALANCER_BACK[0] + "/24", BALANCER_BACK[1] + "/64"):
        yield f"address add {address} dev {back}" + (" nodad" if ":" in address else "")
    yield f"link set {front} up"
    yield f"link set {back} up"


def ip(namespace, *commands):
    """Runs `ip` commands in a namespace, all in one go."""
    run("ip", "-n", namespace, "-batch", "-", stdin="\n".join(commands) + "\n")


def sysctl(namespace, *settings):
    run("sysctl", "-q", "-w", *settings, namespace=namespace)


def plain_packets(namespace, device):
    run("ethtool", "-K", device, *(word for name in OFFLOADS for word in (name, "off")), namespace=namespace)


def namespace_exists(namespace):
    return namespace in (line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.strip())


def kill_processes(namespace):
    """Kills every process in the namespace, at once."""
    signal_processes(namespace, "KILL")


def signal_processes(namespace, signal):
    """Sends a signal, by name, to every process in the namespace."""
    try:
        pids = run("ip", "netns", "pids", namespace).split()
    except CommandError:
        return
    if pids:
        run("sh", "-c", f"kill -{signal} {' '.join(pids)} 2>/dev/null; true")


def own_files(namespace):
    """A directory whose files `ip netns exec` puts over those of /etc."""
    path = pathlib.Path("/etc/netns") / namespace
    path.mkdir(parents=True, exist_ok=True)
    return path


def remove_namespace(namespace):
    if namespace_exists(namespace):
        kill_processes(namespace)
        run("ip", "netns", "delete", namespace)
    shutil.rmtree(pathlib.Path("/etc/netns") / namespace, ignore_errors=True)
