# SPDX-License-Identifier: Apache-2.0
"""`./demo --regions`: the world of lab.regions with mail in it, what is done to it, and what every client saw."""
from .lab import Lab
from .region_hosts import BFD, VIP, VIPS
from .regions import World
from .regions_mail import Traffic
from .screen import BOLD, DIM, GREEN, RED, YELLOW
from .shell import wait_until

PICTURE = f"""
    clients north            name server              clients south
    198.18.1.0/24          198.18.0.53, BIND          198.18.2.0/24
          |                        |                        |
    ------+-----------+------------+-----------+------------+------
                      |  {VIP}, for both  |
               router north               router south
             {VIPS["north"]}             {VIPS["south"]}
               |         |                 |         |
            north1    north2             south1    south2        sluice-dataplane, sluice-control, BIRD
               |         |                 |         |
             mta1..mta3 north            mta1..mta3 south        Postfix, sluice-register, BIRD
    etcd: a member in each region, and one at a third place
"""


class Steps:
    """What is done, one after the other. Each: title, function, and which sessions it may cut (see regions_mail.Event)."""

    def __init__(self, world):
        self._world = world
        north, south = world.regions["north"], world.regions["south"]
        self._victim, self._drained, self._node = north.mail_servers[1], south.nodes[0], north.nodes[0]
        self._south, self._etcd = south, list(world.etcd.values())

    def all(self):
        return [
            ("nothing happens", lambda: None, {}),
            ("mail server north-mta2 dies", lambda: self._world.lose(self._victim), {"north": ("north-mta2", "")}),
            ("it comes back", lambda: self._world.bring_back(self._victim), {"north": ("north-mta2",)}),
            ("mail server north-mta4 joins", self._join, {}),
            ("node south1 drains", lambda: self._drained.balancer.ctl("node", "drain", "--wait"), {}),
            ("it serves again", self._undrain, {}),
            ("mail server north-mta4 leaves", self._leave, {}),
            # The DNS leads away what begins; routing moves what is open to the VIP of both regions.
            ("region south is emptied, both nodes drain", self._empty, {"south": ("south",)}),
            ("it is filled again", self._fill, {"south": ("north",)}),
            self.node_dies(),
            ("it comes back", lambda: self._world.bring_back(self._node), {}),
            ("all members of etcd die", lambda: self._world.lose(*self._etcd), {}),
            ("they come back", self._etcd_back, {}),
            self.region_dies(),
            # Routing moves all that is open, to nodes that know nothing of it.
            ("it comes back", lambda: self._world.bring_back(*self._south.hosts), {"south": ("south", "north", "")}),
        ]

    def node_dies(self):
        return "node north1 dies", lambda: self._world.lose(self._node), {}

    def region_dies(self):
        return "region south dies, all of it", lambda: self._world.lose(*self._south.hosts), {"south": ("south", "")}

    def _join(self):
        self._fourth = self._world.add_mail_server("north")
        wait_until(lambda: self._world.states("north").get(self._fourth.name) == {"up"}, 60, f"{self._fourth.name} is up at both nodes")

    def _leave(self):
        self._world.remove_mail_server(self._fourth)

    def _undrain(self):
        self._drained.balancer.ctl("node", "undrain")
        self._world.wait_ready()

    def _empty(self):
        for node in self._south.nodes:
            node.balancer.ctl("node", "drain")
        self._world.wait_led("south", "north")

    def _fill(self):
        for node in self._south.nodes:
            node.balancer.ctl("node", "undrain")
        self._world.wait_ready()

    def _etcd_back(self):
        self._world.bring_back(*self._etcd)


class Show:
    """`screen`: where it is told."""

    def __init__(self, screen):
        self._screen = screen

    def run(self, lab, bfd=BFD):
        """The whole of it. Returns whether nothing was lost that should not have been."""
        screen = self._screen
        screen.say(screen.paint(PICTURE, DIM))
        world = World(lab, bfd)
        world.build()
        with screen.step(f"{len(world.hosts)} machines, with config/examples/regions"):
            world.start()
        traffic = Traffic(world)
        traffic.start()
        for title, act, allowed in Steps(world).all():
            self._tell(traffic, title, act, allowed)
        with screen.step("The last sessions end"):
            outcomes = traffic.finish()
        return self._report(traffic, outcomes)

    def _tell(self, traffic, title, act, allowed):
        with self._screen.step(title[0].upper() + title[1:]):
            event = traffic.during(title, act, allowed)
        for region, seen in event.seen.items():
            served = ", ".join(f"{count} by {by}" for by, count in sorted(seen.by.items()))
            cut = self._screen.paint(f"  {seen.cut} sessions cut or refused, tried again", YELLOW) if seen.cut else ""
            wrong = self._screen.paint(f"  {len(seen.wrong)} sessions LOST", RED, BOLD) if seen.wrong else ""
            self._screen.say(f"    clients {region}: {seen.confirmed} messages confirmed ({served}), worst gap {seen.gap_s:.1f} s{cut}{wrong}")

    def _report(self, traffic, outcomes):
        screen = self._screen
        screen.say()
        screen.table(["clients", "messages sent", "confirmed", "lost", "duplicated", "changed", "given up", "worst gap, s"],
                     [[region, out.sent, out.confirmed, out.lost, out.duplicated, out.changed, out.given_up, round(out.gap_s, 1)]
                      for region, out in outcomes.items()])
        if any(out.duplicated for out in outcomes.values()):
            screen.say("  (a mail server that dies after storing a message and before saying so makes its client send it again)")
        for event, end in traffic.wrong:
            who = f"with {end['backend']}" if end["backend"] else "that had reached none"
            screen.say(screen.paint(f"  lost while {event.title}: a session {who}: {end['outcome']} {end['detail']}", RED))
        is_good = not traffic.wrong and all(out.is_good for out in outcomes.values())
        screen.say()
        screen.say(screen.paint("Sessions ended with their own mail servers and with nothing else.", GREEN, BOLD) if is_good
                   else screen.paint("Something was lost that should not have been.", RED, BOLD))
        return is_good


def show_regions(screen):
    """In a lab of its own, which is gone afterwards."""
    with Lab(backends=0, clients=0) as lab:
        return Show(screen).run(lab)
