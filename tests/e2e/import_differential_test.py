# SPDX-License-Identifier: Apache-2.0
"""What sluicectl makes of a haproxy.cfg, beside HAProxy itself: both carry the same clients to the same servers.

Each file in tests/e2e/haproxy is first run by HAProxy in the balancer's namespace, then its import by Sluice, by a reload. What
clients and servers see has to be the same (see lab.onlooker), or the import has to have said so. Comments in the files:

    # scene: mta1 down; mta2 says 421 busy     a state of the servers in which both are looked at, besides "up"; also: mute
    # at once: N                               N sessions are held at once at the first door
    # held                                     sessions that were open before a scene are counted in it
    # differs: up | mta1 down                  scenes in which both are known to differ ...
    LINE #! PATTERN                            ... and what the import says of that line, whether or not it matters
"""
import json
import os
import re
import shutil
import subprocess
import time
import types

import pytest

from lab.balancer import EXAMPLE, ROOT, programs
from lab.lab import Lab
from lab.network import VIP4, VIP6
from lab.onlooker import TOLERANCE, Onlooker, differences
from lab.shell import CommandError, Service, run, wait_until

FILES = ROOT / "tests" / "e2e" / "haproxy"
ORDINARY = {"weights"}
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

# Text that is changed before the import: file, old, new, the fact that differs then.
TWISTS = {
    "other weights": ("weights", "weight 20", "weight 200", "shares"),
}

pytestmark = pytest.mark.skipif(not shutil.which("haproxy"), reason="HAProxy is not installed")


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
        self.patience_s = SETTLED_S if " check" in self.text else 0
        differs = re.search(r"^# differs: (.*)$", self.text, re.MULTILINE)
        self.differs = set(differs[1].split(" | ")) if differs else set()
        self.told = {number: line.partition("#!")[2].strip()
                     for number, line in enumerate(self.text.splitlines(), 1) if "#!" in line}


def mood(words):
    name, _, how = words.partition(" ")
    return name, {"greeting": how[5:]} if how.startswith("says ") else {how: True}


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
                          self.lab.network.balancer, ENVIRONMENT)
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
            out[scene] = self.onlooker.look(doors, extras=scene == "up", at_once=case.at_once if scene == "up" else 0,
                                            together=case.by_load)
            if scene != "up" and case.held:
                out[scene]["kept"] = sorted(set(self.onlooker.visit("held")))
                self.onlooker.visit("drop", who="")
            if scene == "up" and out[scene]:
                doors = [door for door in doors if f"{door[0]}:{door[1]}" in out[scene]]
        self.onlooker.set_moods({})
        return out

    @staticmethod
    def _complete(text):
        """What an operator fills in; and no panic, as HAProxy knows none."""
        text = re.sub(r"dataplane:\n\{.*?\n\};\n", lambda _: DEVICES, text, count=1, flags=re.DOTALL)
        text = text.replace("\n    backends =\n", "\n    panic_share = 1.0; panic_hold = 0;\n    backends =\n").replace('instance = "sluice";\n', "")
        return 'instance = "imported";\ncontrol: { http = ""; };\n' + text

    def reload(self, text):
        """First to a file without any of it, so that nothing is remembered of the case before."""
        for each in (NOTHING, text):
            self.config.write_text(self._complete(each))
            done = self.balancer.ctl_run("reload")
            assert done.returncode == 0, done.stderr + done.stdout + each
            wait_until(self.settled, 20, "the reload is carried out")

    def settled(self):
        return self.balancer.status()["dataplane"]["settled"]

    def compare(self, case, text, wanted):
        """Differences of Sluice with the file `text` from what HAProxy did. Looked at again while the scenes that differ are not
        `wanted`: on a busy machine a verdict takes its time."""
        self.reload(text)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            found = differences(self.by_haproxy[case.name], self.observe(case, self.settled),
                                BY_CHANCE if case.by_load else TOLERANCE)
            if scenes_of(found, case) == wanted or time.monotonic() > deadline:
                return found


def scenes_of(found, case):
    return {scene for scene in case.scenes if any(text.startswith(scene + " ") for text in found)}


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
    missing = {number: (pattern, remarks[number]) for number, pattern in case.told.items() if not re.search(pattern, remarks[number])}
    found = world.compare(case, done.stdout, case.differs)
    assert (scenes_of(found, case), missing) == (case.differs, {}), "\n".join([*found, done.stdout])
    assert case.told or not case.differs
