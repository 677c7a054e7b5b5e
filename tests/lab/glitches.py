# SPDX-License-Identifier: Apache-2.0
"""A lab with sessions in mid-message, and the glitches that they have to live through.

    with World(...) as world:
        held = world.hold()
        world.link_down("back", 20)
        world.require_all_delivered(held)

A glitch's method returns when its cause is gone; what follows from it may go on. How long a cause lasts is what a test is about,
so these wait by the clock; everything else waits on conditions.
"""
import collections
import contextlib
import os
import secrets
import shutil
import signal
import threading
import time

from .balancer import EXAMPLE, TWINS
from .clock import Clock
from .firewall import firewall
from .lab import Lab
from .network import BALANCER_BACK, VIP4, balancer_addresses, ip
from .shell import run, wait_until

IDLE, TRICKLING = 60, 60  # sessions of each kind
PORTS = {"front": "lbf", "back": "lbb"}  # the switch's ends of the balancer's cables
LIAR_PORT = 2500
DAY_S = 86400
# What a middlebox tells probes: its greeting; None = nothing at all.
ANSWERS = {"421": "421 4.3.2 middlebox", "554": "554 5.7.1 middlebox", "silence": None, "reset": None}
# Probes of 465 look at the certificate, too; the flow memory outlives the data plane.
CHANGES = (('handshake: { type = "tcp";', 'handshake: { type = "smtps"; greeting_timeout = 20.0;'),)


def last(seconds):
    """Lets a cause last for so long."""
    threading.Event().wait(seconds)


class World:
    """Three Postfix, a balancer with a wall clock and a file system for its state of its own, clients."""

    def __init__(self, changes=(), settings=lambda lab: ""):
        """`changes`: of the lab's configuration, as (old, new); `settings`: returns what is put behind it, when the lab is there and
        the balancer is not yet."""
        self._changes, self._settings = changes, settings
        self.lab = Lab()
        self._disk = self.lab.directory / "disk"

    def __enter__(self):
        self.lab.__enter__()
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        if os.path.ismount(self._disk):
            run("umount", "-l", self._disk)
        self.lab.close()

    def _start(self):
        lab = self.lab
        self.clock = Clock(lab.directory)
        lab.start_backends()
        text = EXAMPLE.read_text()
        for old, new in (*CHANGES, *self._changes, ("memory_mb     = 256;", f'memory_mb = 256; flow_store = "{lab.directory}/flows";')):
            assert old in text, f"{EXAMPLE.name} no longer holds {old!r}"
            text = text.replace(old, new)
        (lab.directory / "flows").mkdir()
        self._disk.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=4m", "sluice-lab", self._disk)
        path = lab.directory / "glitch.cfg"
        path.write_text(text + self._settings(lab))
        lab.start_balancer(path, env=self.clock.env, state=self._disk / "state")

    # Sessions.

    def hold(self, idle=IDLE, trickling=TRICKLING):
        """Sessions in mid-message on every backend: some silent, some that send a little all the time, a part of them by
        TLS."""
        for backend in self.lab.backends:
            backend.forget_stored()
        plan = dict(target=VIP4, hold="half_sent", size=60_000, timeout_s=240)
        held = [self.lab.mailer(sessions=idle, **plan),
                self.lab.mailer(sessions=trickling, doors=[[25, "plain"], [25, "plain"], [465, "tls"]], trickle_s=0.3, **plan)]
        for mailer in held:
            mailer.wait_held(mailer.plan.sessions)
        share = sum((mailer.backends() for mailer in held), collections.Counter())
        assert all(share[backend.name] > 10 for backend in self.lab.backends), share
        return held

    def require_all_delivered(self, held, of_dead=()):
        """Lets them go on. Every message is stored once, and every session ended well, but those of backends that are
        `of_dead`: of these each session was told of the end. Returns the figures."""
        early = sum(len(mailer.ended) for mailer in held)
        for mailer in held:
            mailer.go()
        for mailer in held:
            mailer.wait(400)
        ends = [event for mailer in held for event in mailer.ended]
        living = [event for event in ends if event["backend"] not in of_dead]
        broken = [event for event in living if event["outcome"] != "delivered"]
        self.lab.wait_delivered()
        found = self.lab.tally(*held)
        figures = {"held": len(ends), "cut": len(broken), "cut_early": early, "lost": len(found.lost),
                   "duplicated": len(found.duplicated), "of_dead": len(ends) - len(living)}
        print(figures, flush=True)
        assert not broken, f"{len(broken)} of {len(living)} sessions broke ({figures}): {broken[:3]}"
        assert not (found.lost or found.duplicated or found.corrupted), (figures, found)
        assert sum(found.received.values()) >= len(living)
        dead = [event for event in ends if event["backend"] in of_dead]
        assert all(event["outcome"] in ("reset", "closed") for event in dead), dead[:3]
        return figures

    def require_service(self, sessions=60):
        """What comes now is served, by all backends."""
        self.lab.balancer.require_running()
        self.lab.balancer.wait_healthy(120)
        fresh = self.lab.mailer(target=VIP4, sessions=sessions, messages=0, attempts=3, timeout_s=60).wait()
        assert fresh.outcomes["delivered"] == sessions, fresh.summary()

    def stream(self, per_second=30):
        """New sessions all the time, each with a message."""
        return self.lab.mailer(target=VIP4, sessions=1_000_000, per_second=per_second, timeout_s=120)

    @staticmethod
    def seed():
        return int(os.environ.get("SLUICE_SEED") or secrets.randbelow(1 << 32))

    def glitches(self, rng):
        """(what it is, what does it) of each that may be drawn."""
        seconds = rng.choice((1, 3, 6))
        return [(f"{side} cable out for {seconds} s", lambda side=side: self.link_down(side, seconds)) for side in PORTS] + [
            *((f"{side} port waits for spanning tree", lambda side=side: self.wait_for_spanning_tree(side, 2)) for side in PORTS),
            (f"switch restarts, {seconds} s", lambda: self.restart_switch(seconds)),
            (f"addresses flushed for {seconds} s", lambda: self.flush_addresses(seconds)),
            (f"twin down for {seconds} s", lambda: self.twin_down(seconds)),
            ("control killed", self.kill_control),
            ("data plane killed", self.kill_dataplane),
            ("both killed", self.kill_both),
            (f"data plane paused for {seconds} s", lambda: self.pause_dataplane(seconds)),
            ("clock set forward", lambda: self.clock.set(DAY_S)),
            ("clock set back", lambda: self.clock.set(-DAY_S)),
            *((f"probes answered {answer} for {seconds} s", lambda answer=answer: self.answer_probes(answer, seconds))
              for answer in ANSWERS)]

    # Links, switches, addresses.

    def link(self, side, up):
        ip(self.lab.network.wires, f"link set {PORTS[side]} {'up' if up else 'down'}")

    def link_down(self, side, seconds):
        """The cable of one of the balancer's ports is out."""
        self.link(side, False)
        last(seconds)
        self.link(side, True)

    def wait_for_spanning_tree(self, side, forward_delay_s):
        """The cable is out for a moment. Then there is a link, and the switch forwards nothing by it until spanning tree has
        listened and learned, `forward_delay_s` each."""
        wires = self.lab.network.wires
        ip(wires, f"link set {side} type bridge forward_delay {100 * forward_delay_s} stp_state 1")
        try:
            self.link_down(side, 1)
            began = time.monotonic()
            wait_until(lambda: "state forwarding" in run("bridge", "link", "show", "dev", PORTS[side], namespace=wires),
                       3 * forward_delay_s + 10, "the switch forwards again")
            assert time.monotonic() - began > forward_delay_s, "the switch forwarded at once"
        finally:
            ip(wires, f"link set {side} type bridge stp_state 0")

    def restart_switch(self, seconds):
        """The switch behind restarts: all its ports down, and nobody knows anybody's MAC address afterwards."""
        wires = self.lab.network.wires
        ports = [PORTS["back"], *(backend.name for backend in self.lab.backends)]
        ip(wires, *(f"link set {port} down" for port in ports))
        last(seconds)
        for namespace in (*self.lab.network.backends, self.lab.network.balancer):
            run("ip", "neigh", "flush", "all", namespace=namespace)
        ip(wires, *(f"link set {port} up" for port in ports))

    def flush_addresses(self, seconds):
        """As `systemctl restart systemd-networkd` may: every address and route of the twins gone, and set again."""
        for twin in TWINS:
            for family in ("-4", "-6"):
                run("ip", family, "address", "flush", "dev", twin, namespace=self.lab.network.balancer)
                run("ip", family, "route", "flush", "dev", twin, namespace=self.lab.network.balancer)
        last(seconds)
        self.lab.network.address_twins(*TWINS)

    def twin_down(self, seconds):
        """The twin towards the backends is set down, which takes its IPv6 addresses and its routes, and up again."""
        balancer = self.lab.network.balancer
        ip(balancer, f"link set {TWINS[1]} down")
        last(seconds)
        run("ip", "address", "flush", "dev", TWINS[1], namespace=balancer)
        ip(balancer, *(line for line in balancer_addresses(*TWINS) if TWINS[1] in line))

    def delete_twin(self, seconds):
        """The twin towards the backends is deleted. It has to come back by itself; addresses are set by hand."""
        balancer = self.lab.network.balancer
        ip(balancer, f"link delete {TWINS[1]}")
        last(seconds)
        wait_until(lambda: TWINS[1] in run("ip", "-brief", "link", namespace=balancer), 60, "the twin is there again")
        ip(balancer, *(line for line in balancer_addresses(*TWINS) if TWINS[1] in line))

    # Processes.

    def kill_control(self, times=1, every_s=0):
        for _ in range(times):
            self.lab.balancer.kill_control()
            self.lab.balancer.start_control(60)
            last(every_s)

    def kill_dataplane(self, times=1, every_s=0):
        """Killed, and started again at once, as systemd does."""
        for _ in range(times):
            self.lab.balancer.dataplane.stop(signal.SIGKILL)
            self.lab.balancer.start_dataplane(60)
            last(every_s)

    def kill_both(self):
        balancer = self.lab.balancer
        balancer.dataplane.process.kill()
        balancer.control.process.kill()
        balancer.dataplane.stop()
        balancer.control.stop()
        balancer.start_dataplane(60)
        balancer.start_control(60)

    def pause_dataplane(self, seconds, replace=False):
        """Stopped for a while; with `replace`, killed then, and a new one started."""
        process = self.lab.balancer.dataplane.process
        process.send_signal(signal.SIGSTOP)
        last(seconds)
        if replace:
            return self.kill_dataplane()
        process.send_signal(signal.SIGCONT)

    # Probes, clock, certificates, state.

    def issue_certificates(self, ends_in_s=DAY_S):
        """All servers have a new certificate, the same."""
        self.lab.issue_certificate(days=1, clock=self.clock.before(DAY_S - ends_in_s))
        for backend in self.lab.backends:
            backend.reload()

    @contextlib.contextmanager
    def probes_answered(self, answer):
        """A middlebox answers every probe, and nothing else, with 421, 554, silence or RST."""
        for index in range(len(self.lab.backends)):
            self.lab.start_liar(index, LIAR_PORT, ANSWERS[answer])
        if answer == "reset":
            # In one place, so that it begins and ends for all at once: one server that refuses while others answer is dead.
            namespaces = [self.lab.network.balancer]
            chain, verdict = "filter hook output priority filter", "reject with tcp reset"
        else:
            namespaces = self.lab.network.backends
            chain, verdict = "nat hook prerouting priority dstnat", f"redirect to :{LIAR_PORT}"
        rules = "".join(f"{family} saddr {address} tcp dport {{ 25, 465, 587 }} {verdict}\n"
                        for family, address in zip(("ip", "ip6"), BALANCER_BACK))
        try:
            with firewall(namespaces, f"chain answers {{ type {chain};\n{rules}}}"):
                yield
        finally:
            self.lab.stop_liars()

    def answer_probes(self, answer, seconds):
        with self.probes_answered(answer):
            last(seconds)

    def _remount(self, how):
        """With control away, as its journal is open."""
        self.lab.balancer.kill_control()
        run("mount", "-o", f"remount,{how}", self._disk)
        self.lab.balancer.start_control(60)

    @contextlib.contextmanager
    def state_directory(self, trouble):
        """Where control keeps what outlives it is full, read-only, or gone."""
        if trouble == "gone":
            shutil.rmtree(self.lab.balancer.state)
        elif trouble == "full":
            run("sh", "-c", f"dd if=/dev/zero of={self._disk}/full bs=64k 2>/dev/null; dd if=/dev/zero of={self._disk}/rest bs=1 2>/dev/null; true")
        else:
            self._remount("ro")
        try:
            yield
        finally:
            if trouble == "read-only":
                self._remount("rw")
            for name in ("full", "rest"):
                (self._disk / name).unlink(missing_ok=True)
