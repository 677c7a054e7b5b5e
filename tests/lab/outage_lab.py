# SPDX-License-Identifier: Apache-2.0
"""A lab in which outages (lab.outages) happen for real, one after the other, and what is told of each.

    with Outages(outage.nodes) as lab:
        found = lab.run(outage)

A cause is a context manager: it goes on until its end. Each is watched by a Prometheus and an Alertmanager of its own, so that none
has to wait until the averages of the one before are gone.
"""
import contextlib
import ctypes
import dataclasses
import os
import pathlib
import shutil
import signal
import time

from . import junk
from .firewall import firewall
from .glitches import DAY_S, LIAR_PORT, World
from .network import BACK4, BACK6, BALANCER_BACK, VIP4, ip
from .other_node import OtherNode
from .pager import ALERTMANAGER, Pager
from .prometheus import Prometheus, fetch, samples
from .shell import run, wait_until

MAX_FLOWS = 1024
NOBODY = (f"{BACK4}.250", f"{BACK6}:250")  # of the back network
CHECKED_PORTS = (25, 465, 587)
ANNOUNCE = 'announce: { mode = "routes"; hold_down = 1.0; last_node = "withdraw"; };\n'
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
# What an outage that should wake nobody is given to do so: longer than any page that is not about averages waits for.
SILENT_S = 100


@dataclasses.dataclass(frozen=True)
class Told:
    alert: str
    after_s: float              # since the cause began, until it was told of the last node
    nodes: int


@dataclasses.dataclass(frozen=True)
class Found:
    paged: list                 # of Told, in the order in which they came
    tickets: list

    def meets(self, outage):
        def has(wanted, got):
            return not wanted or any(told.alert in wanted for told in got)
        return (has(outage.pages, self.paged) and all(has((alert,), self.tickets) for alert in outage.tickets)
                and (bool(outage.pages) or not self.paged))


class Outages:
    """One lab in which they happen one after the other. Between them everything is well. `nodes`: one, or a fleet of two, of
    which the first has all the traffic."""

    def __init__(self, nodes=1):
        self._fleet = nodes == 2
        self.other_node = None
        self._records = pathlib.Path("/dev/shm") / f"sluice-lab-records-{os.getpid()}"

    def __enter__(self):
        self._records.mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "size=64m", "sluice-lab", self._records)
        self.world = World(changes=[("flow_capacity = 65536;", f"flow_capacity = {MAX_FLOWS};")], settings=self._settings)
        self.world.__enter__()
        self.lab, self.balancer = self.world.lab, self.world.lab.balancer
        try:
            if self.other_node:
                self.other_node.start()
            self._issue(90)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _settings(self, lab):
        if self._fleet:
            self.other_node = OtherNode(lab, ANNOUNCE)
        return (self.other_node.settings() if self.other_node else ANNOUNCE) + f'records: {{ to = "file:{self._records}/sessions.jsonl"; }};\n'

    @property
    def nodes(self):
        return [self.balancer, *([self.other_node.balancer] if self.other_node else [])]

    def __exit__(self, *unused):
        if self.other_node:
            self.other_node.stop()
        self.world.close()
        run("umount", "-l", self._records)
        shutil.rmtree(self._records, ignore_errors=True)

    def run(self, outage):
        """Lets it happen under a little traffic, until what has to page has done so, or for long enough to be sure of silence."""
        for node in self.nodes:
            node.wait_healthy(120)
        directory = self.lab.directory / f"watch-{time.monotonic_ns()}"
        directory.mkdir()
        pager = Pager(self.lab.network.balancer, directory / "pager")
        others = dict(others=[self.other_node.http], token_file=self.other_node.token_file) if self.other_node else {}
        prometheus = Prometheus(self.lab.network.balancer, directory / "prometheus", ALERTMANAGER, **others)
        traffic = self.lab.mailer(target=VIP4, sessions=1_000_000, per_second=5, messages=0, timeout_s=10, details=False)
        try:
            prometheus.wait(f"min(count_over_time(sluice_dataplane_connected[30s])) and count(sluice_dataplane_connected) == {len(self.nodes)}",
                            lambda samples: samples >= 5)
            began = time.time()
            with outage.cause(self):
                self._watch(pager, outage, began)
            return self._found(pager, began)
        finally:
            traffic.kill()
            prometheus.stop()
            pager.stop()
            self._mend()

    @staticmethod
    def _found(pager, began):
        return Found(*([Told(alert, max(times.values()) - began, len(times)) for alert, times in pager.notes(severity).items()]
                       for severity in ("page", "ticket")))

    def _watch(self, pager, outage, began):
        def is_over():
            found = self._found(pager, began)
            late = time.time() >= began + (outage.within_s if outage.pages else SILENT_S)
            return late or bool(found.paged if not outage.pages else found.meets(outage))
        wait_until(is_over, 2 * max(outage.within_s, SILENT_S), "the outage has been told of, or not for long enough", interval_s=0.2)

    def _mend(self):
        for service in ("dataplane", "control"):
            if getattr(self.balancer, service).process.poll() is not None:
                getattr(self.balancer, f"start_{service}")(60)

    # Causes.

    @contextlib.contextmanager
    def stopped(self, servers):
        for index in servers:
            self.lab.backends[index].stop()
        try:
            yield
        finally:
            for index in servers:
                self.lab.backends[index].start()

    def silent(self):
        return firewall(self.lab.network.backends, "chain in { type filter hook input priority 0; tcp dport { 25, 465, 587 } drop; }")

    @contextlib.contextmanager
    def answering(self, greeting, servers=(0, 1, 2), whom=""):
        """They say `greeting` to all, or to those whom a rule of nftables names."""
        for index in servers:
            self.lab.start_liar(index, LIAR_PORT, greeting)
        try:
            with firewall([self.lab.network.backends[index] for index in servers],
                            f"chain to {{ type nat hook prerouting priority dstnat; {whom} tcp dport {{ 25, 465, 587 }} "
                            f"redirect to :{LIAR_PORT}; }}"):
                yield
        finally:
            self.lab.stop_liars()

    @contextlib.contextmanager
    def told(self, words, undo):
        """Something that an operator does by hand."""
        for command in words:
            self.balancer.ctl(*command)
        try:
            yield
        finally:
            for command in undo:
                self.balancer.ctl(*command)

    def disabled(self, servers):
        names = [f"{pool}/mta{index + 1}" for pool in ("mta", "mta6") for index in servers]
        return self.told([("disable", name) for name in names], [("enable", name) for name in names])

    @contextlib.contextmanager
    def unplugged(self, side):
        self.world.link(side, False)
        try:
            yield
        finally:
            self.world.link(side, True)

    @contextlib.contextmanager
    def addresses_gone(self):
        """Whatever manages the network has taken the twins' addresses."""
        for twin in ("slf0", "slb0"):
            for family in ("-4", "-6"):
                run("ip", family, "address", "flush", "dev", twin, namespace=self.lab.network.balancer)
        try:
            yield
        finally:
            self.lab.network.address_twins("slf0", "slb0")

    @contextlib.contextmanager
    def astray(self, servers):
        """Their answers to clients go to a router that is not there. Those to the checks do not need one."""
        def lead(v4, v6):
            for index in servers:
                ip(self.lab.network.backends[index], f"route replace default via {v4}", f"route replace default via {v6}")
        lead(*NOBODY)
        try:
            yield
        finally:
            lead(*BALANCER_BACK)

    @contextlib.contextmanager
    def checks_prohibited(self):
        """By a rule of the balancer's own machine."""
        def rules(word):
            for family in ("-4", "-6"):
                for port in CHECKED_PORTS:
                    run("ip", family, "rule", word, "ipproto", "tcp", "dport", port, "prohibit", namespace=self.lab.network.balancer)
        rules("add")
        try:
            yield
        finally:
            rules("delete")

    @contextlib.contextmanager
    def killed(self, service):
        """It does not come back."""
        getattr(self.balancer, service).stop(signal.SIGKILL)
        try:
            yield
        finally:
            getattr(self.balancer, f"start_{service}")(60)

    @contextlib.contextmanager
    def other_node_dead(self):
        self.other_node.kill()
        try:
            yield
        finally:
            self.other_node.revive()

    @contextlib.contextmanager
    def paused(self):
        self.balancer.dataplane.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.balancer.dataplane.process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def worker_stuck(self):
        """Only the polling thread does not go on."""
        root = pathlib.Path(f"/proc/{self.balancer.dataplane.pid}/task")
        (thread,) = [int(task.name) for task in root.iterdir() if "worker" in (task / "comm").read_text()]
        trace = ctypes.CDLL(None, use_errno=True).ptrace
        trace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
            if trace(request, thread, None, None) != 0:
                raise OSError(ctypes.get_errno(), "ptrace")
        os.waitpid(thread, 0x40000000)  # __WALL
        try:
            yield
        finally:
            trace(PTRACE_DETACH, thread, None, None)

    @contextlib.contextmanager
    def once(self, act):
        """A glitch: over when it has been done."""
        act(self.world)
        yield

    @contextlib.contextmanager
    def broken_file(self):
        text = self.balancer.config.read_text()
        self.balancer.config.write_text(text.replace("pools =", "pols ="))
        self.balancer.control.process.send_signal(signal.SIGHUP)  # sluicectl would not get so far with this file
        try:
            yield
        finally:
            self.balancer.config.write_text(text)
            self.balancer.ctl("reload")

    @contextlib.contextmanager
    def records_disk_full(self):
        (self._records / "rest").write_bytes(b"")
        run("sh", "-c", f"dd if=/dev/zero of={self._records}/rest bs=64k 2>/dev/null; true")
        try:
            yield
        finally:
            (self._records / "rest").unlink()

    @contextlib.contextmanager
    def table_full(self):
        """So many sessions that nobody ends."""
        idle = self.lab.mailer(target=VIP4, sessions=MAX_FLOWS * 9 // 10, per_second=50, hold="greeted", timeout_s=900)
        try:
            idle.wait_open(idle.plan.sessions)
            yield
        finally:
            idle.kill()

    @contextlib.contextmanager
    def certificates_end(self, days):
        self._issue(days)
        try:
            yield
        finally:
            self._issue(90)

    def _issue(self, days):
        """All servers have a new certificate, and the checks have seen it."""
        self.lab.issue_certificate(days=days)
        for server in self.lab.backends:
            server.reload()
        def seen():
            ends = samples(fetch(self.lab.network.balancer, "/metrics"))
            left = [at - time.time() for name, at in ends.items() if name.startswith("sluice_backend_certificate_expiry")]
            return left and all((days - 1) * DAY_S < seconds < (days + 1) * DAY_S for seconds in left)
        wait_until(seen, 60, f"certificates that end in {days} days")

    @contextlib.contextmanager
    def junk(self, kind, per_second=0):
        """So many frames of a kind a second; 0: as many as one client can make."""
        service = junk.throw(self.lab, "front", [kind], per_second=per_second)
        try:
            yield
        finally:
            service.stop()
