# SPDX-License-Identifier: Apache-2.0
"""The machines of two regions (see lab.regions): each a namespace, with the files of config/examples/regions as they are shipped, but
for paths and devices."""
import json
import shutil
import sys

from .balancer import ROOT, Balancer
from .bird import Bird
from .etcd import REGISTER
from .fleet import Fleet
from .lab import FLOW_STORES
from .messages import DOMAIN
from .name_server import Named
from .network import ip, kill_processes, own_files, sysctl
from .postfix import Postfix
from .shell import CommandError, Service, run

EXAMPLES = ROOT / "config" / "examples" / "regions"
REGIONS = {"north": 1, "south": 2}
PLACES = {**REGIONS, "third": 3}
NODES, MAIL_SERVERS = 2, 3
VIP = "203.0.113.25"
VIPS = {"north": "198.51.100.25", "south": "192.0.2.25"}  # each region's own
RELAY, SUBMISSION = "mx.example.net", "smtp.example.net"
NAME_SERVER = "198.18.0.53"
CLIENT_ADDRESSES = 8
ANNOUNCED = 2525  # announce.table
NAME_UPDATE_S = 2
HEARD_MS = 3000  # a node that lives says something each second
# Of the shipped file, what a lab has not got: cards, cores for itself, huge pages.
DEVICES = (('"0000:3b:00.0"', '"net_af_xdp0,iface=lb-front"'), ('"0000:3b:00.1"', '"net_af_xdp1,iface=lb-back"'),
           ("workers       = 2;", 'workers       = 1;\n  idle          = "sleep";\n  hugepages     = false;'),
           ('  lcores        = "2-3";                   // isolated from the kernel\'s scheduler (isolcpus=2,3)\n', ""),
           ("flow_capacity = 2097152;", "flow_capacity = 65536;"), ("memory_mb     = 2048;", "memory_mb     = 128;"))
# Of Postfix: a store of mailboxes, and who knows passwords.
MAILBOXES = "virtual_transport = lmtp:inet:mailboxes.example.net:24\n"
AUTHENTICATION = "  -o smtpd_sasl_auth_enable=yes\n"
TO_STDERR = ("log syslog all", "log stderr all")
# The shipped 5 x 300 ms are for machines that have something else to do now and then, and not for two cores with all of this on them.
BFD_SHIPPED, BFD = "interval 300 ms; multiplier 5;", "interval 500 ms; multiplier 8;"


def lines_of(name):
    """Of a shipped file, without comments."""
    return [line for line in (EXAMPLES / name).read_text().splitlines() if line and not line.startswith("#")]


class Host:
    """A machine: a namespace and its cables. Files of /etc/sluice lie in `etc`, which all of them share."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.namespace = world.lab.network.add_namespace(name)
        self.directory = world.directory / name
        self.directory.mkdir()
        self._ports = []
        world.hosts.append(self)

    def cable(self, device, bridge, address=""):
        self._own_port(device, bridge)
        self.world.lab.network.cable(self.namespace, device, bridge, self._ports[-1])
        if address:
            ip(self.namespace, f"address add {address} dev {device}")

    def _own_port(self, device, bridge):
        self._ports.append(f"{self.name}-{bridge[0]}")
        return bridge, self._ports[-1]

    def ship(self, name, *replacements, to=""):
        """A shipped file as this machine has it: its path."""
        text = (EXAMPLES / name).read_text()
        for old, new in replacements:
            assert old in text, f"{name} no longer holds {old!r}"
            text = text.replace(old, new)
        path = self.directory / (to or name.rsplit("/", 1)[1])
        path.write_text(text.replace("/etc/sluice/", f"{self.world.etc}/"))
        return path

    def start_bird(self, own, common):
        """BIRD with its own file and what that includes."""
        self.ship(common, TO_STDERR, *([(BFD_SHIPPED, self.world.bfd)] if "bfd" in (EXAMPLES / common).read_text() else []))
        self.bird = Bird(self.world.lab, f"bird {self.name}", self.namespace, self.ship(own, to="bird.conf"))

    def serve(self, name, argv, **options):
        """A program that runs here until the machine dies."""
        service = Service(f"{name} {self.name}", argv, self.directory / f"{name}.log", self.namespace, **options)
        self.world.lab.services.append(service)
        return service

    def unplug(self):
        """It dies, all of it at once, its cables with it; and its kernel, which lives on here, forgets what routing daemons told it."""
        self._set_cables("down")
        kill_processes(self.namespace)
        self._forget_routes("proto bird")

    def _forget_routes(self, which):
        run("sh", "-c", f"ip -n {self.namespace} route flush {which} 2>/dev/null; true")  # it complains if there are none

    def plug(self):
        self._set_cables("up")

    def _set_cables(self, state):
        ip(self.world.lab.network.wires, *(f"link set {port} {state}" for port in self._ports))


class Router(Host):
    def __init__(self, world, region):
        super().__init__(world, f"router-{region}")
        self._region = region
        number = REGIONS[region]
        sysctl(self.namespace, *(line.replace(" ", "") for line in lines_of("router/sysctl.conf")))
        self.cable("eth0", f"front{number}", f"10.{number}.0.1/24")
        self.cable("eth1", "exchange", f"198.18.0.{number}/16")

    def start(self):
        self.start_bird(f"router/{self._region}.conf", "router/router.conf")


class _Twins:
    """A node's own part of the network, as Balancer knows it."""

    def __init__(self, namespace, addresses):
        self.balancer, self._addresses = namespace, addresses

    def address_twins(self, front, back):
        run("ip", "-n", self.balancer, "-batch", self._addresses)


class Node(Host):
    """`balancer`: both processes of Sluice."""

    def __init__(self, world, region, index):
        super().__init__(world, f"{region}{index + 1}")
        self._region = region
        number = REGIONS[region]
        world.lab.network.cable_balancer(self.namespace, self._own_port("lb-front", f"front{number}"), self._own_port("lb-back", f"back{number}"))
        self.cable("eth0", "management", f"10.9.{number}.{index + 1}/16")
        config = self.ship("node/edge.cfg", *DEVICES)
        self.ship("node/etcd.cfg")
        self.ship(f"node/{region}.cfg", to="region.cfg")
        self.ship(f"node/{self.name}.cfg", to="node.cfg")
        self.balancer = Balancer(_Twins(self.namespace, self.ship(f"node/{self.name}.addresses")), self.directory / "sluice", config)

    def start(self):
        self.balancer.start(healthy=False)
        self.start_bird(f"node/bird-{self.name}.conf", "node/node.conf")

    def unplug(self):
        super().unplug()
        # What is in memory alone: routes to VIPs, and the flows that outlive their process.
        self._forget_routes(f"table {ANNOUNCED}")
        for store in FLOW_STORES:
            for path in store.glob(f"*{self.namespace}*.flows"):
                path.unlink()

    def is_ready(self):
        """Whether all its mail servers are up, the region's VIPs are announced, and the other node is heard."""
        status, announced = self.balancer.status(), json.loads(self.balancer.ctl("announce", "--json"))["vips"]
        ports = {entry["port"] for entry in status["backends"]}
        return (len(status["backends"]) >= MAIL_SERVERS * 3 and len(ports) == 3 and status["dataplane"]["settled"]
                and all(entry["state"] == "up" for entry in status["backends"])
                and all(vip["state"] == "announced" for vip in announced) and self._hears_the_other())

    def _hears_the_other(self):
        heard_ms_ago = Fleet.heard(self.balancer)
        return heard_ms_ago is not None and heard_ms_ago < HEARD_MS


class MailServer(Host):
    def __init__(self, world, region, index):
        super().__init__(world, f"{region}-mta{index + 1}")
        self.region = region
        self._number = REGIONS[region]
        self.address = f"10.{self._number}.1.{11 + index}"
        sysctl(self.namespace, "net.core.somaxconn=4096", *(line.replace(" ", "") for line in lines_of("mta/sysctl.conf")))
        self.cable("eth0", f"back{self._number}", f"{self.address}/24")
        self.cable("eth1", "management", f"10.9.{self._number}.{11 + index}/16")
        certificate, key = world.certificate
        site = self.ship("mta/main.cf", ("north-mta1.example.net", f"{self.name}.{DOMAIN}"), (MAILBOXES, ""),
                         ("mailbox_domains = example.net", f"mailbox_domains = {DOMAIN}"),
                         ("/etc/postfix/smtp.example.net.pem", str(certificate)), ("/etc/postfix/smtp.example.net.key", str(key)))
        self.postfix = Postfix(self.name, self.namespace, self.directory / "postfix", certificate, key, processes=200,
                               site=site.read_text(), services=self.ship("mta/master.cf", (AUTHENTICATION, "")).read_text())
        self.registration = None

    def start(self):
        self.start_bird(f"mta/bird-{self.region}.conf", "mta/mta.conf")
        run("sh", "-c", self._way_back_awaited(), namespace=self.namespace)
        self.postfix.start()
        config = self.ship(f"mta/register-{self.region}.conf", (f"name = {self.region}-mta1", f"name = {self.name}"),
                           (f"address = 10.{self._number}.1.11", f"address = {self.address}"))
        self.registration = self.serve("register", [sys.executable, REGISTER, "--config", config])

    @staticmethod
    def _way_back_awaited():
        """As the shipped unit of Postfix has it."""
        (line,) = [line for line in lines_of("mta/postfix-way-back.conf") if line.startswith("ExecStartPre=")]
        return line.split("'")[1]

    def leave(self):
        """As an autoscaler has it: before anything is stopped. It ends when no session is left here."""
        self.registration.process.terminate()
        self.registration.process.wait(150)  # by itself: a second signal would end the wait


class EtcdMember(Host):
    """One of three: in each region, and at the third place."""

    def __init__(self, world, place):
        super().__init__(world, f"{place}-etcd")
        self._place = place
        self.cable("eth0", "management", f"10.9.{PLACES[place]}.7/16")

    def start(self):
        words = [line.split("=", 1) for line in lines_of(f"etcd/{self._place}.env")]
        env = {name: value.replace("/etc/sluice", str(self.world.etc)).replace("/var/lib/etcd", str(self.directory)) for name, value in words}
        self.serve("etcd", ["etcd", "--unsafe-no-fsync"], env=env)


class NameServer(Host):
    """BIND with a view for each region's clients, and what keeps both as the regions are."""

    def __init__(self, world):
        super().__init__(world, "dns")
        self.cable("eth0", "exchange", f"{NAME_SERVER}/16")
        self.cable("eth1", "management", "10.9.3.53/16")

    def start(self):
        named = Named(self.world.lab, "bind", "all zones loaded", self.namespace)
        keys = {region: run("tsig-keygen", region) for region in REGIONS}
        for region, key in keys.items():
            (named.directory / f"{region}.key").write_text(key)
            shutil.copy(EXAMPLES / "dns/example.net.zone", named.directory / f"{region}.zone")
        (named.directory / "sluice.keys").write_text("".join(keys.values()))
        named.configure(self.ship("dns/named.conf", ("recursion no;", "recursion no; pid-file none; session-keyfile none;"),
                                  ("/etc/bind/", f"{named.directory}/"), ("/var/lib/bind", str(named.directory))).read_text())
        named.start()
        settings = self.ship("dns/dns-update.conf", ("/etc/bind", str(named.directory)), ("/run/sluice-dns-update", str(self.directory / "work")),
                             ("SLUICECTL=sluicectl", f"SLUICECTL={self.world.program('sluicectl')}"))
        self.serve("dns-update", ["sh", "-c", f"set -a; . {settings}; while true; do {EXAMPLES / 'dns/dns-update'}; sleep {NAME_UPDATE_S}; done"])

    def answer(self, region, name):
        """What a client of that region is told."""
        try:
            return run("dig", "+short", "+time=2", "+tries=1", f"@{NAME_SERVER}", name, "A", namespace=self.world.clients[region].namespace).split()
        except CommandError:
            return []


class Clients(Host):
    """Of one region, behind their provider. `number`: for `lab.mailer`."""

    def __init__(self, world, region):
        super().__init__(world, f"client-{region}")
        self._region = region
        number = REGIONS[region]
        self.sources = [f"198.18.{number}.{10 + index}" for index in range(CLIENT_ADDRESSES)]
        self.cable("eth0", "exchange", f"198.18.{number}.1/16")
        ip(self.namespace, *(f"address add {source}/16 dev eth0" for source in self.sources))
        (own_files(self.namespace) / "resolv.conf").write_text(f"nameserver {NAME_SERVER}\noptions timeout:2\n")
        world.lab.network.clients.append(self.namespace)
        self.number = len(world.lab.network.clients) - 1

    def start(self):
        self.start_bird(f"provider/{self._region}.conf", "provider/provider.conf")

    def mail(self, target, **plan):
        return self.world.lab.mailer(client=self.number, target=target, sources=self.sources, **plan)
