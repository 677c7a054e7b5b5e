# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, and what wakes somebody then: each outage with the alerts that page, or none. lab.outage_lab lets them happen.

    outage = outages.named("all servers refuse")
"""
import dataclasses

from .glitches import ANSWERS, DAY_S

SYNS_PER_SECOND = 2000  # enough to fill the places for handshakes, and few enough for a worker that has half a processor


@dataclasses.dataclass(frozen=True)
class Outage:
    name: str
    cause: object               # of the Outages (lab.outage_lab); a context manager
    pages: tuple = ()           # one of these alerts has to page; none: nobody is woken
    tickets: tuple = ()         # each of these has to be opened as well
    within_s: float = 60        # what the pages wait for, and some time to spare
    nodes: int = 1              # of the lab


def clients_only():
    return "ip saddr 192.0.2.0/24"


PANIC, OUT, FAST = "SluicePoolPanic", "SluiceServiceOut", "SluiceHandshakesFailFast"
ALL = (0, 1, 2)
OUTAGES = [
    Outage("all servers refuse", lambda o: o.stopped(ALL), (PANIC,)),
    Outage("all servers are silent", lambda o: o.silent(), (PANIC,)),
    Outage("all servers answer 421", lambda o: o.answering(ANSWERS["421"]), (PANIC,)),
    Outage("all servers answer 554", lambda o: o.answering(ANSWERS["554"]), (PANIC,)),
    Outage("one of three answers 421 to clients, and the checks pass",
           lambda o: o.answering(ANSWERS["421"], (0,), clients_only()), (FAST,), within_s=300),
    Outage("one of three never greets clients, and the checks pass",
           lambda o: o.answering(None, (0,), clients_only()), (FAST,), within_s=300),
    Outage("a pool is disabled by hand", lambda o: o.disabled(ALL), (OUT,)),
    Outage("the back cable is out", lambda o: o.unplugged("back"), ("SluicePortLinkDown",)),
    Outage("the front cable is out", lambda o: o.unplugged("front"), ("SluicePortLinkDown",)),
    Outage("the twins' addresses are gone", lambda o: o.addresses_gone(), ("SluiceChecksDoNotRun", PANIC), within_s=150),
    Outage("a rule of the balancer's own prohibits the checks", lambda o: o.checks_prohibited(), ("SluiceChecksDoNotRun",), within_s=150),
    Outage("all servers answer clients by a wrong gateway", lambda o: o.astray(ALL), ("SluiceServiceUnanswered",), within_s=300),
    Outage("one of three answers clients by a wrong gateway", lambda o: o.astray((0,)), ("SluiceServiceUnanswered",), within_s=300),
    Outage("a firewall resets every probe", lambda o: o.world.probes_answered("reset"), (PANIC,)),
    Outage("the data plane is dead", lambda o: o.killed("dataplane"), ("SluiceControlDisconnected",)),
    Outage("the data plane hangs", lambda o: o.paused(), ("SluiceChangesNotApplied", "SluiceWorkerStuck", "SluiceControlDisconnected", PANIC),
           within_s=300),
    Outage("one worker is stuck", lambda o: o.worker_stuck(), ("SluiceWorkerStuck", "SluiceChangesNotApplied", PANIC), within_s=300),
    Outage("control is dead", lambda o: o.killed("control"), ("SluiceNotScraped",), within_s=120),
    Outage("a reload is refused", lambda o: o.broken_file(), ("SluiceConfigRefused",), within_s=120),
    Outage("the records' disk is full", lambda o: o.records_disk_full(), ("SluiceRecordsStop",), within_s=150),
    Outage("the flow table fills", lambda o: o.table_full(), ("SluiceFlowTableFills",), within_s=420),
    Outage("certificates have expired", lambda o: o.certificates_end(-1), ("SluiceCertificateExpires",)),
    Outage("certificates end in a day", lambda o: o.certificates_end(1), ("SluiceCertificateExpires",)),
    Outage("somebody floods ARP", lambda o: o.junk("arp"), ("SluiceInfrastructureDropped",), within_s=180),
    # These wake nobody.
    Outage("one of three servers is dead", lambda o: o.stopped([0]), tickets=("SluiceBackendDown",)),
    Outage("certificates end in ten days", lambda o: o.certificates_end(10)),
    Outage("a server is drained by hand", lambda o: o.told([("drain", "mta/mta1")], [("enable", "mta/mta1")])),
    Outage("the node is drained by hand", lambda o: o.told([("node", "drain")], [("node", "undrain")])),
    Outage("the back cable is out for 3 s", lambda o: o.once(lambda world: world.link_down("back", 3))),
    Outage("control restarts", lambda o: o.once(lambda world: world.kill_control())),
    Outage("the data plane restarts", lambda o: o.once(lambda world: world.kill_dataplane())),
    Outage("the clock is set forward by a day and back",
           lambda o: o.once(lambda world: (world.clock.set(DAY_S), world.clock.set(0)))),
    Outage("somebody floods SYNs", lambda o: o.junk("syn", SYNS_PER_SECOND), tickets=("SluiceSynFlood",)),
    Outage("somebody sends junk to a VIP", lambda o: o.junk("udp")),
    # On more than one node.
    Outage("all VIPs are withdrawn on all nodes",
           lambda o: o.told([("pool", pool, "disable", "--fleet") for pool in ("mta", "mta6")], [("clear", "--all", "--fleet")]),
           ("SluiceVipNowhere",), within_s=150, nodes=2),
    Outage("another node is dead", lambda o: o.other_node_dead(), ("SluiceNotScraped",), ("SluiceFleetNodeGone", "SluicePeerSilent"),
           within_s=480, nodes=2),
]


def named(name):
    (found,) = [outage for outage in OUTAGES if outage.name == name]
    return found
