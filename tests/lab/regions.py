# SPDX-License-Identifier: Apache-2.0
"""Two regions with the shipped configuration of config/examples/regions: in each a router, two nodes and three mail servers; a third
place with a name server; a member of etcd at each of the three. Every machine is a namespace, and its files are the shipped ones, with
the lab's paths and devices. Clients of a region have a provider, who prefers what is near.

    exchange   198.18.0.0/16    routers .0.1 and .0.2, name server .0.53, clients .1.x and .2.x
    front      10.R.0.0/24      router .1, nodes .11 and .12           (R: 1 north, 2 south)
    back       10.R.1.0/24      nodes .1 and .2, mail servers .11 and on
    management 10.9.0.0/16      nodes .R.1 and .R.2, mail servers .R.11 and on, etcd .R.7 and .3.7
"""
import concurrent.futures
import json
import shutil

from .region_hosts import (BFD, MAIL_SERVERS, NODES, PLACES, REGIONS, SUBMISSION, VIP, VIPS, Clients, EtcdMember, MailServer, NameServer, Node,
                           Router)
from .shell import run, wait_until


WAY_BACK = "128.0.0.0/1"  # of mail servers to clients, one of two halves


class Region:
    def __init__(self, world, name):
        self.name = name
        self.router = Router(world, name)
        self.nodes = [Node(world, name, index) for index in range(NODES)]
        self.mail_servers = [MailServer(world, name, index) for index in range(MAIL_SERVERS)]
        self.etcd = world.etcd[name]

    @property
    def hosts(self):
        return [self.router, self.etcd, *self.nodes, *self.mail_servers]


class World:
    """`start()` returns when mail can be sent in both regions. `bfd`: how patient it is."""

    def __init__(self, lab, bfd=BFD):
        self.lab, self.bfd = lab, bfd
        self.directory = lab.directory / "world"
        self.etc = self.directory / "etc"
        self.hosts = []
        self.regions, self.clients, self.etcd = {}, {}, {}

    def build(self):
        self.etc.mkdir(parents=True)
        self._write_secrets()
        for bridge in ("exchange", "management", *(f"{side}{number}" for side in ("front", "back") for number in REGIONS.values())):
            self.lab.network.add_bridge(bridge)
        self.etcd = {place: EtcdMember(self, place) for place in PLACES}
        self.regions = {name: Region(self, name) for name in REGIONS}
        self.name_server = NameServer(self)
        self.clients = {name: Clients(self, name) for name in REGIONS}
        self.lab.backends = [server.postfix for server in self.mail_servers]
        self.lab.balancer = self.nodes[0].balancer

    def _write_secrets(self):
        names = [f"{region}-mta{index + 1}.lab.test" for region in REGIONS for index in range(MAIL_SERVERS + 1)]
        self.certificate = self.lab.authority.issue("mta", ["smtp.lab.test", *names])
        for stem, pair in (("etcd-server", self.lab.authority.issue("etcd", [f"10.9.{number}.7" for number in PLACES.values()])),
                           ("etcd-client", self.lab.authority.issue("node", ["node.test"]))):
            for path, suffix in zip(pair, ("pem", "key")):
                shutil.copy(path, self.etc / f"{stem}.{suffix}")
        shutil.copy(self.lab.authority.certificate, self.etc / "etcd-ca.pem")
        for name, text in (("fleet.key", "a secret of the lab, and of nothing else"), ("read.token", "token-of-the-lab"),
                           ("read.header", "Authorization: Bearer token-of-the-lab")):
            (self.etc / name).write_text(text + "\n")
            (self.etc / name).chmod(0o600)

    @property
    def nodes(self):
        return [node for region in self.regions.values() for node in region.nodes]

    @property
    def mail_servers(self):
        return [server for region in self.regions.values() for server in region.mail_servers]

    def program(self, name):
        return self.nodes[0].balancer.program(name)

    def start(self):
        for host in (*self.etcd.values(), *(region.router for region in self.regions.values()), *self.clients.values()):
            host.start()
        _at_once(*self.nodes, *self.mail_servers)
        self.name_server.start()
        self.wait_ready()

    def wait_ready(self):
        """Until both regions serve by all their nodes, and each region's clients are led to their own."""
        for node in self.nodes:
            wait_until(node.is_ready, 120, f"{node.name} serves")
        for name, region in self.regions.items():
            wait_until(lambda r=region: self.routes(r.router, VIP) == NODES, 120, f"the router of {name} spreads over both nodes")
            for server in region.mail_servers:
                wait_until(lambda s=server: self.routes(s, WAY_BACK) == NODES, 120, f"{server.name} has both ways back")
            for host in (region.router, *region.mail_servers):
                wait_until(lambda h=host: h.bird.say("show bfd sessions").count(" Up ") == NODES, 120, f"{host.name} and the nodes hear each other by BFD")
            wait_until(lambda n=name: self.routes(self.clients[n], VIP) == 1, 120, f"clients of {name} have a way")
            self.wait_led(name, name)

    def wait_led(self, clients, region):
        """Until the DNS leads the clients of one region to another one, or to their own."""
        wait_until(lambda: self.name_server.answer(clients, SUBMISSION) == [VIPS[region]], 120, f"clients of {clients} are led to {region}")

    @staticmethod
    def routes(host, destination):
        """By how many ways a machine's kernel sends what is for there."""
        for route in json.loads(run("ip", "-n", host.namespace, "-json", "route", "show") or "[]"):
            if route["dst"] == destination and route.get("protocol") == "bird":
                return len(route.get("nexthops", [None]))
        return 0

    def add_mail_server(self, region):
        """One more, as an autoscaler does it. Returns it when it runs; when it gets mail is for the nodes to say."""
        here = self.regions[region]
        here.mail_servers.append(MailServer(self, region, len(here.mail_servers)))
        self.lab.backends.append(here.mail_servers[-1].postfix)
        here.mail_servers[-1].start()
        return here.mail_servers[-1]

    def remove_mail_server(self, server):
        """It takes its leave, and is stopped when no session is left at it."""
        server.leave()
        region = self.regions[server.region]
        wait_until(lambda: not self.states(server.region).get(server.name, set()) & {"up"}, 60, f"{server.name} gets no more sessions")
        server.postfix.stop()
        region.mail_servers.remove(server)

    def lose(self, *hosts):
        """All of them at once."""
        for host in hosts:
            host.unplug()

    def bring_back(self, *hosts):
        for host in hosts:
            host.plug()
        _at_once(*hosts)
        self.wait_ready()

    def states(self, region, port=25):
        """Name -> states of a region's mail servers, as its nodes see them."""
        out = {}
        for node in self.regions[region].nodes:
            for entry in node.balancer.status()["backends"]:
                if entry["port"] == port:
                    out.setdefault(entry["name"], set()).add(entry["state"])
        return out

    def stop(self):
        for server in self.mail_servers:
            if server.registration:
                server.registration.process.kill()  # it would wait for sessions
        for node in self.nodes:
            node.balancer.stop()


def _at_once(*hosts):
    """Each start waits for seconds on others."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda host: host.start(), hosts))
