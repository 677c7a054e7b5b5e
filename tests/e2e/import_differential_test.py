# SPDX-License-Identifier: Apache-2.0
"""What sluicectl makes of a haproxy.cfg, beside HAProxy itself: both carry the same clients to the same servers.

Each file in tests/e2e/haproxy is first run by HAProxy in the balancer's namespace, then its import by Sluice, by a reload. What
clients and servers see has to be the same (see lab.onlooker), or the import has to have said so. Comments in the files:

    # scene: mta1 down; mta2 says 421 busy     a state of the servers in which both are looked at, besides "up"; also: mute, and
                                               "agent WORDS", which is what the agent beside the server says; scenes
                                               follow each other, and who is not named says "up 100%"
    # at once: N                               N sessions are held at once at the first door, when all is up, and where an
                                               agent says maxconn
    # held                                     sessions that were open before a scene are counted in it
    # differs: up 192.0.2.25:25 | up at_once   scenes, and doors or facts in them, in which both are known to differ ...
    LINE #! PATTERN                            ... and what the import says of that line, whether or not it matters
"""
import re
import shutil
import subprocess
import time

import pytest

from lab.balancer import EXAMPLE, ROOT, programs
from lab.lab import Lab
from lab.network import VIP4, VIP6
from lab.onlooker import TOLERANCE, Onlooker, differences
from lab.shell import Service, run, wait_until

FILES = ROOT / "tests" / "e2e" / "haproxy"
ORDINARY = {"backup-first", "bind-every-v6-and-v4", "bind-range", "check-send-proxy-v2", "conditions-nested",
            "listen-with-default-backend", "marked-down", "maxconn", "proxy-over-v6", "smtpchk", "tcp-check-over-defaults", "weights"}
SETTLED_S = 0.8  # four intervals of the corpus's checks
PATIENCE_S = 6.0
HELD = 12
BY_CHANCE = 0.28  # tolerance of shares where a scheduler draws
DEVICES = re.search(r"dataplane:\n\{.*?\n\};\n", EXAMPLE.read_text(), re.DOTALL)[0].replace(
    "workers ", 'strangers = "kernel";\n  workers ')
NOTHING = DEVICES + """pools = ( { name = "none"; backends = ( { name = "none"; address = "10.0.1.99"; } ); } );
services = ( { name = "none"; vip = "192.0.2.25"; port = 9; pool = "none"; } );
"""
ENVIRONMENT = {"LAB_SERVER": "10.0.1.11", "LAB_WEIGHT": "30"}

# What is changed in a file before its import, and the fact that has to be found to differ then: each fact can fail.
TWISTS = {
    "other weights": ("weights", "weight 20", "weight 200", "up .* shares: "),
    "one server fewer": ("plain", "    server mta3 10.0.1.12:25\n", "", "up .* who: "),
    "a server's other port": ("plain", "10.0.1.12:25", "10.0.1.12:2525", "up .* who: "),
    "no checks": ("plain", " check ", " ", "mta1 down .* who: "),
    "another port": ("plain", "192.0.2.25:25", "192.0.2.25:26", "up 192.0.2.25:26 answers: False / True"),
    "another family": ("bind-every-v6-and-v4", "[::]:25", "[::]:26", "up 2001:db8:25::25:25 answers: True / False"),
    "a backup that is none": ("backup-first", "10.0.1.12:25 backup", "10.0.1.12:25", "up .* who: "),
    "no header": ("proxy-over-v6", "send-proxy\n", "\n", "up .*:25 headers: "),
    "a header of another version": ("proxy-over-v6", "send-proxy-v2", "send-proxy", "up .*:26 headers: "),
    "clients that do not stay": ("balance-source", "balance source", "balance roundrobin", "up .* sticky: True / False"),
    "turns instead of loads": ("balance-leastconn", "balance leastconn", "balance roundrobin", "up .* refills: True / False"),
    "no limit": ("maxconn", " maxconn 2", "", "up at_once: "),
    "sessions that are kept": ("marked-down", " on-marked-down shutdown-sessions", "", "mta1 down kept: "),
}

pytestmark = [pytest.mark.skipif(not shutil.which("haproxy"), reason="HAProxy is not installed"),
              pytest.mark.timeout(1800)]  # HAProxy's turn comes before the first case, and is counted to it


class Case:
    def __init__(self, path):
        self.name, self.path, self.text = path.stem, path, path.read_text()
        self.scenes = {"up": {}}
        for words in re.findall(r"^# scene: (.*)$", self.text, re.MULTILINE):
            self.scenes[words] = dict(map(mood, words.split("; ")))
        self.at_once = int((re.search(r"^# at once: (\d+)$", self.text, re.MULTILINE) or [0, 0])[1])
        self.held = "\n# held\n" in "\n" + self.text
        # What is drawn, or depends on what is open, says more with all sessions open at once.
        self.by_load = bool(re.search(r"balance (leastconn|random)", self.text))
        self.refills = not self.at_once and "balance random" not in self.text  # which may or may not
        self.patience_s = SETTLED_S if re.search(r"\b(agent-)?check\b", self.text) else 0
        differs = re.search(r"^# differs: (.*)$", self.text, re.MULTILINE)
        self.differs = set(differs[1].split(" | ")) if differs else set()
        self.told = {number: line.partition("#!")[2].strip()
                     for number, line in enumerate(self.text.splitlines(), 1) if "#!" in line}


def mood(words):
    name, _, how = words.partition(" ")
    kind, _, words = how.partition(" ")
    return name, {"greeting": words} if kind == "says" else {kind: words or True}


CASES = {path.stem: Case(path) for path in sorted(FILES.glob("*.cfg"))}


def convert(path):
    return subprocess.run([programs()["sluicectl"], "import", "haproxy", "--vip", VIP4, "--vip6", VIP6, path], text=True,
                          capture_output=True, timeout=120)


class World:
    """The lab, with what HAProxy did with each case that is wanted, and Sluice, which is told of one after the other."""

    def __init__(self, lab, names):
        self.lab = lab
        self.onlooker = Onlooker(lab)
        self.doors = self.onlooker.doors()
        lab.network.route_without_balancer()
        (lab.directory / "lab.pem").write_text("".join(path.read_text() for path in lab.issue_certificate()))
        self.by_haproxy = {name: self._run_haproxy(CASES[name]) for name in names}
        lab.network.stop_routing()
        self.config = lab.directory / "sluice.cfg"
        self.config.write_text(self._complete(NOTHING))
        self.balancer = lab.start_balancer(self.config, healthy=False)

    def _run_haproxy(self, case):
        base = self.lab.directory / "base.cfg"
        socket = self.lab.directory / "haproxy.sock"
        base.write_text(f"global\n    stats socket {socket} level admin\n    ssl-default-server-options ssl-min-ver TLSv1.2\n"
                        "    ssl-server-verify none\n")
        log = self.lab.directory / "haproxy.log"
        log.unlink(missing_ok=True)
        haproxy = Service(f"haproxy {case.name}", ["haproxy", "-db", "-C", self.lab.directory, "-f", base, "-f", case.path], log,
                          self.lab.network.balancer, {**ENVIRONMENT, "LAB_NAMESPACE": str(self.lab.network.balancer)})
        try:
            wait_until(lambda: haproxy.require_running() or socket.exists() and self._listens(), 10, f"HAProxy runs {case.name}")
            return self.observe(case, lambda: haproxy.require_running() or True)
        finally:
            haproxy.stop()
            socket.unlink(missing_ok=True)

    def _listens(self):
        listening = run("ss", "-Hltn", namespace=self.lab.network.balancer)
        return any(f":{port} " in listening for _, port in self.doors)

    def observe(self, case, settled):
        """Scene -> what was seen in it."""
        out = {}
        doors = self.doors
        for scene, moods in case.scenes.items():
            if scene != "up" and case.held:
                self.onlooker.visit("hold", doors[0], sessions=HELD)
            changed = time.monotonic()
            self.onlooker.set_moods(moods)
            wait_until(lambda: time.monotonic() - changed > case.patience_s and settled(), 20, "verdicts")
            out[scene] = self.onlooker.look(doors, extras=scene == "up", at_once=case.at_once if scene == "up" or "maxconn:" in scene else 0,
                                            together=case.by_load, refills=case.refills)
            if scene != "up" and case.held:
                out[scene]["kept"] = sorted(set(self.onlooker.visit("held")))
                self.onlooker.visit("drop", who="")
            if scene == "up" and out[scene]:
                doors = [door for door in doors if f"{door[0]}:{door[1]}" in out[scene]]
        self.onlooker.set_moods({})
        return out

    @staticmethod
    def _complete(text):
        """What an operator fills in; no panic, as HAProxy knows none; and nothing that drains."""
        text = re.sub(r"dataplane:\n\{.*?\n\};\n", lambda _: DEVICES, text, count=1, flags=re.DOTALL)
        pool = '\n    panic_share = 1.0; panic_hold = 0; on_removal = "reset";\n    backends =\n'
        text = text.replace("\n    backends =\n", pool).replace('instance = "sluice";\n', "")
        return 'instance = "imported";\ncontrol: { http = ""; };\n' + text

    def reload(self, text):
        self.config.write_text(self._complete(text))
        done = self.balancer.ctl_run("reload")
        assert done.returncode == 0, done.stderr + done.stdout + text
        wait_until(self.settled, 20, "the reload is carried out")

    def settled(self):
        return self.balancer.status()["dataplane"]["settled"]

    def forget(self):
        """Waits until no backend is left, of which something would be remembered: who was up is not given up as easily as who
        never was."""
        self.reload(NOTHING)
        wait_until(lambda: len(self.balancer.status()["backends"]) == 1, 20, "the others are gone")

    def compare(self, case, text, wanted, patient=True):
        """Differences of Sluice with the file `text` from what HAProxy did. Looked at again while they are not where they
        are `wanted`, if `patient`, and then without what is remembered: on a busy machine a verdict takes its time."""
        self.reload(NOTHING)
        deadline = None
        while True:
            self.reload(text)
            found = differences(self.by_haproxy[case.name], self.observe(case, self.settled),
                                BY_CHANCE if case.by_load else TOLERANCE)
            if not patient or places_of(found, case) == wanted or deadline and time.monotonic() > deadline:
                return found
            self.forget()
            deadline = deadline or time.monotonic() + PATIENCE_S


def places_of(found, case):
    """Of differences: scenes, with the door or the fact that they are at."""
    return {f"{scene} {text.removeprefix(scene).split()[0].rstrip(':')}" for scene in case.scenes for text in found
            if text.startswith(scene + " ")}


@pytest.fixture(scope="module")
def world(request):
    wanted = {item.callspec.params["name"] for item in request.session.items
              if item.path == request.path and "name" in getattr(getattr(item, "callspec", None), "params", {})}
    twisted = {TWISTS[item.callspec.params["twist"]][0] for item in request.session.items
               if item.path == request.path and "twist" in getattr(getattr(item, "callspec", None), "params", {})}
    with Lab() as lab:
        made = World(lab, sorted(wanted | twisted))
        yield made
        made.onlooker.stop()


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in ORDINARY else pytest.mark.long) for name in CASES])
def test_an_import_does_what_haproxy_did_or_says_that_it_does_not(world, name):
    case = CASES[name]
    done = convert(case.path)
    remarks = dict.fromkeys(case.told, "")
    for number, text in re.findall(rf"{name}\.cfg:(\d+): (.*)", done.stdout + done.stderr):
        remarks[int(number)] = remarks.get(int(number), "") + text + "\n"
    missing = {number: (pattern, remarks[number]) for number, pattern in case.told.items()
               if not re.search(pattern, remarks[number])}
    found = world.compare(case, done.stdout, case.differs)
    print(*found, sep="\n")
    assert (places_of(found, case), missing) == (case.differs, {}), "\n".join([*found, done.stdout])
    assert case.told or not case.differs


@pytest.mark.parametrize("twist", [pytest.param(twist, marks=() if TWISTS[twist][0] in ORDINARY else pytest.mark.long)
                                   for twist in TWISTS])
def test_a_wrong_import_is_found(world, twist, tmp_path):
    name, old, new, fact = TWISTS[twist]
    case = CASES[name]
    assert old in case.text
    (tmp_path / "twisted.cfg").write_text(case.text.replace(old, new))
    found = world.compare(case, convert(tmp_path / "twisted.cfg").stdout, set(), patient=False)
    assert any(re.match(fact, text) for text in found), found


def test_differences_are_of_facts_beyond_tolerance():
    door = {"shares": {"a": 0.5, "b": 0.5}, "headers": {}, "sticky": False, "refills": False}
    seen = {"up": {"door": door, "at_once": {"a": 1}, "kept": ["a"]}}

    def changed(**facts):
        return {"up": {**seen["up"], "door": {**door, **facts}}}

    assert not differences(seen, seen)
    assert not differences(seen, changed(shares={"a": 0.6, "b": 0.4}))
    for other, fact in ((changed(shares={"a": 0.7, "b": 0.3}), "shares"), (changed(shares={"a": 1.0}), "who"),
                        (changed(headers={"a": {"v1"}}), "headers"), (changed(sticky=True), "sticky"),
                        (changed(refills=True), "refills"), ({"up": {}}, "answers"), ({}, "answers"),
                        ({"up": {**seen["up"], "at_once": {"a": 2}}}, "at_once"), ({"up": {**seen["up"], "kept": []}}, "kept")):
        assert any(fact in text for text in differences(seen, other)), fact
